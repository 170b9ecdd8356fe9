"""Seeded splits that stay put when the corpus changes a little."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence

from pipeline.corpus.records import Text, TextPair, fields
from pipeline.files import canonical_json


def split_rows(
    texts: Sequence[Text],
    strata: Sequence[str] | None,
    *,
    fractions: dict[str, float],
    seed: int,
) -> list[str]:
    """Assigns each row to a split.

    Rows with identical inputs go to one split, so that no test text is trained on. Within each
    stratum, groups are ordered by a digest of seed and text, and the ordered rows are cut at the
    cumulative fractions: a row added or relabelled moves at most the rows next to a cut, where a
    shuffled index would move all.

    Args:
        texts: the inputs, one per row.
        strata: the class of each row, for equal shares of each class in every split; a group of
            identical inputs with conflicting classes counts as its most frequent, then first in
            alphabetical order. ``None`` cuts the rows as one stratum.
        fractions: share of each split, in order, adding up to 1.
        seed: another seed gives another split.

    Returns:
        The split's name for each row.
    """
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for row, text in enumerate(texts):
        groups[_digest(seed, text)].append(row)

    by_stratum: defaultdict[str, list[tuple[str, list[int]]]] = defaultdict(list)
    for digest, rows in groups.items():
        stratum = "" if strata is None else _most_frequent([strata[row] for row in rows])
        by_stratum[stratum].append((digest, rows))

    names = [""] * len(texts)
    for members in by_stratum.values():
        total = sum(len(rows) for _, rows in members)
        cuts = _cumulative(fractions)
        done = 0
        for _, rows in sorted(members):
            # A group belongs to the split that its middle falls in.
            position = (done + len(rows) / 2) / total
            name = next(split for split, cut in cuts if position <= cut)
            for row in rows:
                names[row] = name
            done += len(rows)
    return names


def _digest(seed: int, text: Text) -> str:
    # A pair is no list, so that it is another input than two words.
    value = fields(text) if isinstance(text, TextPair) else text
    return hashlib.sha256(canonical_json([seed, value]).encode("utf-8")).hexdigest()


def _most_frequent(classes: Sequence[str]) -> str:
    counts = Counter(classes)
    return min(counts, key=lambda name: (-counts[name], name))


def _cumulative(fractions: dict[str, float]) -> list[tuple[str, float]]:
    cuts, total = [], 0.0
    for name, fraction in fractions.items():
        total += fraction
        cuts.append((name, total))
    # The last cut is 1 however the fractions were rounded.
    return [*cuts[:-1], (cuts[-1][0], 1.0)]
