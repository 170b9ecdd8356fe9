"""A sweep as it is seen: plain lines, or a table on a terminal."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from pipeline.sweeps.reporter import LineReporter, TableReporter, duration, settings
from pipeline.sweeps.results import SeedScore, TrialRecord, best_first


def record(number: int, score: float | None, state: str = "complete", **more: Any) -> TrialRecord:
    values: dict[str, Any] = {
        "trial": number,
        "state": state,
        "score": score,
        "values": {"recurrent.hidden_size": 64, "layers": [4, -1], "crf": False},
        "drawn": {},
        "seeds": {13: SeedScore(dev_score=score or 0.0, best_epoch=2, epochs=3)},
        "curve": [0.1, score or 0.0, 0.0],
        "parameters": 7,
        "threads": 1,
    }
    return TrialRecord(**values | more)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_line_has_trial_score_best_and_time_left() -> None:
    clock, lines = Clock(), []
    known = [record(0, 0.5)]
    reporter = LineReporter(
        metric="entity_f1", most=5, known=known, workers=1, write=lines.append, clock=clock
    )
    reporter.began(1, {})
    reporter.epoch(1, 1, 0.2)
    clock.now = 60.0
    reporter.ended(record(1, 0.25, "pruned"))
    clock.now = 80.0
    reporter.ended(record(2, 0.75))
    reporter.ended(record(3, None, "failed", problem="the loss became nan"))
    assert lines == [
        (
            "trial 1 (2/5): entity_f1 0.2500, given up after epoch 3; best 0.5000 (trial 0); "
            "3 min left; hidden_size 64, layers [4, -1], crf false"
        ),
        (
            "trial 2 (3/5): entity_f1 0.7500; best 0.7500 (trial 2); "
            "1 min left; hidden_size 64, layers [4, -1], crf false"
        ),
        (
            "trial 3 (4/5): failed: the loss became nan; best 0.7500 (trial 2); "
            "27 s left; hidden_size 64, layers [4, -1], crf false"
        ),
    ]


def test_a_table_is_drawn_over_itself_and_fits_the_terminal() -> None:
    written: list[str] = []
    reporter = TableReporter(
        metric="entity_f1",
        most=30,
        known=[record(number, number / 100) for number in range(20)],
        workers=2,
        write=written.append,
        clock=Clock(),
        columns=lambda: 40,
    )
    reporter.began(20, {"layers": [4]})
    reporter.began(21, {"layers": [2]})
    reporter.epoch(20, 3, 0.1234)
    assert len(written) == 4
    for before, after in itertools.pairwise(written):
        assert after.startswith(f"\x1b[{before.count(chr(10))}F")
    lines = [line.removesuffix("\x1b[K") for line in written[-1].split("\n")]
    assert all(len(line) < 40 for line in lines[1:-1])
    assert sum("*" in line for line in lines) == 1
    assert any("19*  0.1900" in line for line in lines)
    assert any("20…  0.1234 ep. 3" in line for line in lines)
    assert any("21…  begins" in line for line in lines)
    assert "20/30 trials; best 0.1900, trial 19" in written[-1]
    reporter.ended(record(20, 0.3))
    assert "21/30 trials; best 0.3000, trial 20" in written[-1]
    assert "20…" not in written[-1]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59, "59 s"), (61, "1 min"), (3599, "1 h 0 min"), (7000, "1 h 57 min")],
)
def test_durations_are_said_as_people_do(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_settings_are_written_as_in_yaml() -> None:
    values = {"a.b": None, "c": True, "d.e.f": "gru", "g": 0.001}
    assert settings(values) == "b null, c true, f gru, g 0.001"


def test_the_earlier_trial_is_first_among_equals_and_pruned_ones_do_not_count() -> None:
    trials = [record(3, 0.5), record(1, 0.5), record(2, 0.7, "pruned"), record(0, -1.0)]
    assert [trial.trial for trial in best_first(trials)] == [1, 3, 0]
