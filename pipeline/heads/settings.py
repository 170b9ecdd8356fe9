"""The settings of one row of ``heads`` in ``params.yaml``."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from pipeline.core.params import Section
from pipeline.heads.training_settings import TrainingSettings
from pipeline.tasks.tasks import Task

Combine = Literal["concat", "mix"]
Pooling = Literal["cls", "last", "mean", "max", "attention"]
Subwords = Literal["first", "last", "mean"]
Scheme = Literal["bio", "bioes"]

METRICS: dict[Task, tuple[str, ...]] = {
    "sequence_classification": ("macro_f1", "accuracy"),
    "multilabel_classification": ("macro_f1", "micro_f1", "mean_average_precision"),
    "regression": ("spearman", "pearson", "rmse"),
    "token_classification": ("entity_f1", "word_accuracy", "macro_f1"),
}
"""The dev metrics that a head of each task can be chosen by."""


class RecurrentSettings(Section):
    """The recurrent network: parameters as in ``torch.nn.LSTM`` and ``torch.nn.GRU``.

    Attributes:
        cell: ``lstm`` or ``gru``.
        hidden_size: width of one direction.
        num_layers: recurrent layers on top of each other.
        bidirectional: whether a second network reads each text from its end.
        dropout: after every recurrent layer, the last one included.
        locked_dropout: whether all tokens of a text drop the same units (variational dropout, Gal
            and Ghahramani 2016), instead of each token its own.
    """

    cell: Literal["lstm", "gru"]
    hidden_size: int = Field(ge=1)
    num_layers: int = Field(ge=1)
    bidirectional: bool
    dropout: float = Field(ge=0, lt=1)
    locked_dropout: bool


class HeadSettings(Section):
    """A head: what it reads, what it learns, and its network.

    Attributes:
        corpus: the row of ``corpora`` whose labels it learns.
        features: the row of ``features`` it reads; of the same corpus.
        label: the label column.
        task: one class per text, several, or a number; or one label per word.
        layers: the layers it reads.
        combine: what it makes of several layers: ``concat`` along the width, or ``mix``, a learned
            weighted sum of the width of one (Peters et al. 2018).
        pooling: for tasks on texts, how outputs at tokens become one: ``pipeline.heads.pooling``.
        subwords: for tasks on words, which of a word's tokens it is read at: the first, the last,
            or the mean of all.
        scheme: for entities, the scheme of the tags that it learns inside; ``None`` for plain tags.
        crf: for tasks on words, whether neighbouring labels are decided together, by a linear-chain
            conditional random field, instead of each by itself.
        recurrent: its network.
        training: how it is fitted.
    """

    corpus: str
    features: str
    label: str
    task: Task
    layers: tuple[int, ...] = Field(min_length=1)
    combine: Combine
    pooling: Pooling | None = None
    subwords: Subwords | None = None
    scheme: Scheme | None = None
    crf: bool | None = None
    recurrent: RecurrentSettings
    training: TrainingSettings

    @property
    def on_words(self) -> bool:
        """Whether it gives something for every word, instead of one thing for the text."""
        return self.task == "token_classification"

    @model_validator(mode="after")
    def _layers_differ(self) -> Self:
        if len(set(self.layers)) != len(self.layers):
            raise ValueError("'layers' names a layer twice")
        return self

    @model_validator(mode="after")
    def _fields_fit_the_task(self) -> Self:
        if self.on_words:
            if self.pooling is not None:
                raise ValueError("'pooling' must be null for token_classification, a task on words")
            if self.subwords is None or self.crf is None:
                raise ValueError(
                    "token_classification needs 'subwords' (first, last or mean) and 'crf' "
                    "(true or false)"
                )
        else:
            if self.pooling is None:
                raise ValueError(f"{self.task} needs 'pooling': cls, last, mean, max or attention")
            if (self.subwords, self.scheme, self.crf) != (None, None, None):
                raise ValueError("'subwords', 'scheme' and 'crf' are for token_classification")
        return self

    @model_validator(mode="after")
    def _training_fits_the_task(self) -> Self:
        known = METRICS[self.task]
        if self.training.metric not in known:
            raise ValueError(
                f"'training.metric' of {self.task} is one of {', '.join(known)}, "
                f"not {self.training.metric}"
            )
        if self.training.metric == "entity_f1" and self.scheme is None:
            raise ValueError("'training.metric' entity_f1 needs a 'scheme': bio or bioes")
        if self.training.class_weights and self.task == "regression":
            raise ValueError("'training.class_weights' must be null for regression")
        if self.training.class_weights and self.crf:
            raise ValueError("'training.class_weights' must be null with a CRF")
        return self
