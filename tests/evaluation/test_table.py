"""Metrics as lines: a headline per split, then an aligned table of the test split."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

from pipeline.evaluation.metrics import classification_scores, entity_scores
from pipeline.evaluation.table import results_table, summary

CLASSES = {
    name: {
        **asdict(classification_scores(["business", "sport"], [guess, "sport"])),
        "baseline": {"name": "majority class", "accuracy": 0.5, "macro_f1": 0.25},
        "margin": margin,
    }
    for name, guess, margin in (("dev", "business", 0.75), ("test", "sport", -0.0834))
}
SPANS = entity_scores([["B-person", "I-person", "B-place"]], [["B-person", "I-person", "O"]])
ENTITIES = {
    name: {
        **asdict(SPANS),
        "words_without_a_prediction": 0,
        "baseline": {"name": "most frequent tag per word", "f1": 0.1},
        "margin": SPANS.micro.f1 - 0.1,
    }
    for name in ("dev", "test")
}


def right_edges(line: str) -> list[int]:
    """Where each word ends, the first one aside: names are aligned at their left."""
    return [word.end() for word in re.finditer(r"\S+", line)][1:]


def test_summary_of_classes_begins_with_a_headline_per_split():
    dev, test = summary(CLASSES)[:2]
    assert dev == (
        "dev: accuracy 1.000, macro F1 1.000; baseline, majority class: macro F1 0.250; "
        "margin +0.750"
    )
    assert test.startswith("test: accuracy 0.500, macro F1 0.333; ")
    assert test.endswith("; margin -0.083")


def test_summary_of_entities_begins_with_a_headline_per_split():
    headline = (
        "entity F1 0.667 (precision 1.000, recall 0.500); "
        "baseline, most frequent tag per word: 0.100; margin +0.567"
    )
    assert summary(ENTITIES)[:2] == [f"dev: {headline}", f"test: {headline}"]


def test_summary_ends_with_a_row_per_class_or_type_of_the_test_split():
    for metrics, key in ((CLASSES, "per_class"), (ENTITIES, "per_type")):
        lines: list[str] = summary(metrics)[3:]
        rows: dict[str, Any] = metrics["test"][key]
        assert [line.split() for line in lines] == [
            [
                name,
                f"{row['precision']:.3f}",
                f"{row['recall']:.3f}",
                f"{row['f1']:.3f}",
                str(row["support"]),
            ]
            for name, row in rows.items()
        ]


def test_summary_aligns_its_columns_under_their_headings():
    for metrics in (CLASSES, ENTITIES):
        heading, *rows = summary(metrics)[2:]
        assert heading.split() == ["test", "precision", "recall", "f1", "support"]
        assert [right_edges(row) for row in rows] == [right_edges(heading)] * len(rows)


def test_summary_without_an_entity_has_no_rows():
    nothing = {
        name: {**scores, **asdict(entity_scores([["O"]], [["O"]]))}
        for name, scores in ENTITIES.items()
    }
    lines = summary(nothing)
    assert len(lines) == 3
    assert "entity F1 0.000" in lines[1]


def test_results_are_one_markdown_row_per_head() -> None:
    lines = results_table({"topic": CLASSES, "entities": ENTITIES})
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["head", "score", "dev", "test", "baseline on test", "margin"]
    assert cells[2] == ["`topic`", "accuracy", "1.000", "0.500", "0.500", "+0.000"]
    assert cells[3] == ["`entities`", "entity F1", "0.667", "0.667", "0.100", "+0.567"]
    assert len({len(line) for line in lines}) == 1


def test_columns_of_short_names_are_aligned() -> None:
    scores = entity_scores([["B-A", "B-B"]], [["B-A", "O"]])
    metrics = {
        name: {
            **asdict(scores),
            "baseline": {"name": "b", "f1": 0.0},
            "margin": 0.0,
        }
        for name in ("dev", "test")
    }
    header, *rows = summary(metrics)[2:]
    assert [right_edges(row) for row in rows] == [right_edges(header)] * len(rows)
