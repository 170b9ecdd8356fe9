"""A head in a notebook: fitted in memory, evaluated, saved, loaded, asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import torch

from icehouse.labels import Fractions, label_column
from pipeline.core.environment import (
    allow_open_files,
    choose_device,
    flush_denormals,
    project_root,
    use_threads,
)
from pipeline.core.errors import DataError, ParameterError
from pipeline.core.files import atomic_directory
from pipeline.corpus.folds import Run, by_fold, run_names
from pipeline.corpus.storage import Labels
from pipeline.corpus.texts import Text
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.predictions import by_id
from pipeline.features.hash_cache import HashCache
from pipeline.features.reader import Features, open_features
from pipeline.heads.checkpoint import load_head
from pipeline.heads.settings import HeadSettings
from pipeline.prediction.encoders import find_encoder
from pipeline.prediction.predict import Predictor
from pipeline.training.fit import FittedHead, fit_head
from pipeline.training.save import write_model

DRAWN: Fractions = (0.8, 0.1, 0.1)


class Head:
    """A head to fit on cached features.

    Settings are those of a row of ``heads`` in ``params.yaml``, with the same defaults; with the
    same settings, features, labels and split it is the same head, to the last bit.

    Args:
        task: ``sequence_classification``, ``multilabel_classification``, ``regression`` or
            ``token_classification``.
        layers: that it reads; -1 is the last.
        **settings: any other: ``pooling="mean"``, ``crf=True``, ``recurrent={"cell": "gru"}``,
            ``training={"epochs": 5, "seeds": [1, 2]}``.

    Raises:
        ParameterError: the settings do not fit together.
    """

    def __init__(self, *, task: str, layers: Sequence[int] = (-1,), **settings: Any) -> None:
        names = {"corpus": "", "features": "", "label": "label"}
        self.settings = _settings({**names, "task": task, "layers": list(layers), **settings})
        self._device = choose_device()
        self._fitted: FittedHead | None = None
        self._labels: Labels | None = None
        self._predictor: Predictor | None = None
        self._encoder: Path | None = None

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """A head that was saved; see ``icehouse.load``."""
        module, description = load_head(Path(folder), device=choose_device())
        head = cls(**description["settings"])
        head._fitted = FittedHead(module, description, history=[], layer_weights={}, predictions={})
        return head

    def fit(
        self,
        features: Features | str | Path,
        labels: Labels | Mapping[str, Any],
        *,
        split: Mapping[str, str] | Fractions = DRAWN,
        seed: int = 13,
    ) -> Self:
        """Train on some features.

        What happens is logged to ``pipeline.training.fit`` at level INFO.

        Args:
            features: opened, or their folder.
            labels: by id; examples without one are left out. Or a column of a prepared corpus, as
                ``icehouse.read_labels`` gives it, with its own split.
            split: ``train``, ``dev`` or ``test`` of each labelled id, or the share of each.
            seed: of a split that is drawn.

        Returns:
            This head, fitted.

        Raises:
            DataError, StoreError, TrainingError: the labels, or the features, do not fit.
        """
        if not isinstance(features, Features):
            features = open_features(features)
        if not isinstance(labels, Labels):
            labels = label_column(features, labels, task=self.settings.task, split=split, seed=seed)
        allow_open_files()
        with _as_stages_compute():
            self._fitted = fit_head(
                self.settings,
                labels,
                features,
                hash_cache=HashCache(),
                device=self._device,
            )
        self._labels, self._predictor = labels, None
        return self

    @property
    def description(self) -> dict[str, Any]:
        """What the head is and what made it: ``head.json``."""
        return self._trained().description

    @property
    def history(self) -> list[dict[str, float]]:
        """Losses and the score on dev of each epoch, for ``pandas.DataFrame``."""
        return [dict(vars(epoch)) for epoch in self._trained().history]

    @property
    def predictions(self) -> dict[str, list[dict[str, Any]]]:
        """Rows for dev and test, by run."""
        return self._trained().predictions

    def evaluate(self, texts: Mapping[str, Text] | None = None) -> dict[str, Any]:
        """Scores on dev and test with 95% intervals; ``docs/metrics.md`` describes the fields.

        Args:
            texts: words by id, for the baseline of labels on words; without them there is none.

        Raises:
            DataError: a text is missing.
        """
        fitted, labels = self._trained(), self._labels
        if labels is None:
            raise DataError("a head that was loaded has no labels here; fit it, or `dvc repro`")
        label_type = fitted.head.label_type
        known = texts is not None or not label_type.on_words
        inputs = [
            _text(row_id, value, texts, on_words=label_type.on_words)
            for row_id, value in zip(labels.ids, labels.values, strict=True)
        ]
        names = run_names([Run(fold, seed) for fold in by_fold(labels) for seed in self._seeds()])
        seen = by_fold(labels)
        runs = {
            run: by_id(fitted.predictions[name], seen[run.fold], label_type)
            for run, name in names.items()
        }
        kept = Run(fitted.description["fold"], fitted.description["seed"])
        metrics = evaluate(label_type, labels, inputs, runs, kept=kept).metrics
        if not known:
            for name in ("dev", "test"):
                del metrics[name]["baseline"]
        return metrics

    def save(self, folder: str | Path) -> Path:
        """Write weights, ``head.json`` and predictions, as a folder of ``models/`` holds them."""
        folder = Path(folder)
        with atomic_directory(folder) as temporary:
            write_model(temporary, self._trained())
        return folder

    def predict(
        self,
        texts: Sequence[Text],
        *,
        encoder: str | Path | None = None,
        trust_remote_code: bool = False,
    ) -> list[dict[str, Any]]:
        """Answers for new texts, in order.

        Args:
            texts: raw texts, words, or ``icehouse.TextPair`` of two texts.
            encoder: folder of the encoder that the features were made with; by default the one of
                ``data/encoders`` whose files are the same.
            trust_remote_code: lets Python code that comes with the encoder run, with all that this
                user may do; read it first. It counts when the encoder is loaded, once.

        Raises:
            DataError, EncoderError: a text cannot be read, or there is no such encoder, or it has
                code that may not run.
        """
        if self._predictor is None or encoder is not None:
            fitted = self._trained()
            chosen = (
                Path(encoder)
                if encoder
                else find_encoder(
                    fitted.description["recipe"], project_root() / "data" / "encoders"
                )
            )
            self._predictor = Predictor(
                fitted.head,
                fitted.description,
                chosen,
                device=self._device,
                trust_remote_code=trust_remote_code,
            )
        with _as_stages_compute():
            return self._predictor(texts).rows

    def _trained(self) -> FittedHead:
        if self._fitted is None:
            raise ParameterError("this head is not fitted yet: call fit(features, labels) first")
        return self._fitted

    def _seeds(self) -> tuple[int, ...]:
        return self.settings.training.seeds

    def __repr__(self) -> str:
        state = "not fitted" if self._fitted is None else f"dev {self.description['dev_score']:.3f}"
        return f"Head(task={self.settings.task!r}, layers={list(self.settings.layers)}; {state})"


def load(folder: str | Path) -> Head:
    """A head that was saved, or that ``dvc repro`` made, ready to predict.

    Raises:
        StoreError: the folder holds no head, or a damaged one.
    """
    return Head.load(folder)


def _settings(row: Mapping[str, Any]) -> HeadSettings:
    from pydantic import ValidationError

    from pipeline.core.files import canonical_json

    try:
        return HeadSettings.model_validate_json(canonical_json(row))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ParameterError(f"{place + ': ' if place else ''}{first['msg']}") from None


def _text(row_id: str, value: Any, texts: Mapping[str, Text] | None, *, on_words: bool) -> Text:
    if texts is None:
        return ("",) * len(value or ()) if on_words else ""
    if row_id not in texts and value is not None:
        raise DataError(f"texts: there is none of {row_id!r}")
    return texts.get(row_id, ())


@contextmanager
def _as_stages_compute() -> Iterator[None]:
    """Threads and denormal numbers as stages have them, so that the same bytes come out."""
    before = torch.get_num_threads()
    use_threads()
    flush_denormals()
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(before)
