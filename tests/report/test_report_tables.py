from __future__ import annotations

import pytest

from pipeline.report.page_tables import (
    count_cell,
    flat,
    interval_cell,
    score_cell,
    text_cell,
    value_cell,
)


def test_cells_have_what_they_are_sorted_by():
    assert (text_cell("Ice").text, text_cell("Ice").sort) == ("Ice", "ice")
    assert (count_cell(1234567).text, count_cell(1234567).sort) == ("1\u202f234\u202f567", 1234567)
    assert (score_cell(-0.5).text, score_cell(-0.5).sort) == ("−0.500", -0.5)
    assert score_cell(None).text == "–"
    assert score_cell(0.25, signed=True).text == "+0.250"


def test_an_interval_stands_beside_its_score():
    scores = {"f1": 0.5, "f1_low": -0.25, "f1_high": 0.75}
    assert interval_cell(scores, "f1", signed=True).note == "−0.250 to +0.750"
    assert interval_cell({"f1": None, "f1_low": None, "f1_high": None}, "f1").note == ""


@pytest.mark.parametrize(
    ("value", "text", "sort"),
    [
        ("12", "12", 12),
        ("0.5", "0.500", 0.5),
        ("1e-5", "1e-05", 1e-5),
        ("mix", "mix", "mix"),
        ("nan", "nan", "nan"),
        ("inf", "inf", "inf"),
        ("", "–", None),
        (None, "–", None),
        (True, "yes", "yes"),
    ],
)
def test_values_of_any_table_are_read(value, text, sort):
    cell = value_cell(value)
    assert (cell.text, cell.sort) == (text, sort)


def test_nested_mappings_are_laid_flat():
    tree = {"a_b": {"c": 1, "d": {"e_f.json": 2}}, "f": [1, 2], "g": 3}
    assert flat(tree, skip=("g",)) == {"a b: c": 1, "a b: d: e_f.json": 2, "f": "1, 2"}
