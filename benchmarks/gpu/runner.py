"""Steps, one after another: each guarded, within a deadline, a line of JSON each.

A step is a generator of parts, a name with a function that gives its figure. What a part raises
stands in its place, and the parts after it go on. Bars among the figures come once more in the
last line, the summary.
"""

from __future__ import annotations

import json
import math
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from benchmarks.measure import Bar

LEAST_SECONDS = 3.0
"""A step that would have less than this is skipped."""

MOST_RESTARTS = 4

Bench = TypeVar("Bench")
Part = tuple[str, Callable[[], Any]]


@dataclass(frozen=True)
class Step(Generic[Bench]):
    """A step.

    Attributes:
        name: what its line is called.
        parts: yields its parts; what it does between them belongs to the step as a whole.
        most_seconds: after which it is stopped, so that the others have their turn.
    """

    name: str
    parts: Callable[[Bench], Iterable[Part]]
    most_seconds: float


@dataclass
class Progress:
    """What outlives the process that began, when a failed kernel has spoilt that.

    Attributes:
        began: seconds since the epoch.
        done: names of steps.
        bars: by step, part and name.
        restarts: processes before this one.
    """

    began: float = field(default_factory=time.time)
    done: list[str] = field(default_factory=list)
    bars: dict[str, dict[str, Any]] = field(default_factory=dict)
    restarts: int = 0

    @classmethod
    def read(cls, path: Path) -> Progress:
        """What ``write`` wrote, in another process."""
        found = cls(**json.loads(path.read_text(encoding="utf-8")))
        found.restarts += 1
        return found

    def write(self, path: Path) -> None:
        """Keeps it for the next process."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")


class _OutOfTime(BaseException):
    """A step has had its time; no ``except Exception`` of a library takes it for its own."""


@dataclass
class Runner(Generic[Bench]):
    """Runs steps.

    Attributes:
        bench: what every step is given.
        progress: of this process and those before it.
        deadline: seconds after the beginning in which all has to end.
        is_alive: whether the device still computes.
        tidy: called after each step.
        emit: takes a line.
    """

    bench: Bench
    progress: Progress
    deadline: float
    is_alive: Callable[[], bool] = lambda: True
    tidy: Callable[[], object] = lambda: None
    emit: Callable[[str], object] = lambda line: print(line, flush=True)

    @property
    def remaining(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - (time.time() - self.progress.began)

    def run(self, steps: Sequence[Step[Bench]]) -> bool:
        """Runs the steps that are not done yet; ``False`` where a new process has to go on."""
        for step in steps:
            if step.name in self.progress.done:
                continue
            self._run_step(step)
            self.progress.done.append(step.name)
            if not self.is_alive():
                if self.progress.restarts < MOST_RESTARTS:
                    self.line({"restart": self.progress.restarts + 1, "after": step.name})
                    return False
                self.line({"stopped": "the device has failed too often", "after": step.name})
                break
            self.tidy()
        self.line({"step": "summary", "seconds": self._elapsed(), "bars": self.progress.bars})
        return True

    def line(self, content: Mapping[str, Any]) -> None:
        """Prints a line of JSON at once, numbers to four digits."""
        self.emit(json.dumps(as_json(content)))

    def _elapsed(self) -> float:
        return time.time() - self.progress.began

    def _run_step(self, step: Step[Bench]) -> None:
        if self.remaining < LEAST_SECONDS:
            reason = f"the deadline of {self.deadline:g} s leaves {max(0.0, self.remaining):.0f} s"
            self.line({"step": step.name, "skipped": reason})
            return
        figures: dict[str, Any] = {}
        ending: dict[str, str] = {}
        begin = time.perf_counter()
        most = min(step.most_seconds, self.remaining)
        try:
            with _stopped_after(most):
                for name, part in step.parts(self.bench):
                    figures[name] = self._figure(part)
        except _OutOfTime:
            ending = {"stopped": f"after {most:.0f} s, its share of the time"}
        except Exception as error:  # a finding, and the next step may go well
            ending = {"error": one_line(error)}
        for place, bar in found_bars(figures):
            self.progress.bars[f"{step.name}.{place}"] = bar.as_json()
        seconds = time.perf_counter() - begin
        self.line({"step": step.name, "seconds": seconds, **figures, **ending})

    def _figure(self, part: Callable[[], Any]) -> Any:
        try:
            return part()
        except Exception as error:
            if not self.is_alive():
                raise
            return {"error": one_line(error)}


@contextmanager
def _stopped_after(seconds: float) -> Iterator[None]:
    """Raises where the block takes longer, as soon as Python runs again."""

    def stop(*_: object) -> None:
        raise _OutOfTime

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def one_line(error: BaseException) -> str:
    """An error's class and first line, and where it was raised."""
    lines = traceback.format_exception_only(error)[-1].strip().splitlines()
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{lines[0][:300]}{where}"


def found_bars(figures: Any, place: str = "") -> Iterator[tuple[str, Bar]]:
    """Yields the bars in a tree of figures, by their place."""
    if isinstance(figures, Bar):
        yield place, figures
    elif isinstance(figures, Mapping):
        for name, figure in figures.items():
            yield from found_bars(figure, f"{place}.{name}" if place else str(name))


def as_json(figure: Any) -> Any:
    """A tree of figures as it is printed."""
    if isinstance(figure, Bar):
        return figure.as_json()
    if isinstance(figure, Mapping):
        return {str(name): as_json(one) for name, one in figure.items()}
    if isinstance(figure, (list, tuple)):
        return [as_json(one) for one in figure]
    if figure is None or isinstance(figure, (bool, str, int)):
        return figure
    number = float(figure)
    return float(f"{number:.4g}") if math.isfinite(number) else str(number)
