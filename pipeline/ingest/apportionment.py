"""Which side of a cut the group goes to that the cut falls in, stratum by stratum.

Where each stratum rounds alike, errors add up: a hundred classes of four rows, cut at 80% and 90%,
would each give three rows to train and one to dev, and none to test. So errors are carried from one
stratum to the next. As in systematic sampling, one point between 0 and 1 decides about all groups
of a stratum: a group is before a cut where that point of it is. No split of a stratum is then
further from its share than a group is large, whatever the point is.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MIDDLE = 0.5
"""The point of strata whose errors need no balance."""

_NARROW = 1e-9
"""Of an interval of points that is there by the rounding of floats alone."""


def rounding_points(
    begins: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int64],
    totals: npt.NDArray[np.int64],
    cuts: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """(strata,) the point of its groups by which each stratum rounds, between 0 and 1.

    Strata with large groups go first, and small ones make up for them. Each takes the middle as
    long as no split as a whole is off by a row, else the point that leaves the least error.

    Args:
        begins: (strata, cuts - 1) rows of the stratum before the group that each cut falls in.
        sizes: (strata, cuts - 1) rows of that group.
        totals: (strata,) rows.
        cuts: (splits,) cumulative shares of the splits; the last is 1.
    """
    points = np.full(len(totals), MIDDLE)
    shares = totals[:, None] * cuts[:-1]
    error = np.zeros(len(cuts) - 1)  # rows before each cut, less the share of the strata so far
    for stratum in np.argsort(-sizes.max(axis=1, initial=0), kind="stable"):
        if not totals[stratum]:
            continue
        begin, size = begins[stratum], sizes[stratum]
        tried = _points((shares[stratum] - begin) / np.maximum(size, 1))
        before = (begin + tried[:, None] * size) / totals[stratum] <= cuts[:-1]
        errors = error + begin + np.where(before, size, 0) - shares[stratum]
        off = np.diff(errors, axis=1, prepend=0.0, append=0.0)  # of each split
        # Rounded, so that the first of equals is taken whatever the last bits are.
        uneven = np.round((off**2).sum(axis=1), 6)
        best = 0 if abs(off[0]).max() < 1 - _NARROW else int(uneven.argmin())
        points[stratum], error = tried[best], errors[best]
    return points


def _points(ends: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The middle, then one point of each interval between the ends."""
    ends = np.unique(np.clip([0.0, *ends, 1.0], 0.0, 1.0))
    wide = np.diff(ends) > _NARROW
    return np.concatenate([[MIDDLE], ((ends[:-1] + ends[1:]) / 2)[wide]])
