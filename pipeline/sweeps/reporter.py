"""A sweep as it is seen: a table that is drawn again on a terminal, else a line per trial."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipeline.core.printing import printable
from pipeline.sweeps.results import TrialRecord, best_first

_SHOWN = 12


class LineReporter:
    """A line for each trial that ends: for logs.

    Args:
        metric: of the score.
        most: trials in all.
        known: trials that ended in earlier calls.
        workers: how many run at once.
        write: prints a line.
        clock: seconds.
    """

    def __init__(
        self,
        *,
        metric: str,
        most: int,
        known: Sequence[TrialRecord],
        workers: int,
        write: Callable[[str], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._metric, self._most, self._lanes = metric, most, workers
        self._write, self._clock = write, clock
        self._trials = {record.trial: record for record in known}
        self._begun = clock()
        self._new = 0

    def began(self, number: int, values: Mapping[str, Any]) -> None:
        """No-op: a trial is worth a line when it ends."""

    def epoch(self, number: int, epoch: int, best: float) -> None:
        """Nor is an epoch."""

    def ended(self, record: TrialRecord) -> None:
        """Prints the trial."""
        self._take(record)
        best = best_first(list(self._trials.values()))
        against = f"; best {best[0].score:.4f} (trial {best[0].trial})" if best else ""
        self._write(
            f"trial {record.trial} ({len(self._trials)}/{self._most}): "
            f"{describe(record, self._metric)}{against}; {self.left()} left; "
            f"{settings(record.values)}"
        )

    def left(self) -> str:
        """The time left, from how long trials of this call took."""
        if not self._new:
            return "unknown time"
        each = (self._clock() - self._begun) / self._new
        return duration(each * (self._most - len(self._trials)))

    def _take(self, record: TrialRecord) -> None:
        self._trials[record.trial] = record
        self._new += 1


class TableReporter(LineReporter):
    """The best and the latest trials, what runs, and the time left, drawn again and again.

    Args:
        columns: of the terminal.
        others: as for ``LineReporter``; ``write`` is given text with its control characters.
    """

    def __init__(self, *, columns: Callable[[], int], **others: Any) -> None:
        super().__init__(**others)
        self._columns = columns
        self._running: dict[int, tuple[Mapping[str, Any], int, float | None]] = {}
        self._drawn = 0
        self._draw()

    def began(self, number: int, values: Mapping[str, Any]) -> None:
        """Shows it among those that run."""
        self._running[number] = (values, 0, None)
        self._draw()

    def epoch(self, number: int, epoch: int, best: float) -> None:
        """Shows how far it is."""
        self._running[number] = (self._running[number][0], epoch, best)
        self._draw()

    def ended(self, record: TrialRecord) -> None:
        """Shows it among those that ended."""
        self._running.pop(record.trial, None)
        self._take(record)
        self._draw()

    def _draw(self) -> None:
        width = self._columns()
        lines = [printable(line)[: width - 1] for line in self._lines()]
        up = f"\x1b[{self._drawn}F" if self._drawn else ""
        self._write(up + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J")
        self._drawn = len(lines)

    def _lines(self) -> list[str]:
        ended = list(self._trials.values())
        best = best_first(ended)
        shown = {record.trial for record in best[: _SHOWN // 2]}
        latest = [record for record in reversed(ended) if record.trial not in shown]
        shown |= {record.trial for record in latest[: _SHOWN - len(shown)]}
        lines = [f"trial  {self._metric:<14}  settings"]
        for number in sorted(shown):
            record = self._trials[number]
            mark = "*" if best and record.trial == best[0].trial else " "
            lines.append(f"{number:4}{mark}  {_short(record):<14}  {settings(record.values)}")
        for number, (values, epoch, score) in sorted(self._running.items()):
            so_far = "begins" if score is None else f"{score:.4f} ep. {epoch}"
            lines.append(f"{number:4}…  {so_far:<14}  {settings(values)}")
        found = f"best {best[0].score:.4f}, trial {best[0].trial}" if best else "no trial yet"
        lines.append(f"{len(ended)}/{self._most} trials; {found}; {self.left()} left")
        return lines


def describe(record: TrialRecord, metric: str) -> str:
    """A trial's result in words."""
    if record.state == "failed":
        return f"failed: {record.problem}"
    scored = f"{metric} {record.score:.4f}"
    if record.state == "pruned":
        return f"{scored}, given up after epoch {len(record.curve)}"
    return scored


def settings(values: Mapping[str, Any]) -> str:
    """Settings in one line; paths by their last part."""
    return ", ".join(f"{path.rsplit('.', 1)[-1]} {_value(v)}" for path, v in values.items())


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _value(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return str(value)


def _short(record: TrialRecord) -> str:
    if record.state == "failed":
        return "failed"
    given_up = f" ep. {len(record.curve)}" if record.state == "pruned" else ""
    return f"{record.score:.4f}{given_up}"
