"""The settings of a head's ``training``."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.core.params import Section

Seed = Annotated[int, Field(ge=0, lt=2**63)]


class TrainingSettings(Section):
    """Settings of training: AdamW, early stopping on the dev score.

    Attributes:
        epochs: most passes over the training split.
        batch_size: texts per step.
        learning_rate: of AdamW, at its highest.
        schedule: how the rate goes on after the warm-up: ``constant``, or down to zero at the last
            epoch in a straight line (``linear``) or as half a cosine (``cosine``).
        warmup: share of all steps in which the rate climbs from zero.
        weight_decay: of AdamW.
        gradient_clip: largest norm of all gradients together.
        class_weights: ``balanced`` weighs each class by the inverse of how often it occurs.
        metric: the dev score that the best epoch, and of several seeds the best, is chosen by;
            ``auto`` for the first that the label type names.
        patience: epochs without a better dev score before training stops.
        seeds: one training each, of initial weights, order and dropout.
    """

    epochs: int = Field(default=10, ge=1)
    batch_size: int = Field(default=32, ge=1)
    learning_rate: float = Field(default=0.001, gt=0)
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    warmup: float = Field(default=0.0, ge=0, lt=1)
    weight_decay: float = Field(default=0.01, ge=0)
    gradient_clip: float = Field(default=1.0, gt=0)
    class_weights: Literal["balanced"] | None = None
    metric: str = "auto"
    patience: int = Field(default=3, ge=1)
    seeds: tuple[Seed, ...] = Field(default=(13,), min_length=1)

    @model_validator(mode="after")
    def _seeds_differ(self) -> Self:
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("'seeds' names a seed twice")
        return self
