from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from pipeline.tasks.thresholds import best_thresholds

ROWS = st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=1, max_size=25)
"""Probabilities in eighths, so that many are equal, and whether the text has the label."""


@given(ROWS)
def test_a_threshold_is_the_best_of_all_and_the_lowest_of_equals(
    rows: list[tuple[int, bool]],
) -> None:
    probabilities = np.array([eighths / 8 for eighths, _ in rows])
    gold = np.array([has for _, has in rows])
    found = best_thresholds(probabilities[:, None], gold[:, None], ["a"])["a"]
    if not gold.any():
        assert found == 0.5
        return
    scores = {
        limit: f1_score(gold, probabilities >= limit, zero_division=0.0)
        for limit in set(probabilities.tolist())
    }
    best = max(scores.values())
    assert found == min(limit for limit, score in scores.items() if np.isclose(score, best))


def test_each_label_has_a_threshold_of_its_own() -> None:
    probabilities = np.array([[0.1, 0.9, 0.2], [0.2, 0.8, 0.3], [0.3, 0.7, 0.4]])
    gold = np.array([[False, True, False], [True, False, False], [True, False, False]])
    names = ["rare", "often", "never"]
    assert best_thresholds(probabilities, gold, names) == {"rare": 0.2, "often": 0.9, "never": 0.5}
