"""The sample of a quick look: some of a corpus's training and dev rows, the same ones each time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heappush, heappushpop
from typing import Any

from pipeline.core.files import canonical_json
from pipeline.corpus.folds import by_fold
from pipeline.corpus.storage import Labels
from pipeline.corpus.texts import Text, parts
from pipeline.extraction.settings import FeaturesSettings
from pipeline.ingest.prepare import PreparedCorpus
from pipeline.ingest.rows import Example
from pipeline.ingest.splits import row_key

ROWS = {"train": 2000, "dev": 1000}
"""Most rows of each split."""

TOKENS = {"train": 40_000, "dev": 20_000}
"""About so many tokens of each split: seconds of a small encoder, whatever the texts' length."""

FEWEST = {"train": 300, "dev": 150}
"""Rows of each split that are taken however long they are."""

_BYTES_PER_TOKEN = 4
"""Of UTF-8, in English subwords; of other scripts a character, of more bytes, is about a token."""

_SEED = 1909


@dataclass(frozen=True)
class CorpusSample:
    """Rows of a corpus, in its order.

    Attributes:
        texts: the inputs.
        splits: ``train`` or ``dev`` of each.
        labels: by label, the value of each row.
        kinds: the stored kind of each label.
        of: rows that the corpus has, by split.
    """

    texts: list[Text]
    splits: list[str]
    labels: dict[str, list[Any]]
    kinds: dict[str, str]
    of: dict[str, int]

    @property
    def ids(self) -> list[str]:
        """Ids of the rows: their numbers."""
        return list(map(str, range(len(self.texts))))

    def digest(self) -> str:
        """SHA-256 of the texts."""
        lines = "\n".join(canonical_json(list(parts(text))) for text in self.texts)
        return hashlib.sha256(lines.encode("utf-8")).hexdigest()

    def column(self, label: str) -> Labels:
        """One label, as it is read of a prepared corpus."""
        values = self.labels[label]
        return Labels(self.ids, self.splits, values, self.kinds[label], self.digest())


def draw_sample(corpus: PreparedCorpus, settings: FeaturesSettings) -> CorpusSample:
    """Draws rows of the splits train and dev; of a corpus in folds, those of the first run.

    Which rows they are follows from their texts alone: of a corpus that grows, most stay.

    Args:
        corpus: read once; no more rows are held than are drawn.
        settings: how texts are read, and so how long they are.

    Raises:
        DataError: the corpus is in fewer than three folds, or changed while it was read.
    """
    longest = None if settings.long_texts == "window" else settings.max_length
    names = _as_first_run_sees(corpus.split_names)
    held: dict[str, list[tuple[int, int, Example]]] = {name: [] for name in ROWS}
    of = dict.fromkeys(ROWS, 0)
    for number, (example, own) in enumerate(corpus.rows()):
        split = names[own]
        if split not in ROWS:
            continue
        of[split] += 1
        # The smallest digests: a heap's first entry is its smallest, so they are negative.
        entry = (-int.from_bytes(row_key(_SEED, example.text), "big"), number, example)
        if len(held[split]) < ROWS[split]:
            heappush(held[split], entry)
        else:
            heappushpop(held[split], entry)
    chosen = [
        (number, split, example)
        for split, entries in held.items()
        for number, example in _within_budget(entries, split, longest)
    ]
    chosen.sort(key=lambda row: row[0])
    examples = [example for _, _, example in chosen]
    return CorpusSample(
        texts=[example.text for example in examples],
        splits=[split for _, split, _ in chosen],
        labels={name: [example.labels[name] for example in examples] for name in corpus.kinds},
        kinds=corpus.kinds,
        of=of,
    )


def _as_first_run_sees(split_names: Sequence[str]) -> dict[str, str]:
    """What the first run over a corpus takes each of its splits for."""
    blank = Labels([], list(split_names), [None] * len(split_names), "", "")
    seen = next(iter(by_fold(blank).values()))
    return dict(zip(split_names, seen.splits, strict=True))


def _within_budget(
    entries: Iterable[tuple[int, int, Example]], split: str, longest: int | None
) -> list[tuple[int, Example]]:
    """The first rows by digest, as many as the tokens of a split allow."""
    chosen: list[tuple[int, Example]] = []
    left = TOKENS[split]
    for _, number, example in sorted(entries, key=lambda entry: (-entry[0], entry[1])):
        if left <= 0 and len(chosen) >= FEWEST[split]:
            break
        chosen.append((number, example))
        tokens = _about_tokens(example.text)
        left -= tokens if longest is None else min(tokens, longest)
    return chosen


def _about_tokens(text: Text) -> int:
    """Tokens of an input, roughly; a word has one at least."""
    return sum(1 + len(part.encode("utf-8")) // _BYTES_PER_TOKEN for part in parts(text))
