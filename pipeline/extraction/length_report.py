"""Report of how long texts are, for the choice of ``max_length``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt


def length_report(lengths: npt.NDArray[np.int32]) -> dict[str, Any]:
    """Report how long texts are before truncation.

    Args:
        lengths: (examples,) int32, tokens of each.

    Returns:
        The lengths that a half, 90 % and 99 % of the examples do not exceed, and a histogram whose
        bins double in width: ``9-16`` counts the examples of 9 to 16 tokens.
    """
    ordered = np.sort(lengths)
    shares = {"median": 0.5, "percentile_90": 0.9, "percentile_99": 0.99}
    histogram: dict[str, int] = {}
    low, high = 1, 8
    while low <= ordered[-1]:
        histogram[f"{low}-{high}"] = int(((lengths >= low) & (lengths <= high)).sum())
        low, high = high + 1, high * 2
    return {
        **{
            name: int(ordered[max(math.ceil(share * len(ordered)) - 1, 0)])
            for name, share in shares.items()
        },
        "histogram": histogram,
    }
