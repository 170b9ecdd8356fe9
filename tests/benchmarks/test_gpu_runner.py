"""The runner of the GPU's steps: whatever one does, it is told, and the others go on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu.runner import MOST_RESTARTS, Part, Progress, Runner, Step, as_json, one_line
from benchmarks.measure import Bar


def step(name: str, *parts: Part, seconds: float = 60, fails: bool = False) -> Step[None]:
    def run(_: None) -> Iterator[Part]:
        yield from parts
        if fails:
            raise LookupError("no such model")

    return Step(name, run, seconds)


def broken() -> None:
    raise ValueError("odd shape\nand more")


def run(
    *steps: Step[None], began: float = 0, deadline: float = 60, **options: Any
) -> tuple[bool, list[dict[str, Any]], Progress]:
    lines: list[str] = []
    progress = options.pop("progress", None) or Progress(began=time.time() - began)
    runner = Runner(None, progress, deadline, emit=lines.append, **options)
    return runner.run(steps), [json.loads(line) for line in lines], progress


def test_a_part_that_fails_is_told_and_the_rest_go_on() -> None:
    ended, lines, _ = run(
        step("first", ("good", lambda: 1), ("bad", broken), ("after", lambda: 2)),
        step("second", ("good", lambda: {"ms": 1.23456})),
    )
    assert ended
    first, second, summary = lines
    assert (first["good"], first["after"]) == (1, 2)
    assert first["bad"]["error"].startswith("ValueError: odd shape (test_gpu_runner.py:")
    assert second["good"] == {"ms": 1.235}
    assert summary["step"] == "summary"


def test_a_step_that_fails_between_its_parts_keeps_what_it_had() -> None:
    _, (first, second, _), _ = run(
        step("first", ("good", lambda: 1), fails=True), step("second", ("good", lambda: 2))
    )
    assert first["good"] == 1
    assert "LookupError: no such model" in first["error"]
    assert second["good"] == 2


def test_steps_after_the_deadline_are_skipped_and_say_why() -> None:
    ran: list[str] = []
    steps = [step(name, ("ran", lambda name=name: ran.append(name))) for name in "ab"]
    _, lines, _ = run(*steps, began=59)
    assert not ran
    assert [line["skipped"] for line in lines[:2]] == ["the deadline of 60 s leaves 1 s"] * 2
    assert lines[2]["step"] == "summary"


def waiting(swallowed: list[str]) -> Callable[[], None]:
    def wait() -> None:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                time.sleep(0.01)
            except Exception as error:  # as libraries do
                swallowed.append(repr(error))

    return wait


def test_a_step_that_takes_too_long_is_stopped_and_the_next_one_runs() -> None:
    swallowed: list[str] = []
    begin = time.monotonic()
    _, (first, second, _), _ = run(
        step("slow", ("good", lambda: 1), ("wait", waiting(swallowed)), seconds=0.2),
        step("next", ("good", lambda: 2)),
    )
    assert time.monotonic() - begin < 10
    assert not swallowed
    assert (first["good"], first["stopped"]) == (1, "after 0 s, its share of the time")
    assert second["good"] == 2


def test_the_deadline_also_stops_a_step_that_runs() -> None:
    _, (first, second, _), _ = run(
        step("slow", ("wait", waiting([]))), step("next"), began=56.5, deadline=60
    )
    assert first["stopped"].endswith(" s, its share of the time")
    assert "deadline" in second["skipped"]


def test_a_dead_device_ends_the_process_and_the_next_one_does_the_rest(tmp_path: Path) -> None:
    alive = [True]

    def kill() -> None:
        alive[0] = False
        raise RuntimeError("an illegal memory access was encountered")

    steps = [
        step("first", ("bar", lambda: Bar(2.0, 1.0))),
        step("deadly", ("good", lambda: 1), ("kill", kill), ("after", lambda: 2)),
        step("last", ("good", lambda: 3)),
    ]
    ended, lines, progress = run(*steps, is_alive=lambda: alive[0])
    assert not ended
    assert [line.get("step") for line in lines] == ["first", "deadly", None]
    assert "illegal memory access" in lines[1]["error"]
    assert "after" not in lines[1]
    assert lines[2] == {"restart": 1, "after": "deadly"}

    progress.write(tmp_path / "progress.json")
    again = Progress.read(tmp_path / "progress.json")
    assert again.began == progress.began
    ended, lines, _ = run(*steps, progress=again)
    assert ended
    assert [line["step"] for line in lines] == ["last", "summary"]
    assert lines[1]["bars"] == {"first.bar": {"value": 2.0, "bound": 1.0, "met": True}}


def test_a_device_that_fails_again_and_again_ends_it() -> None:
    progress = Progress(restarts=MOST_RESTARTS)
    ended, lines, _ = run(step("a"), step("b"), progress=progress, is_alive=lambda: False)
    assert ended
    assert [line.get("step") for line in lines] == ["a", None, "summary"]
    assert lines[1]["stopped"] == "the device has failed too often"


def test_bars_of_all_parts_come_once_more_at_the_end() -> None:
    parts = ("rate", lambda: {"ms": 2, "ratio": Bar(1.5, 1.3, at_most=True)})
    _, (_, summary), _ = run(step("heads", parts))
    assert summary["bars"] == {"heads.rate.ratio": {"value": 1.5, "bound": 1.3, "met": False}}


@pytest.mark.parametrize(
    ("figure", "printed"),
    [
        (float("nan"), "nan"),
        (123456.0, 123500.0),
        (123456, 123456),
        (True, True),
        (None, None),
        ((1.0, "a"), [1.0, "a"]),
    ],
)
def test_figures_are_json_whatever_they_are(figure: object, printed: object) -> None:
    assert as_json(figure) == printed


def test_an_error_without_words_is_its_class() -> None:
    assert one_line(KeyError()) == "KeyError"
