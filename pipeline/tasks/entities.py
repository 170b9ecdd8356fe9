"""Entities: tags in BIO, whose spans are what counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, TypeAlias

from typing_extensions import override

from pipeline.corpus.schemes import bio_to_bioes, bioes_to_bio
from pipeline.corpus.spans import OUTSIDE, Span, entities
from pipeline.tasks.label_type import Gold, Pair, Rows, column
from pipeline.tasks.precision_recall import scores
from pipeline.tasks.resampling import CountTable, ResampledMetrics, count_names, occurrences
from pipeline.tasks.tags import Tags, word_pairs

Scheme: TypeAlias = Literal["bio", "bioes"]


@dataclass(frozen=True)
class Entities(Tags):
    """Entities, as one tag per word; type and both boundaries of an entity must be right.

    Attributes:
        scheme: of the tags that a head learns. Labels and predictions are in BIO whatever it is.
    """

    scheme: Scheme = "bio"

    name = "entities"
    column_kind = "bio"
    metrics: ClassVar[tuple[str, ...]] = ("entity_f1", "word_accuracy", "macro_f1")
    probe_metric = "entity_f1"
    confusion_counts = "words inside an entity of either"

    @override
    def learnt(self, label: Any) -> Sequence[str]:
        return bio_to_bioes(label) if self.scheme == "bioes" else label

    @override
    def stored(self, tags: Sequence[str]) -> Sequence[str]:
        return bioes_to_bio(tags) if self.scheme == "bioes" else tags

    @override
    def resampled(self, gold: Gold, rows: Rows) -> ResampledMetrics:
        """F1 of all entities, and the share of words with the right tag.

        A word without a prediction counts as outside of entities, so that its entity is missed, and
        as a wrong tag whatever the gold one is.
        """
        spans = [_types_of_spans(*pair) for pair in zip(gold, column(rows, "tags"), strict=True)]
        tp, found, truth = ([row[place] for row in spans] for place in range(3))
        types = sorted({name for some in (found, truth) for row in some for name in row})
        counts = CountTable(*(occurrences(some, types) for some in (tp, found, truth)))
        words = count_names(gold, column(rows, "tags"))
        headlines = {"entity_f1": counts.micro_f1, "word_accuracy": words.recall}
        return ResampledMetrics(len(gold), headlines, {"macro_f1": words.macro_f1})

    @override
    def details(self, gold: Gold, rows: Rows) -> dict[str, Any]:
        """Precision and recall of all entities and per type, and counts of words."""
        tp: Counter[str] = Counter()
        found: Counter[str] = Counter()
        truth: Counter[str] = Counter()
        for pair in zip(gold, column(rows, "tags"), strict=True):
            for counter, names in zip((tp, found, truth), _types_of_spans(*pair), strict=True):
                counter.update(names)
        micro = scores(tp.total(), found.total(), truth.total())
        return {
            "entity_precision": micro.precision,
            "entity_recall": micro.recall,
            "entities": micro.support,
            **self.word_counts(rows),
            "per_type": {
                name: asdict(scores(tp[name], found[name], truth[name]))
                for name in sorted({*found, *truth})
            },
        }

    @override
    def unseen_tag(self, values: Sequence[Any]) -> str:
        return OUTSIDE

    @override
    def pairs(self, gold: Gold, rows: Rows) -> list[Pair]:
        """A pair of types per word that is inside an entity of either."""
        pairs = [(tag, guess or OUTSIDE) for tag, guess in word_pairs(gold, rows)]
        return [(_type(a), _type(b)) for a, b in pairs if not a == b == OUTSIDE]

    @override
    def shown(
        self, tags: Sequence[str | None], gold: Sequence[str], predicted: Sequence[str | None]
    ) -> Iterator[str]:
        """Types of the entities of a sentence."""
        return (span[0] for span in spans_of(tags))


def spans_of(tags: Sequence[str | None]) -> list[Span]:
    """Entities of a sentence; a word without a tag is outside of them."""
    return entities([OUTSIDE if tag is None else tag for tag in tags])


def _types_of_spans(
    gold: Sequence[str], predicted: Sequence[str | None]
) -> tuple[list[str], list[str], list[str]]:
    """Types of the entities of one sentence that are right, predicted, and gold."""
    truth, found = set(spans_of(gold)), set(spans_of(predicted))
    tp, pred, support = ([span[0] for span in some] for some in (truth & found, found, truth))
    return tp, pred, support


def _type(tag: str) -> str:
    return tag if tag == OUTSIDE else tag[2:]
