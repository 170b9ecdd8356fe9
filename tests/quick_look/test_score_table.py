"""Lines of the table."""

from __future__ import annotations

import pytest

from pipeline.quick_look.layer_scores import LabelScores, LayerScore
from pipeline.quick_look.score_table import heading, line, summary


def test_columns_stand_below_each_other() -> None:
    rows = [
        LayerScore((0,), 0.3),
        LayerScore((11,), -0.25),
        LayerScore((3, 6, 9, 12), 1.0),
        LayerScore((9, 10, 11, 12), 0.5),
    ]
    lines = [line(row, longest=(9, 10, 11, 12), bars=False) for row in rows]
    assert len({len(text) for text in lines}) == 1
    assert [text.split()[-1] for text in lines] == ["0.300", "-0.250", "1.000", "0.500"]


@pytest.mark.parametrize(
    ("score", "bar"), [(1.0, "█" * 40), (0.5, "█" * 20), (0.0, ""), (-0.5, ""), (0.0125, "▌")]
)
def test_bars_are_as_long_as_scores(score: float, bar: str) -> None:
    plain = line(LayerScore((1,), score), longest=(6,), bars=False)
    assert line(LayerScore((1,), score), longest=(6,), bars=True) == f"{plain}  {bar}".rstrip()


def test_the_best_and_what_is_kept_are_said() -> None:
    assert heading("topic", "macro_f1") == "topic: macro_f1 on dev, linear probes"
    singles = [LayerScore((0,), 0.3), LayerScore((1,), 0.7)]
    several = LabelScores("topic", "macro_f1", 2, [*singles, LayerScore((0, 1), 0.6)])
    assert summary(several) == "best: layer 1; of several, layers 0, 1"
    several = LabelScores("topic", "macro_f1", 2, [*singles, LayerScore((0, 1), 0.8)])
    assert summary(several) == "best: layers 0, 1"
    pairs = LabelScores("topic", "macro_f1", 2, [LayerScore((1,), 0.7, "apart")])
    assert summary(pairs) == "best: layer 1, pairs apart"
