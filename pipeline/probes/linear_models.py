r"""The best linear model of some features: logistic regression, or ridge regression.

Features are standardised on the training rows: x of mean 0 and deviation 1. With weights W and an
intercept b that is not penalised, what is minimised is, over n rows,

    (1/n) \sum_i loss(W x_i + b, y_i) + (l2/2) ||W||^2

which is scikit-learn's objective with ``C = 1 / (n l2)``, or ``alpha = n l2`` for ridge. The loss
is the cross-entropy of a softmax, of one sigmoid per label, or half the squared error. All three
are convex: there is one minimum, whatever finds it, and no seed.

Hidden states make LBFGS slow: a few directions hold most of the variance, and rare classes hardly
bend the loss. Two changes of coordinates leave the minimum where it is. Features are rotated onto
the eigenvectors of their covariance, which the penalty does not notice, and ridge is then a
division. For logistic regression, coordinates are scaled by the root of the curvature that the
objective has where LBFGS starts, so that it sees about the same curvature everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

Loss: TypeAlias = Literal["softmax", "sigmoid", "squared"]
Floats: TypeAlias = npt.NDArray[np.float32] | npt.NDArray[np.float64]

_ROWS_AT_ONCE = 8192
_MOST_STEPS = 500
_HISTORY = 100
_LEAST_CURVATURE = 1e-6


@dataclass(frozen=True)
class LinearModel:
    """``x @ weights + bias`` for features as they are.

    Attributes:
        weights: (features, outputs) float64.
        bias: (outputs,) float64.
        converged: whether the gradient became as small as was asked.
    """

    weights: npt.NDArray[np.float64]
    bias: npt.NDArray[np.float64]
    converged: bool

    def __call__(self, features: Floats) -> npt.NDArray[np.float64]:
        """(rows, outputs) float64."""
        parts = [rows.astype(np.float64) @ self.weights for rows in _blocks(features)]
        result: npt.NDArray[np.float64] = np.concatenate(parts) + self.bias
        return result


class LinearFit:
    """Fits linear models of one set of training rows.

    A fit starts from the one before, or from its own if that penalty was fitted already: it is
    quick from a larger penalty to a smaller one, and to make an earlier fit more exact. Memory is
    that of the features, and of a few arrays of rows x outputs.

    Args:
        features: (rows, features) float32 or float64, the precision of products; standardised and
            rotated in place, never copied. Sums over rows are float64 in any case.
        targets: (rows, outputs): 0 or 1 for ``softmax`` and ``sigmoid``, numbers for ``squared``.
        loss: see the module.
    """

    def __init__(self, features: Floats, targets: npt.NDArray[np.float64], loss: Loss) -> None:
        self._loss = loss
        self._mean, self._deviation = _standardise(features)
        self._features = torch.from_numpy(features)
        self._spectrum, self._rotation = _rotate(self._features)
        self._targets = torch.from_numpy(targets)
        self._centre = self._targets.mean(0)
        outputs = targets.shape[1]
        self._found: dict[float, Tensor] = {}
        # The last row is the intercept: it starts where it would be if features said nothing.
        self._weights = torch.zeros(features.shape[1] + 1, outputs, dtype=torch.float64)
        least = 0.5 / len(features)
        share = self._centre.clamp(least, 1 - least)
        if loss == "softmax":
            self._weights[-1] = share.log()
        elif loss == "sigmoid":
            self._weights[-1] = share.logit()
        if loss != "squared":
            self._targets = self._targets.to(self._features.dtype)

    def fit(self, l2: float, *, tolerance: float) -> LinearModel:
        """The model of one penalty.

        Args:
            l2: the penalty, above 0.
            tolerance: largest component of the gradient, in the coordinates that LBFGS sees. There
                the curvature is about 1: the objective is about half the gradient's squared length
                above its minimum. Products in float32 allow 1e-5, in float64 1e-7.
        """
        converged = True
        self._weights = self._found.get(l2, self._weights).clone()
        if self._loss == "squared":
            products = sum(
                block.double().T @ targets
                for block, targets in zip(
                    self._features.split(_ROWS_AT_ONCE),
                    self._targets.split(_ROWS_AT_ONCE),
                    strict=True,
                )
            )
            self._weights[:-1] = products / len(self._features) / (self._spectrum[:, None] + l2)
            self._weights[-1] = self._centre
        else:
            converged = self._descend(l2, tolerance)
        self._found[l2] = self._weights
        weights = (self._rotation @ self._weights[:-1]).numpy() / self._deviation[:, None]
        bias = self._weights[-1].numpy() - self._mean @ weights
        return LinearModel(weights, bias, converged)

    def _descend(self, l2: float, tolerance: float) -> bool:
        """Moves the weights to the minimum by LBFGS with strong Wolfe line search."""
        scale = 1 / self._curvature(l2).sqrt()
        position = (self._weights / scale).requires_grad_()
        largest = float("inf")

        def closure() -> Tensor:
            nonlocal largest
            value, gradient = self._objective(position.detach() * scale, l2)
            position.grad = gradient * scale
            largest = float(position.grad.abs().max())
            return value

        optimizer = torch.optim.LBFGS(
            [position],
            max_iter=_MOST_STEPS,
            tolerance_grad=tolerance,
            tolerance_change=0,
            history_size=_HISTORY,
            line_search_fn="strong_wolfe",
        )
        optimizer.step(closure)
        closure()
        self._weights = position.detach() * scale
        return largest <= tolerance

    def _objective(self, weights: Tensor, l2: float) -> tuple[Tensor, Tensor]:
        """The objective, and its gradient: (features + 1, outputs) float64."""
        logits = self._logits(weights)
        if self._loss == "softmax":
            logs = logits.log_softmax(1)
            losses = -(self._targets * logs)
            surplus = logs.exp_() - self._targets
        else:
            losses = F.softplus(logits) - self._targets * logits
            surplus = logits.sigmoid() - self._targets
        rows = len(logits)
        # The transpose of a product: with few outputs it is six times as fast on a CPU.
        gradient = torch.cat(
            [
                (surplus.T @ self._features).T.double() / rows + l2 * weights[:-1],
                surplus.sum(0, keepdim=True, dtype=torch.float64) / rows,
            ]
        )
        value = losses.sum(dtype=torch.float64) / rows + l2 / 2 * weights[:-1].square().sum()
        return value, gradient

    def _curvature(self, l2: float) -> Tensor:
        """The diagonal of the objective's Hessian at the weights: (features + 1, outputs)."""
        logits = self._logits(self._weights)
        sure = logits.softmax(1) if self._loss == "softmax" else logits.sigmoid()
        weight = sure * (1 - sure)
        rows = len(logits)
        squares = torch.zeros(self._weights[:-1].T.shape, dtype=torch.float64)
        for block, own in zip(
            self._features.split(_ROWS_AT_ONCE), weight.split(_ROWS_AT_ONCE), strict=True
        ):
            squares += own.T @ block.square()
        intercept = weight.mean(0, keepdim=True, dtype=torch.float64).clamp(min=_LEAST_CURVATURE)
        return torch.cat([squares.T / rows + l2, intercept])

    def _logits(self, weights: Tensor) -> Tensor:
        narrow = weights.to(self._features.dtype)
        return torch.addmm(narrow[-1], self._features, narrow[:-1])


def best_of(
    fit: LinearFit,
    penalties: Sequence[float],
    *,
    score: Callable[[LinearModel], float],
    tolerance: float,
) -> tuple[float, dict[float, float]]:
    """The penalty with the best score, the largest one among equals, and the score of each.

    Args:
        fit: of the training rows.
        penalties: tried from the largest to the smallest, each fit beginning at the one before.
        score: higher is better.
        tolerance: of each fit.
    """
    scores = {l2: score(fit.fit(l2, tolerance=tolerance)) for l2 in sorted(penalties, reverse=True)}
    return max(scores, key=lambda l2: (scores[l2], l2)), scores


def _standardise(
    features: Floats,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Gives every column mean 0 and deviation 1, in place; returns what they were.

    A column that is constant but for rounding keeps a deviation of 1, and so becomes 0.
    """
    rows = len(features)
    mean = sum(block.sum(0, dtype=np.float64) for block in _blocks(features)) / rows
    squares = sum(((block - mean) ** 2).sum(0) for block in _blocks(features)) / rows
    deviation = np.sqrt(squares)
    deviation[deviation <= 1e-6 * np.abs(mean)] = 1.0
    for block in _blocks(features):
        block[:] = (block - mean) / deviation
    return mean, deviation


def _rotate(features: Tensor) -> tuple[Tensor, Tensor]:
    """Turns features onto the eigenvectors of their covariance, in place.

    Returns:
        (features,) variance along each eigenvector, and (features, features) the rotation.
    """
    width = features.shape[1]
    covariance = torch.zeros(width, width, dtype=torch.float64)
    for block in features.split(_ROWS_AT_ONCE):
        covariance += block.T @ block
    spectrum, rotation = torch.linalg.eigh(covariance / len(features))
    narrow = rotation.to(features.dtype)
    for block in features.split(_ROWS_AT_ONCE):
        block.copy_(block @ narrow)
    return spectrum.clamp(min=0), rotation


def _blocks(features: Floats) -> Iterator[Floats]:
    """Views of some rows each, so that no copy of all is ever made."""
    for start in range(0, max(len(features), 1), _ROWS_AT_ONCE):
        yield features[start : start + _ROWS_AT_ONCE]
