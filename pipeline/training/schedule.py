"""Learning-rate schedules."""

from __future__ import annotations

import math


def rate_factor(step: int, *, steps: int, warmup: float, schedule: str) -> float:
    """Factor of the learning rate at a step.

    Args:
        step: steps done, from 0.
        steps: of the whole training; of those beyond, which the short batches at the ends of blocks
            may bring, the rate is that of the end.
        warmup: share of the steps in which the rate climbs from zero in a straight line.
        schedule: ``constant``, or ``linear`` or ``cosine`` down to zero after the last step.
    """
    rising = round(warmup * steps)
    if step < rising:
        return (step + 1) / rising
    done = min(1.0, (step - rising) / max(1, steps - rising))
    if schedule == "linear":
        return 1 - done
    if schedule == "cosine":
        return (1 + math.cos(math.pi * done)) / 2
    return 1.0
