"""The first reading of a corpus: what must be known of all rows together."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from heapq import nsmallest

import numpy as np
import numpy.typing as npt

from pipeline.core.errors import DataError
from pipeline.corpus.texts import Label
from pipeline.ingest.external_sort import KEY_BYTES, ExternalSort, begins_of_groups
from pipeline.ingest.problems import SHOWN, Problems, show
from pipeline.ingest.rows import Example, Place
from pipeline.ingest.settings import WORD_KINDS, CorpusSettings, LabelKind
from pipeline.ingest.splits import draw_splits, group_key, row_key

CHANGED = "the raw files changed while they were read; run it again"
_NOWHERE = -1
"""The split of a row that is not in one yet."""


@dataclass
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


class CorpusScan:
    """Facts of a corpus that one reading of all rows learns.

    Memory holds two bytes of each row; keys and hashes of labels are on disk (see ``ExternalSort``)
    until the scan is closed.
    """

    def __init__(self, settings: CorpusSettings) -> None:
        self._settings = settings
        self._seed = settings.seed or 0
        self._names = settings.split.split_names
        self._ids = ExternalSort()
        # Of each row, the number of its class and a hash of each of its labels.
        self._inputs = ExternalSort(1 + len(settings.labels))
        self._groups = None if settings.group is None else ExternalSort(1)
        self._class_numbers: dict[str, int] = {}
        self._given = array("b")
        self._seen: dict[str, set[Label]] = {name: set() for name in settings.labels}

    def __len__(self) -> int:
        return len(self._ids)

    def close(self) -> None:
        """Gives the disk back."""
        for table in (self._ids, self._inputs, self._groups):
            if table is not None:
                table.close()

    def add(self, example: Example) -> None:
        """Takes in one row."""
        settings = self._settings
        number = 0
        if settings.stratify is not None:
            name = str(example.labels[settings.stratify])
            number = self._class_numbers.setdefault(name, len(self._class_numbers))
        # -1.0 and -2.0 have one hash; their texts have two.
        hashes = (
            hash(repr(label) if isinstance(label, float) else label)
            for label in map(example.labels.__getitem__, settings.labels)
        )
        self._ids.add(_digest(example.id))
        self._inputs.add(row_key(self._seed, example.text), number, *hashes)
        if self._groups is not None:
            self._groups.add(group_key(self._seed, example.group or ""), number)
        self._given.append(_NOWHERE if example.split is None else self._names.index(example.split))
        for name, label in example.labels.items():
            if len(self._seen[name]) < 2:
                self._seen[name].update(_values(label, settings.labels[name]))

    @cached_property
    def splits(self) -> npt.NDArray[np.int8]:
        """(rows,) int8: the index of each row's split in the names of the settings."""
        splits = np.array(self._given, np.int8)
        split = self._settings.split
        if split.drawn:
            draw_splits(
                self._inputs if self._groups is None else self._groups,
                None if self._settings.stratify is None else self._places_of_classes(),
                list(split.fractions().values()),
                splits,
                drawn=self._names.index("train") if split.given else _NOWHERE,
            )
        return splits

    def _places_of_classes(self) -> npt.NDArray[np.int64]:
        names = sorted(self._class_numbers)
        places = np.zeros(len(names), np.int64)
        places[[self._class_numbers[name] for name in names]] = np.arange(len(names))
        return places

    def repeated_inputs(self) -> RepeatedInputs:
        """Counts inputs that are there more than once."""
        names = self._names if self._settings.split.folds is None else ()
        found = RepeatedInputs(
            inputs=0,
            rows_beyond_the_first=0,
            in_several_splits=0,
            rows_seen_in_training={name: 0 for name in names if name != "train"},
            conflicting=dict.fromkeys(self._settings.labels, 0),
        )
        for records in self._inputs.parts():
            begins = begins_of_groups(records)
            sizes = np.diff(begins, append=len(records))
            splits = self.splits[records["row"]]
            found.inputs += int((sizes > 1).sum())
            found.rows_beyond_the_first += int((sizes - 1).sum())
            found.in_several_splits += _differing(splits, begins)
            trained = np.repeat(np.logical_or.reduceat(splits == 0, begins), sizes)
            for name in found.rows_seen_in_training:
                seen = trained & (splits == self._names.index(name))
                found.rows_seen_in_training[name] += int(seen.sum())
            for column, label in enumerate(self._settings.labels, start=1):
                found.conflicting[label] += _differing(records["values"][:, column], begins)
        return found

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
        for index, name in enumerate(self._names):
            # Counting them at once, by bincount, would copy each byte to eight.
            if not (self.splits == index).any():
                advice = "give it rows" if self._settings.split.given else "give it a larger share"
                if name == "dev" and self._settings.split.given:
                    advice = "'dev: 0.1' in split takes a share of the training rows"
                problems.add(whole, f"no row is in split {name}", advice=advice)

    def _note_repeated_ids(self, problems: Problems, examples: Iterable[Example]) -> None:
        """Notes rows whose id an earlier row has; of those that are shown, reads where and what."""
        count = 0
        first_of: dict[int, int] = {}
        for records in self._ids.parts():
            begins = begins_of_groups(records)
            rows = records["row"]
            firsts = np.repeat(rows[begins], np.diff(begins, append=len(rows)))
            repeats = np.flatnonzero(rows != firsts)
            count += len(repeats)
            repeats = repeats[np.argsort(rows[repeats])[:SHOWN]]
            first_of |= zip(rows[repeats].tolist(), firsts[repeats].tolist(), strict=True)
            first_of = {row: first_of[row] for row in nsmallest(SHOWN, first_of)}
        if not count:
            return
        wanted = {*first_of, *first_of.values()}
        found = {row: example for row, example in enumerate(examples) if row in wanted}
        for row, first_row in sorted(first_of.items()):
            if row not in found:
                raise DataError(CHANGED)
            example, first = found[row], found[first_row]
            same_file = first.file == example.file
            where = f"line {first.line}" if same_file else f"{first.file}:{first.line}"
            problems.add(
                Place(example.file, example.line),
                f"id {show(example.id)} is already used on {where}",
                field=self._settings.id,
                advice="ids must be unique; with 'id: null' rows are numbered",
            )
        problems.add_unshown(count - len(first_of))


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8"), digest_size=KEY_BYTES).digest()


def _values(label: Label, kind: LabelKind) -> tuple[Label, ...]:
    """Values that must differ somewhere for a head to learn: tags of words, or labels of rows."""
    return label if kind in WORD_KINDS and isinstance(label, tuple) else (label,)


def _differing(values: npt.NDArray[np.generic], begins: npt.NDArray[np.int64]) -> int:
    """Number of groups of neighbours, which begin at ``begins``, that hold different values."""
    if not len(values):
        return 0
    return int((np.minimum.reduceat(values, begins) != np.maximum.reduceat(values, begins)).sum())
