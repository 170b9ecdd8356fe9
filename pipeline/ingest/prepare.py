"""Parts text and labels: what an encoder needs never depends on what a head needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from pipeline.core.errors import DataError
from pipeline.ingest.counts import LabelCounts, Tally
from pipeline.ingest.problems import Problems
from pipeline.ingest.rows import Example
from pipeline.ingest.scan import CHANGED, CorpusScan, RepeatedInputs
from pipeline.ingest.settings import STORED_KIND, CorpusSettings
from pipeline.ingest.splits import SplitOfRows


@dataclass(frozen=True)
class PreparedCorpus:
    """A corpus as the later stages read it; rows in raw order, none in memory.

    Attributes:
        examples: the rows, read anew by each iteration.
        splits: the split of each row.
        split_names: the splits that there are, in order.
        kinds: the stored kind of each label.
        repeated: inputs that more than one row has.
        tally: what reading the rows did besides.
    """

    examples: Iterable[Example]
    splits: Sequence[str]
    split_names: Sequence[str]
    kinds: dict[str, str]
    repeated: RepeatedInputs
    tally: Tally

    def rows(self, counts: LabelCounts | None = None) -> Iterator[tuple[Example, str]]:
        """Yields each row and its split, and counts its labels.

        Raises:
            DataError: there are other rows than there were.
        """
        done = 0
        for example in self.examples:
            if done == len(self.splits):
                raise DataError(CHANGED)
            split = self.splits[done]
            if counts is not None:
                counts.add(example.labels, split)
            yield example, split
            done += 1
        if done != len(self.splits):
            raise DataError(CHANGED)

    def label_counts(self) -> LabelCounts:
        """For ``rows`` to fill."""
        return LabelCounts(self.kinds, self.split_names)

    @property
    def report(self) -> dict[str, Any]:
        """Report of the corpus; reads all rows."""
        counts = self.label_counts()
        for _ in self.rows(counts):
            pass
        return self.report_of(counts)

    def report_of(self, counts: LabelCounts) -> dict[str, Any]:
        """Report of the corpus, from labels that were counted while rows were written."""
        rows = dict.fromkeys(self.split_names, 0)
        for split in self.splits:
            rows[split] += 1
        report: dict[str, Any] = {"rows": len(self.splits), "splits": rows}
        if self.tally.dropped:
            report["rows_dropped_for_lack_of_text"] = self.tally.dropped
        if self.tally.skipped_lines:
            report["skipped_lines"] = self.tally.skipped_lines
        if self.tally.hidden:
            report["hidden_files_left_out"] = self.tally.hidden
        if entities := [name for name, kind in self.kinds.items() if kind == "bio"]:
            report["rows_with_repaired_tags"] = {
                name: self.tally.repaired[name] for name in entities
            }
        report["repeated_inputs"] = {
            "inputs": self.repeated.inputs,
            "rows_beyond_the_first": self.repeated.rows_beyond_the_first,
            "inputs_in_several_splits": self.repeated.in_several_splits,
            "inputs_with_conflicting_labels": self.repeated.conflicting,
        }
        report["labels"] = counts.summary()
        report["balance"] = counts.balance()
        report["warnings"] = [*self._warnings(), *counts.warnings()]
        return report

    def _warnings(self) -> Iterator[str]:
        for split, count in self.repeated.rows_seen_in_training.items():
            if count:
                yield f"{count} rows of {split} have a text that is also in train"
        for label, count in self.repeated.conflicting.items():
            if count:
                yield f"label {label!r}: {count} texts occur more than once with different labels"


def prepare(
    examples: Iterable[Example],
    settings: CorpusSettings,
    *,
    problems: Problems | None = None,
    tally: Tally | None = None,
) -> PreparedCorpus:
    """Reads the examples once and splits them.

    Args:
        examples: can be iterated over again, as a list or a ``RawCorpus``.
        settings: how to split them.
        problems: where to note what is wrong with the rows together; without it, that is not
            looked at.
        tally: where reading the examples counts what it does besides.
    """
    names = settings.split.split_names
    with closing(CorpusScan(settings)) as scan:
        for example in examples:
            scan.add(example)
        if problems is not None:
            scan.note_problems(problems, examples)
        return PreparedCorpus(
            examples=examples,
            splits=SplitOfRows(names, scan.splits),
            split_names=names,
            kinds={name: STORED_KIND[kind] for name, kind in settings.labels.items()},
            repeated=scan.repeated_inputs(),
            tally=tally or Tally(),
        )
