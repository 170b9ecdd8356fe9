"""L-BFGS for smooth convex functions.

Liu and Nocedal 1989, "On the limited memory BFGS method for large scale optimization".
``torch.optim.LBFGS`` stops by the gradient or by a single step, neither of which says how much is
left to gain, and takes twice the steps for a line search that convex functions do not need.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

MOST_STEPS = 100
"""Steps after which a descent gives up."""

_STEPS_LOOKED_BACK = 5
_HISTORY = 20
_HISTORY_NUMBERS = 1 << 24
"""Numbers in the history, of float64: 134 MB."""

_LEAST_DECREASE = 1e-4
_MOST_HALVINGS = 30


@dataclass(frozen=True)
class Minimum:
    """Result of a descent.

    Attributes:
        position: where it ended.
        converged: whether there is as little left to gain as was asked.
    """

    position: Tensor
    converged: bool


def minimise(
    objective: Callable[[Tensor], tuple[float, Tensor]],
    start: Tensor,
    *,
    gain: float,
) -> Minimum:
    """Descends to the minimum of a convex function, whose curvature should be about 1 everywhere.

    The line search halves the step until the function falls enough. It asks for nothing of the
    slope at the end: where a function is strictly convex, that is positive along every step.

    Args:
        objective: the value at a position, and the gradient.
        start: float64 of any shape.
        gain: it ends where the last five steps gained less than that together, or where a hundredth
            of it is half the gradient's squared length: with a curvature of 1 that is all that is
            left to gain.
    """
    pairs: deque[tuple[Tensor, Tensor, float]] = deque(
        maxlen=max(3, min(_HISTORY, _HISTORY_NUMBERS // (2 * start.numel())))
    )
    values: deque[float] = deque(maxlen=_STEPS_LOOKED_BACK)
    position = start
    value, gradient = objective(position)
    for _ in range(MOST_STEPS):
        slow = len(values) == values.maxlen and values[0] - value <= gain
        if slow or float(gradient.square().sum()) / 2 <= gain / 100:
            return Minimum(position, converged=True)
        values.append(value)
        direction = _direction(gradient, pairs)
        slope = float((direction * gradient).sum())
        step = 1.0
        for _ in range(_MOST_HALVINGS):
            found, there = objective(position + step * direction)
            if found <= value + _LEAST_DECREASE * step * slope:
                break
            step /= 2
        else:  # what is left to gain is below the precision of the function
            return Minimum(position, converged=True)
        moved, turned = step * direction, there - gradient
        curvature = float((moved * turned).sum())
        if curvature > 0:
            pairs.append((moved, turned, curvature))
        position, value, gradient = position + moved, found, there
    return Minimum(position, converged=False)


def _direction(gradient: Tensor, pairs: deque[tuple[Tensor, Tensor, float]]) -> Tensor:
    """Minus the gradient times the inverse curvature that steps and turns tell of."""
    direction = -gradient
    shares = []
    for moved, turned, curvature in reversed(pairs):
        share = float((moved * direction).sum()) / curvature
        shares.append(share)
        direction = direction - share * turned
    if pairs:
        _, turned, curvature = pairs[-1]
        direction = direction * (curvature / float(turned.square().sum()))
    for (moved, turned, curvature), share in zip(pairs, reversed(shares), strict=True):
        direction = direction + (share - float((turned * direction).sum()) / curvature) * moved
    return direction
