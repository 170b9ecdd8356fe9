"""Pairs of labels counted in a matrix that is small enough to read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.corpus.spans import OUTSIDE
from pipeline.tasks.label_type import NONE, Pair

MOST_LABELS = 24
"""Rows and columns of a matrix; labels beyond share the last one."""

OTHERS = "(others)"
SHADES = 9
_LAST = (OUTSIDE, OTHERS, NONE)

CellPlace = tuple[int, int]
"""Row of the actual label, column of the predicted one."""


@dataclass(frozen=True)
class Matrix:
    """Confusion matrix: how often each label was taken for which.

    Attributes:
        labels: of rows and columns: by name, then what is outside, others, none.
        counts: by actual and predicted label.
        grouped: how many labels share ``OTHERS``.
    """

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    grouped: int

    def place(self, pair: Pair) -> CellPlace:
        """The cell that a pair is counted in."""
        return self._index(str(pair[0])), self._index(str(pair[1]))

    def shade(self, row: int, column: int) -> int:
        """Shade of a cell, from 0 to ``SHADES``: its share of the actual label's pairs."""
        count = self.counts[row][column]
        # Something is never drawn as nothing.
        return count and max(1, round(SHADES * count / sum(self.counts[row])))

    def _index(self, label: str) -> int:
        return self.labels.index(label if label in self.labels else OTHERS)


def confusion_matrix(pairs: Sequence[Pair], *, most: int = MOST_LABELS) -> Matrix | None:
    """Counts pairs; ``None`` if there are none.

    Args:
        pairs: ``(actual, predicted)`` labels.
        most: labels at most; the most frequent ones keep their own.
    """
    if not pairs:
        return None
    found = Counter(str(label) for pair in pairs for label in pair)
    kept = set(found)
    if len(found) > most:
        ranked = sorted(found, key=lambda label: (-found[label], label))
        kept = {*ranked[: most - 1], OTHERS}
    labels = sorted(kept, key=lambda label: (_rank(label), label))
    counts = Counter(
        tuple(str(label) if str(label) in kept else OTHERS for label in pair) for pair in pairs
    )
    return Matrix(
        tuple(labels),
        tuple(tuple(counts[actual, predicted] for predicted in labels) for actual in labels),
        len(found.keys() - kept),
    )


def _rank(label: str) -> int:
    return _LAST.index(label) + 1 if label in _LAST else 0
