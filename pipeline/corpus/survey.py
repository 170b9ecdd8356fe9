"""The first reading of a corpus: what must be known of all rows, held in a few bytes of each."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from pipeline.corpus.problems import SHOWN, Problems, show
from pipeline.corpus.records import Example, Label, Place
from pipeline.corpus.settings import WORD_KINDS, CorpusSettings, LabelKind
from pipeline.corpus.splits import KEY_BYTES, draw_splits, group_key, groups_of, keys_of, row_key


@dataclass(frozen=True)
class RepeatedInputs:
    """Inputs that more than one row has.

    Attributes:
        inputs: how many there are.
        rows_beyond_the_first: rows that repeat an earlier one.
        in_several_splits: how many have rows in more than one split.
        rows_seen_in_training: by split, the rows whose input is also in training.
        conflicting: by label, how many have different labels.
    """

    inputs: int
    rows_beyond_the_first: int
    in_several_splits: int
    rows_seen_in_training: dict[str, int]
    conflicting: dict[str, int]


class Survey:
    """What one reading of all rows learns, about 50 bytes of each."""

    def __init__(self, settings: CorpusSettings) -> None:
        self._settings = settings
        self._seed = settings.seed or 0
        self._names = settings.split.split_names
        self._ids = bytearray()
        self._inputs = bytearray()
        self._groups = bytearray()
        self._lines = array("q")
        self._files = array("i")
        self._file_numbers: dict[str, int] = {}
        self._strata = array("i")
        self._stratum_numbers: dict[str, int] = {}
        self._given = array("b")
        self._labels = {name: array("q") for name in settings.labels}
        self._seen: dict[str, set[Label]] = {name: set() for name in settings.labels}

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, example: Example) -> None:
        """Takes in one row."""
        settings = self._settings
        self._ids += _digest(example.id)
        self._inputs += row_key(self._seed, example.text)
        if settings.group is not None:
            self._groups += group_key(self._seed, example.group or "")
        self._lines.append(example.line)
        self._files.append(self._file_numbers.setdefault(example.file, len(self._file_numbers)))
        if settings.stratify is not None:
            stratum = str(example.labels[settings.stratify])
            number = self._stratum_numbers.setdefault(stratum, len(self._stratum_numbers))
            self._strata.append(number)
        self._given.append(-1 if example.split is None else self._names.index(example.split))
        for name, label in example.labels.items():
            # -1.0 and -2.0 have one hash; their texts have two.
            self._labels[name].append(hash(repr(label) if isinstance(label, float) else label))
            if len(self._seen[name]) < 2:
                self._seen[name].update(_values(label, settings.labels[name]))

    @cached_property
    def splits(self) -> npt.NDArray[np.int8]:
        """(rows,) int8: the index of each row's split in the names of the settings."""
        splits = np.array(self._given, np.int8)
        if not self._settings.split.drawn or not len(self):
            return splits
        keys = keys_of(self._groups if self._settings.group is not None else self._inputs)
        strata = self._strata_in_order() if self._settings.stratify is not None else None
        drawn = np.flatnonzero(splits == 0) if self._settings.split.given else np.arange(len(self))
        splits[drawn] = draw_splits(
            keys[drawn],
            None if strata is None else strata[drawn],
            list(self._settings.split.fractions().values()),
        )
        return splits

    def _strata_in_order(self) -> npt.NDArray[np.int64]:
        names = sorted(self._stratum_numbers)
        rank = np.zeros(len(names), np.int64)
        rank[[self._stratum_numbers[name] for name in names]] = np.arange(len(names))
        ranks: npt.NDArray[np.int64] = rank[np.array(self._strata)]
        return ranks

    def repeated_inputs(self) -> RepeatedInputs:
        """Counts inputs that are there more than once."""
        rows, begins = groups_of(keys_of(self._inputs))
        sizes = np.diff(begins, append=len(rows))
        splits = self.splits[rows]
        trained = np.logical_or.reduceat(splits == 0, begins) if len(rows) else np.zeros(0, bool)
        names = self._names if self._settings.split.folds is None else ()
        return RepeatedInputs(
            inputs=int((sizes > 1).sum()),
            rows_beyond_the_first=int((sizes - 1).sum()),
            in_several_splits=_differing(splits, begins),
            rows_seen_in_training={
                name: int((np.repeat(trained, sizes) & (splits == index)).sum())
                for index, name in enumerate(names)
                if index
            },
            conflicting={
                name: _differing(np.array(hashes)[rows], begins)
                for name, hashes in self._labels.items()
            },
        )

    def note_problems(self, problems: Problems, examples: Iterable[Example]) -> None:
        """Notes what is wrong with the rows together.

        Args:
            problems: where; if it has some already, rows are missing, and only ids are looked at.
            examples: the same rows again, for the values of ids.
        """
        known = problems.count
        self._note_repeated_ids(problems, examples)
        if known or not len(self):
            return
        whole = Place(self._settings.path, 0)
        for name, seen in self._seen.items():
            if len(seen) < 2:
                (value,) = seen or {"nothing"}
                problems.add(
                    whole,
                    f"every label is {show(value)}: nothing to learn",
                    field=name,
                    advice="is it the right field? If so, remove it from 'labels'",
                )
        counts = np.bincount(self.splits, minlength=len(self._names))
        for name, count in zip(self._names, counts, strict=True):
            if not count:
                advice = "give it rows" if self._settings.split.given else "give it a larger share"
                if name == "dev" and self._settings.split.given:
                    advice = "'dev: 0.1' in split takes a share of the training rows"
                problems.add(whole, f"no row is in split {name}", advice=advice)

    def _note_repeated_ids(self, problems: Problems, examples: Iterable[Example]) -> None:
        rows, begins = groups_of(keys_of(self._ids))
        firsts = np.repeat(rows[begins], np.diff(begins, append=len(rows)))
        first_of = {
            int(row): int(first) for row, first in zip(rows, firsts, strict=True) if row != first
        }
        if not first_of:
            return
        shown = set(sorted(first_of)[:SHOWN])
        ids = {row: example.id for row, example in enumerate(examples) if row in shown}
        for row in sorted(first_of):
            first = self._place(first_of[row])
            same_file = first.file == self._place(row).file
            where = f"line {first.line}" if same_file else f"{first.file}:{first.line}"
            problems.add(
                self._place(row),
                f"id {show(ids.get(row))} is already used on {where}",
                field=self._settings.id,
                advice="ids must be unique; with 'id: null' rows are numbered",
            )

    def _place(self, row: int) -> Place:
        return Place(list(self._file_numbers)[self._files[row]], self._lines[row])


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8"), digest_size=KEY_BYTES).digest()


def _values(label: Label, kind: LabelKind) -> tuple[Label, ...]:
    """What must differ somewhere for a head to learn: tags of words, or labels of rows."""
    return label if kind in WORD_KINDS and isinstance(label, tuple) else (label,)


def _differing(values: npt.NDArray[np.generic], begins: npt.NDArray[np.int64]) -> int:
    """How many groups of neighbours, which begin at ``begins``, hold different values."""
    if not len(values):
        return 0
    return int((np.minimum.reduceat(values, begins) != np.maximum.reduceat(values, begins)).sum())
