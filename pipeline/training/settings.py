"""The settings of a head's ``training``."""

from __future__ import annotations

from pydantic import Field

from pipeline.params import Section


class TrainingSettings(Section):
    """How a head is fitted: AdamW, early stopping on the dev score.

    Attributes:
        epochs: most passes over the training split.
        batch_size: texts per step.
        learning_rate: of AdamW.
        weight_decay: of AdamW.
        gradient_clip: largest norm of all gradients together.
        patience: epochs without a better dev score before training stops.
        seed: of initial weights, order and dropout.
    """

    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    gradient_clip: float = Field(gt=0)
    patience: int = Field(ge=1)
    seed: int = Field(ge=0, lt=2**63)
