"""Mistakes are listed whole, the surest first, and nothing else is."""

from __future__ import annotations

from typing import Any

from pipeline.corpus.storage import Labels
from pipeline.corpus.texts import TextPair
from pipeline.evaluation.mistakes import mistakes
from pipeline.tasks.registry import default_label_type

CLASSES = Labels(
    ["a", "b", "c", "d"], ["train", "dev", "test", "test"], ["x", "x", "y", "y"], "class", "digest"
)
TAGS = Labels(
    ["a", "b", "c"],
    ["dev", "test", "test"],
    [("B-x", "O"), ("O",), ("O", "B-y", "I-y")],
    "bio",
    "digest",
)


def wrong(labels: Labels, *others: Any) -> list[dict[str, Any]]:
    return mistakes(default_label_type(labels.kind), labels, *others)


def prediction(label: str, **probabilities: float) -> dict[str, Any]:
    return {"label": label, "probabilities": probabilities}


def test_wrong_classes_are_listed_with_text_and_confidence_surest_first() -> None:
    by_id = {
        "b": prediction("y", x=0.4, y=0.6),
        "c": prediction("y", x=0.1, y=0.9),
        "d": prediction("x", x=0.8, y=0.2),
    }
    assert mistakes(
        default_label_type(CLASSES.kind), CLASSES, ["A", "B", "C", "D"], by_id, ("dev", "test")
    ) == [
        {
            "id": "d",
            "split": "test",
            "text": "D",
            "gold": "y",
            "predicted": "x",
            "confidence": 0.8,
        },
        {
            "id": "b",
            "split": "dev",
            "text": "B",
            "gold": "x",
            "predicted": "y",
            "confidence": 0.6,
        },
    ]
    assert [
        row["id"]
        for row in mistakes(
            default_label_type(CLASSES.kind), CLASSES, ["A", "B", "C", "D"], by_id, ("dev",)
        )
    ] == ["b"]


def test_a_tagged_row_counts_as_sure_as_its_surest_wrong_word() -> None:
    texts = [("Ann", "sings"), ("no",), ("the", "north", "sea")]
    by_id = {
        "a": {"tags": ["O", "O"], "probabilities": [0.6, 0.99]},
        "b": {"tags": ["O"], "probabilities": [0.7]},
        "c": {"tags": ["O", "B-x", None], "probabilities": [0.9, 0.7, None]},
    }
    found = wrong(TAGS, texts, by_id, ("dev", "test"))
    assert [row["id"] for row in found] == ["c", "a"]
    assert found[0] == {
        "id": "c",
        "split": "test",
        "words": ("the", "north", "sea"),
        "gold": ("O", "B-y", "I-y"),
        "predicted": ["O", "B-x", None],
        "confidence": [0.9, 0.7, None],
    }


def test_a_wrong_pair_is_listed_with_both_texts() -> None:
    pairs = [TextPair(f"{name} premise", f"{name} hypothesis") for name in "ABCD"]
    by_id = {
        "b": prediction("y", x=0.4, y=0.6),
        "c": prediction("y", x=0.1, y=0.9),
        "d": prediction("y", x=0.2, y=0.8),
    }
    assert wrong(CLASSES, pairs, by_id, ("dev", "test")) == [
        {
            "id": "b",
            "split": "dev",
            "text": "B premise",
            "text_b": "B hypothesis",
            "gold": "x",
            "predicted": "y",
            "confidence": 0.6,
        }
    ]


def test_no_mistakes_are_no_rows() -> None:
    by_id = {
        name: prediction(label, x=0.5, y=0.5) for name, label in zip("bcd", "xyy", strict=True)
    }
    assert (
        mistakes(
            default_label_type(CLASSES.kind), CLASSES, ["A", "B", "C", "D"], by_id, ("dev", "test")
        )
        == []
    )


def test_sets_of_labels_are_listed_by_their_surest_wrong_label() -> None:
    labels = Labels(
        ["a", "b", "c"], ["dev", "dev", "test"], [("x",), ("x", "y"), ("new",)], "classes", "digest"
    )
    by_id = {
        "a": {"labels": ["x", "y"], "probabilities": {"x": 0.9, "y": 0.7}},
        "b": {"labels": [], "probabilities": {"x": 0.1, "y": 0.4}},
        "c": {"labels": ["x"], "probabilities": {"x": 0.8, "y": 0.0}},
    }
    found = mistakes(
        default_label_type(labels.kind), labels, ["A", "B", "C"], by_id, ("dev", "test")
    )
    assert [row["id"] for row in found] == ["c", "b", "a"]
    assert [row["confidence"] for row in found] == [
        {"new": 1.0, "x": 0.8},
        {"x": 0.9, "y": 0.6},
        {"y": 0.7},
    ]
    assert found[1] == {
        "id": "b",
        "split": "dev",
        "text": "B",
        "gold": ("x", "y"),
        "predicted": [],
        "confidence": {"x": 0.9, "y": 0.6},
    }


def test_numbers_are_listed_by_the_size_of_their_error() -> None:
    labels = Labels(["a", "b", "c", "d"], ["dev"] * 4, [1.0, 2.0, -1e308, 3.0], "number", "digest")
    by_id = {
        "a": {"value": 1.5},
        "b": {"value": 0.5},
        "c": {"value": 1e308},
        "d": {"value": 3.0},
    }
    found = wrong(labels, ["A", "B", "C", "D"], by_id, ("dev",))
    assert [(row["id"], row["error"]) for row in found] == [("c", None), ("b", -1.5), ("a", 0.5)]
    assert found[1] == {
        "id": "b",
        "split": "dev",
        "text": "B",
        "gold": 2.0,
        "predicted": 0.5,
        "error": -1.5,
    }
