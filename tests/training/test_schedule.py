from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.training.schedule import rate_factor

SCHEDULES = ["constant", "linear", "cosine"]
STEPS = st.integers(1, 300)
WARMUP = st.floats(0, 0.99)


def factors(steps: int, warmup: float, schedule: str) -> list[float]:
    return [
        rate_factor(step, steps=steps, warmup=warmup, schedule=schedule) for step in range(steps)
    ]


@given(STEPS, WARMUP, st.sampled_from(SCHEDULES))
def test_the_rate_climbs_in_a_straight_line_and_never_rises_again(
    steps: int, warmup: float, schedule: str
) -> None:
    course = factors(steps, warmup, schedule)
    rising = round(warmup * steps)
    assert course[:rising] == pytest.approx([(step + 1) / rising for step in range(rising)])
    assert course[rising:] == sorted(course[rising:], reverse=True)
    assert all(0 < factor <= 1 for factor in course), "no step is for nothing"


@given(STEPS, WARMUP)
def test_a_constant_rate_stays_at_its_highest(steps: int, warmup: float) -> None:
    rising = round(warmup * steps)
    assert set(factors(steps, warmup, "constant")[rising:]) <= {1.0}


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
@pytest.mark.parametrize("warmup", [0.0, 0.1])
def test_a_falling_rate_ends_near_zero(schedule: str, warmup: float) -> None:
    course = factors(1000, warmup, schedule)
    assert max(course) == 1
    assert course[-1] < 0.002
    assert course[round(1000 * (1 + warmup) / 2)] == pytest.approx(0.5, abs=1e-9), "half way down"


@given(STEPS, WARMUP, st.sampled_from(SCHEDULES), st.integers(0, 50))
def test_steps_beyond_the_last_never_turn_the_rate_round(
    steps: int, warmup: float, schedule: str, beyond: int
) -> None:
    """A corpus in blocks has a short batch at the end of each: more steps than were counted on."""
    factor = rate_factor(steps + beyond, steps=steps, warmup=warmup, schedule=schedule)
    assert 0 <= factor <= factors(steps, warmup, schedule)[-1]


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
def test_without_warmup_the_cosine_is_torchs() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50)
    for factor in factors(50, 0.0, "cosine"):
        assert factor == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-12)
        theirs.step()
