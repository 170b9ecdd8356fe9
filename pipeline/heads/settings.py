"""The settings of one row of ``heads`` in ``params.yaml``."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from pipeline.params import Section
from pipeline.training.settings import TrainingSettings

Task = Literal["sequence_classification", "token_classification"]

LABEL_KIND = {"sequence_classification": "class", "token_classification": "bio"}
"""The kind of label that each task learns."""


class RecurrentSettings(Section):
    """The recurrent network: parameters as in ``torch.nn.LSTM`` and ``torch.nn.GRU``.

    Attributes:
        cell: ``lstm`` or ``gru``.
        hidden_size: width of one direction.
        num_layers: recurrent layers on top of each other.
        bidirectional: whether a second network reads each text from its end.
        dropout: after every recurrent layer, the last one included.
    """

    cell: Literal["lstm", "gru"]
    hidden_size: int = Field(ge=1)
    num_layers: int = Field(ge=1)
    bidirectional: bool
    dropout: float = Field(ge=0, lt=1)


class HeadSettings(Section):
    """A head: what it reads, what it learns, and its network.

    Attributes:
        corpus: the row of ``corpora`` whose labels it learns.
        features: the row of ``features`` it reads; of the same corpus.
        label: the label column.
        task: one label per text, or one per word.
        layers: the layers it reads; several are concatenated.
        pooling: for sequence tasks, where the text's output is read: at ``[CLS]``.
        recurrent: its network.
        training: how it is fitted.
    """

    corpus: str
    features: str
    label: str
    task: Task
    layers: tuple[int, ...] = Field(min_length=1)
    pooling: Literal["cls"] | None
    recurrent: RecurrentSettings
    training: TrainingSettings

    @model_validator(mode="after")
    def _fields_fit_together(self) -> Self:
        if len(set(self.layers)) != len(self.layers):
            raise ValueError("'layers' names a layer twice")
        if (self.task == "sequence_classification") != (self.pooling is not None):
            raise ValueError(
                "'pooling' is cls for sequence_classification and null for token_classification"
            )
        return self
