"""Scores of linear probes: every layer, several side by side, and pairs together and apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from pipeline.features.reader import Features
from pipeline.probes.rows import Rows
from pipeline.probes.states import PairVectors, TextVectors, vectors_of
from pipeline.quick_look.encoded_sample import EncodedSample
from pipeline.quick_look.probe_score import probe_score
from pipeline.tasks.dataset import LabelledDataset, Split, build_dataset
from pipeline.tasks.registry import default_label_type

Pairs = Literal["together", "apart"]

_WIDEST = 4096
"""Numbers of a vector, beyond which a probe is not quick any more."""


@dataclass(frozen=True)
class LayerScore:
    """Dev score of a linear probe, the higher the better.

    Attributes:
        layers: it reads, side by side; 0 is the embeddings.
        score: by the metric of ``LabelScores``.
        pairs: of pairs of texts, whether the encoder read both together, or each by itself.
    """

    layers: tuple[int, ...]
    score: float
    pairs: Pairs | None = None


@dataclass(frozen=True)
class LabelScores:
    """All probes of one label.

    Attributes:
        label: the label.
        metric: of the scores.
        count: layers that a head of it reads.
        scores: in the order of ``layer_scores``.
    """

    label: str
    metric: str
    count: int
    scores: Sequence[LayerScore]

    @property
    def best(self) -> LayerScore:
        """The highest score, the first among equals."""
        return max(self.scores, key=lambda row: row.score)

    @property
    def several(self) -> tuple[int, ...] | None:
        """Layers that are best side by side; ``None`` where none were read so."""
        sets = [row for row in self.scores if len(row.layers) > 1]
        return max(sets, key=lambda row: row.score).layers if sets else None

    def best_of(self, pairs: Pairs) -> float | None:
        """The highest score of pairs that are read in one way."""
        return max((row.score for row in self.scores if row.pairs == pairs), default=None)


def read_dataset(encoded: EncodedSample, label: str) -> LabelledDataset:
    """One label of a sample, beside its features.

    Raises:
        TrainingError: the sample has one value of the label only, or no row of a split.
    """
    label_type = default_label_type(encoded.sample.kinds[label])
    column = encoded.sample.column(label)
    return build_dataset(column, encoded.whole, label_type, splits=("train", "dev"))


def layer_scores(
    encoded: EncodedSample, dataset: LabelledDataset, *, usual: Sequence[int]
) -> Iterator[LayerScore]:
    """Yields a score of every layer, then of the usual ones side by side, and of as many best ones.

    Of pairs, every layer has two: of both texts read together, and of each by itself.

    Args:
        encoded: the sample.
        dataset: one of its labels.
        usual: layers that a head reads where nothing is known of the corpus.
    """
    found: dict[int, float] = {}
    read = partial(vectors_of, encoded.whole)
    apart = None if encoded.apart is None else _PairsApart(encoded, encoded.apart)
    for layer in range(encoded.depth + 1):
        found[layer] = probe_score(partial(read, (layer,)), dataset)
        yield LayerScore((layer,), found[layer], None if apart is None else "together")
        if apart is not None:
            yield LayerScore((layer,), probe_score(partial(apart, layer), dataset), "apart")
    for layers in () if apart is not None else _sets(found, usual):
        if len(layers) * encoded.whole.width <= _WIDEST:
            yield LayerScore(layers, probe_score(partial(read, layers), dataset))


def proposed_layers(labels: Sequence[LabelScores]) -> dict[str, list[int]]:
    """Layers for a head of each label.

    Of one label, those that were best side by side. Of several labels, and of pairs of texts, those
    whose own probes were nearest to the best layer of each label, on average: if every label had
    layers of its own, nearly all would be kept.
    """
    if len(labels) == 1 and labels[0].several is not None:
        return {labels[0].label: list(labels[0].several)}
    behind: dict[int, list[float]] = {}
    for scores in labels:
        single = [row for row in scores.scores if len(row.layers) == 1]
        best = max(row.score for row in single)
        for layer in {row.layers[0] for row in single}:
            own = max(row.score for row in single if row.layers == (layer,))
            behind.setdefault(layer, []).append(best - own)
    nearest = sorted(behind, key=lambda layer: (sum(behind[layer]), layer))
    return {scores.label: sorted(nearest[: scores.count]) for scores in labels}


def proposed_pairs(labels: Sequence[LabelScores]) -> Pairs | None:
    """How pairs are better read, by the mean over labels; ``None`` where there are no pairs."""
    margins = [
        apart - together
        for scores in labels
        if (apart := scores.best_of("apart")) is not None
        and (together := scores.best_of("together")) is not None
    ]
    if not margins:
        return None
    return "apart" if sum(margins) >= 0 else "together"


def _sets(found: Mapping[int, float], usual: Sequence[int]) -> list[tuple[int, ...]]:
    """The usual layers, and as many of those that are best by themselves."""
    best = sorted(found, key=lambda layer: -found[layer])[: len(usual)]
    sets = (tuple(usual), tuple(sorted(best)))
    return [layers for layers in dict.fromkeys(sets) if len(layers) > 1]


class _PairsApart:
    """Vectors of pairs whose texts are encoded by themselves."""

    def __init__(self, encoded: EncodedSample, features: Features) -> None:
        self._features = features
        self._rows = features.example_rows.reshape(2, -1).T
        self._places = {row_id: place for place, row_id in enumerate(encoded.sample.ids)}

    def __call__(self, layer: int, split: Split) -> Rows:
        """(pairs, 4 * width + 1): what a probe reads of pairs apart."""
        places = [self._places[row_id] for row_id in split.ids]
        return PairVectors(TextVectors(self._features, [layer], self._rows[places].ravel()))
