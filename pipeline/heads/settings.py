"""The settings of one row of ``heads`` in ``params.yaml``."""

from __future__ import annotations

from typing import Final, Literal, Self

from pydantic import Field, model_validator

from pipeline.core.errors import DataError
from pipeline.core.params import Section
from pipeline.heads.training_settings import TrainingSettings
from pipeline.tasks.label_type import LabelType
from pipeline.tasks.registry import Task, label_type_for, label_types_of_task

Combine = Literal["concat", "mix"]
Pooling = Literal["cls", "last", "mean", "max", "mean_max", "attention"]
Subwords = Literal["first", "last", "mean"]

AUTO: Final = "auto"
"""Value of a setting that follows from the kind of the label column."""


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

    cell: Literal["lstm", "gru"] = "lstm"
    hidden_size: int = Field(default=128, ge=1)
    num_layers: int = Field(default=1, ge=1)
    bidirectional: bool = True
    dropout: float = Field(default=0.3, ge=0, lt=1)
    locked_dropout: bool = False


class HeadSettings(Section):
    """A head: what it reads, what it learns, and its network.

    Only ``corpus``, ``features``, ``label``, ``task`` and ``layers`` must be given.

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
        scheme: for entities, the scheme of the tags that it learns inside; ``None`` for plain tags;
            ``auto`` for BIO where the label holds entities.
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
    combine: Combine = "concat"
    pooling: Pooling | None = None
    subwords: Subwords | None = None
    scheme: Literal["bio", "bioes", "auto"] | None = AUTO
    crf: bool | None = None
    recurrent: RecurrentSettings = RecurrentSettings()
    training: TrainingSettings = TrainingSettings()

    @property
    def on_words(self) -> bool:
        """Whether it gives something for every word, instead of one thing for the text."""
        return label_types_of_task(self.task)[0].on_words

    def label_type(self, column_kind: str) -> LabelType:
        """The label type that it learns of a label column.

        Raises:
            DataError: the task does not learn such a column, or ``scheme`` does not fit it.
        """
        found = label_type_for(self.task, column_kind)
        if self.scheme == AUTO:
            return found
        if (self.scheme is None) != (found.scheme is None):
            holds, must = ("", "bio or bioes") if found.scheme else ("no ", "null")
            raise DataError(f"label {self.label!r} holds {holds}entities: scheme must be {must}")
        return label_type_for(self.task, column_kind, self.scheme)

    def resolved(self, label_type: LabelType) -> HeadSettings:
        """Settings with what follows from the label type: scheme and dev metric."""
        metric = self.training.metric
        training = self.training.model_copy(
            update={"metric": label_type.metrics[0] if metric == AUTO else metric}
        )
        return self.model_copy(update={"scheme": label_type.scheme, "training": training})

    @model_validator(mode="after")
    def _defaults_of_the_task(self) -> Self:
        reading = {"subwords": "first", "crf": False} if self.on_words else {"pooling": "cls"}
        for name, value in reading.items():
            if name not in self.model_fields_set:  # where it is null, that is an error below
                object.__setattr__(self, name, value)
        return self

    @model_validator(mode="after")
    def _layers_differ(self) -> Self:
        if len(set(self.layers)) != len(self.layers):
            raise ValueError("'layers' names a layer twice")
        return self

    @model_validator(mode="after")
    def _fields_fit_the_task(self) -> Self:
        if self.on_words:
            if self.pooling is not None:
                raise ValueError(f"'pooling' must be null for {self.task}, a task on words")
            if self.subwords is None or self.crf is None:
                raise ValueError(
                    f"{self.task} needs 'subwords' (first, last or mean) and 'crf' (true or false)"
                )
        else:
            if self.pooling is None:
                raise ValueError(
                    f"{self.task} needs 'pooling': cls, last, mean, max, mean_max or attention"
                )
            if (self.subwords, self.crf) != (None, None) or self.scheme not in (None, AUTO):
                raise ValueError("'subwords', 'scheme' and 'crf' are for token_classification")
        return self

    @model_validator(mode="after")
    def _training_fits_the_task(self) -> Self:
        known = list(
            dict.fromkeys(name for own in label_types_of_task(self.task) for name in own.metrics)
        )
        metric = self.training.metric
        if metric not in (AUTO, *known):
            raise ValueError(
                f"'training.metric' of {self.task} is one of {', '.join(known)}, not {metric}"
            )
        if metric == "entity_f1" and self.scheme is None:
            raise ValueError("'training.metric' entity_f1 needs a 'scheme': bio or bioes")
        if self.training.class_weights and label_types_of_task(self.task)[0].link == "identity":
            raise ValueError(f"'training.class_weights' must be null for {self.task}")
        if self.training.class_weights and self.crf:
            raise ValueError("'training.class_weights' must be null with a CRF")
        return self
