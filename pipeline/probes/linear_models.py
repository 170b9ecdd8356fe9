r"""The best linear model of some rows: logistic regression, or ridge regression.

With weights W and an intercept b that is not penalised, what is minimised is, over n rows x,

    (1/n) \sum_i loss(W x_i + b, y_i) + (l2/2) ||W||^2

which is scikit-learn's objective with ``C = 1 / (n l2)``, or ``alpha = n l2`` for ridge. The loss
is the cross-entropy of a softmax, of one sigmoid per label, or half the squared error. All three
are convex: there is one minimum, whatever finds it, and no seed.

Dense rows are standardised, to mean 0 and deviation 1. All rows are read a block at a time, in
float32, and summed in float64; only their targets, and a bounded part of the rows, are held.

Hidden states make L-BFGS slow: a few directions hold most of the variance, and rare classes hardly
bend the loss. A change of coordinates leaves the minimum where it is: weights are turned onto the
eigenvectors of the rows' covariance, which the penalty does not notice and which touches no row,
and scaled by the root of the curvature that the objective has there where L-BFGS starts, so that it
sees about the same curvature everywhere. Both are taken from some thousand rows. Where there are no
more, ridge regression needs a step or two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.probes.lbfgs import minimise
from pipeline.probes.rows import Block, DenseBlock, Rows, Span, SparseRows
from pipeline.probes.standardised import Moments, Standardised, sampled

Loss: TypeAlias = Literal["softmax", "sigmoid", "squared"]

_LEAST_CURVATURE = 1e-6


@dataclass(frozen=True)
class LinearModel:
    """``x @ weights + bias`` for rows as they are.

    Attributes:
        weights: (width, outputs) float64.
        bias: (outputs,) float64.
        converged: whether the gradient became as small as was asked.
    """

    weights: npt.NDArray[np.float64]
    bias: npt.NDArray[np.float64]
    converged: bool

    def __call__(self, rows: Rows) -> npt.NDArray[np.float64]:
        """(rows, outputs) float64."""
        weights = torch.from_numpy(self.weights.astype(np.float32))
        parts = [part.numpy() for part in rows.map(lambda block, _: block.times(weights))]
        result: npt.NDArray[np.float64] = np.concatenate(parts).astype(np.float64) + self.bias
        return result


class LinearFit:
    """Fits linear models of one set of training rows.

    A fit starts from that of the nearest penalty that was fitted before, which may be its own: it
    is quick from a larger penalty to a smaller one, and to make an earlier fit more exact.

    Args:
        rows: sparse, or dense and then standardised.
        targets: for ``softmax`` (rows,) the index of each row's class; else (rows, outputs): 0 or 1
            for ``sigmoid``, numbers for ``squared``.
        outputs: classes, labels or numbers.
        loss: see the module.
    """

    def __init__(self, rows: Rows, targets: npt.NDArray[Any], *, outputs: int, loss: Loss) -> None:
        self._loss = loss
        self._basis = _basis_of(rows)
        if loss == "softmax":
            self._targets = torch.from_numpy(targets.astype(np.int64))
            centre = torch.bincount(self._targets, minlength=outputs).double() / rows.count
        else:
            numbers = torch.from_numpy(targets.astype(np.float64))
            centre = numbers.mean(0)
            self._targets = numbers.float()
        # Numbers are learnt with mean 0 and deviation 1, in which the objective is as precise as
        # that of probabilities.
        self._centre, self._scale = torch.zeros(outputs).double(), torch.ones(outputs).double()
        if loss == "squared":
            scale = numbers.std(0, correction=0)
            self._centre, self._scale = centre, torch.where(scale > 0, scale, 1.0)
            self._targets = ((numbers - self._centre) / self._scale).float()
        # The last row is the intercept: it starts where it would be if rows said nothing.
        self._weights = torch.zeros(rows.width + 1, outputs, dtype=torch.float64)
        least = 0.5 / rows.count
        share = centre.clamp(least, 1 - least)
        if loss == "softmax":
            self._weights[-1] = share.log()
        elif loss == "sigmoid":
            self._weights[-1] = share.logit()
        self._found: dict[float, Tensor] = {}
        self._trivial_loss = _trivial_loss(share, loss)

    def fit(self, l2: float, *, tolerance: float) -> LinearModel:
        """The model of one penalty.

        Args:
            l2: the penalty, above 0.
            tolerance: what the last steps may gain, as a share of the loss of a model that knows
                the shares of classes alone; see ``minimise``. Sums in float32 allow 1e-8.
        """
        nearest = min(self._found, key=lambda known: abs(math.log(known / l2)), default=None)
        start = self._weights if nearest is None else self._found[nearest]
        scale = 1 / self._curvature(start, l2).sqrt()

        def objective(position: Tensor) -> tuple[float, Tensor]:
            value, gradient = self._objective(position * scale, l2)
            return value, gradient * scale

        found = minimise(objective, start / scale, gain=tolerance * self._trivial_loss)
        self._found[l2] = found.position * scale
        weights, bias = self._basis.of_rows(self._found[l2])
        return LinearModel(
            (weights * self._scale).numpy(),
            (bias * self._scale + self._centre).numpy(),
            found.converged,
        )

    def _objective(self, weights: Tensor, l2: float) -> tuple[float, Tensor]:
        """The objective, and its gradient: (width + 1, outputs) float64."""
        turned, intercept = self._basis.turned(weights[:-1]).float(), weights[-1].float()

        def part(block: Block, span: Span) -> tuple[float, Tensor, Tensor]:
            loss, surplus = self._surplus(block.times(turned).add_(intercept), span)
            return loss, block.transposed_times(surplus), surplus.sum(0, dtype=torch.float64)

        value, products = 0.0, torch.zeros(turned.shape, dtype=torch.float64)
        sums = torch.zeros(turned.shape[1], dtype=torch.float64)
        for loss, own_products, own_sums in self._basis.rows.map(part):
            value += loss
            products += own_products
            sums += own_sums
        count = self._basis.rows.count
        gradient = self._basis.turned_back(products) / count + l2 * weights[:-1]
        value = value / count + l2 / 2 * float(weights[:-1].square().sum())
        return value, torch.cat([gradient, sums[None] / count])

    def _surplus(self, outputs: Tensor, span: Span) -> tuple[float, Tensor]:
        """The sum of losses of some rows, and its gradient with regard to their outputs."""
        targets = self._targets[span]
        if self._loss == "softmax":
            logs = outputs.log_softmax(1)
            loss = -float(logs.gather(1, targets[:, None]).sum(dtype=torch.float64))
            surplus = logs.exp_()
            surplus[torch.arange(len(targets)), targets] -= 1
            return loss, surplus
        if self._loss == "sigmoid":
            losses = F.softplus(outputs) - targets * outputs
            return float(losses.sum(dtype=torch.float64)), outputs.sigmoid() - targets
        surplus = outputs - targets
        return float(surplus.square().sum(dtype=torch.float64)) / 2, surplus

    def _curvature(self, weights: Tensor, l2: float) -> Tensor:
        """About the diagonal of the objective's Hessian: (width + 1, outputs) float64."""
        sample = self._basis.sample
        outputs = sample.times(weights[:-1].float()) + weights[-1].float()
        if self._loss == "squared":
            curvature = torch.ones_like(outputs)
        else:
            sure = outputs.softmax(1) if self._loss == "softmax" else outputs.sigmoid()
            curvature = sure * (1 - sure)
        squares = sample.squared().transposed_times(curvature).double() / len(outputs)
        mean = curvature.mean(0, keepdim=True, dtype=torch.float64).clamp(min=_LEAST_CURVATURE)
        return torch.cat([squares + l2, mean])


def _trivial_loss(share: Tensor, loss: Loss) -> float:
    """The objective without weights: of classes and labels, the entropy of their shares."""
    if loss == "squared":
        return len(share) / 2
    entropy = -(share * share.log())
    if loss == "sigmoid":
        entropy = entropy - (1 - share) * (1 - share).log()
    return float(entropy.sum())


@dataclass(frozen=True)
class _Basis:
    """Coordinates of weights.

    Attributes:
        rows: standardised, or sparse and as they are.
        sample: of these, in coordinates.
        vectors: (width, width) float64 the coordinates, in columns; ``None``: columns of the rows.
        moments: of the rows before; ``None`` where they are not standardised.
    """

    rows: Rows
    sample: Block
    vectors: Tensor | None
    moments: Moments | None

    def turned(self, weights: Tensor) -> Tensor:
        """Weights on ``rows`` from those on coordinates."""
        return weights if self.vectors is None else self.vectors @ weights

    def turned_back(self, gradient: Tensor) -> Tensor:
        """Gradient in coordinates from that on ``rows``."""
        return gradient if self.vectors is None else self.vectors.T @ gradient

    def of_rows(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Weights and intercept on the rows as they were, from (width + 1, outputs)."""
        turned, intercept = self.turned(weights[:-1]), weights[-1]
        if self.moments is None:
            return turned, intercept
        raw = turned / self.moments.deviation[:, None]
        return raw, intercept - self.moments.mean @ raw


def _basis_of(rows: Rows) -> _Basis:
    if isinstance(rows, SparseRows):
        return _Basis(rows, rows.read(slice(None)), None, None)
    moments = Moments.of(rows)
    standardised = Standardised(rows, moments)
    sample, vectors = sampled(standardised)
    return _Basis(standardised, DenseBlock(sample), vectors, moments)
