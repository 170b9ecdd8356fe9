"""Predictions meet the labels of their own rows, beside a baseline of the training rows."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest

from pipeline.corpus.storage import Labels
from pipeline.errors import DataError
from pipeline.evaluation.baselines import MostFrequentTag
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.metrics import classification_scores, entity_scores

SPLITS = ["train", "test", "train", "dev", "dev", "train", "test", "test"]
IDS = [f"row {n}" for n in range(len(SPLITS))]
# Training alone has another majority, and knows other words, than all rows together.
CLASSES = ["x", "y", "x", "y", "x", "y", "y", "z"]
TEXTS = [
    ("ice", "age"),
    ("ice", "age", "now"),
    ("snow",),
    ("ice",),
    ("the", "snow"),
    ("snow",),
    ("no", "ice"),
    ("rain", "hail"),
]
TAGS = [
    ("B-x", "I-x"),
    ("B-x", "I-x", "O"),
    ("B-y",),
    ("B-x",),
    ("O", "O"),
    ("B-y",),
    ("O", "B-x"),
    ("O", "B-z"),
]
Rows = list[dict[str, Any]]


def class_labels() -> Labels:
    return Labels(IDS, SPLITS, list(CLASSES), "class", "digest")


def tag_labels() -> Labels:
    return Labels(IDS, SPLITS, list(TAGS), "tags", "digest")


def rows(key: str, values: dict[int, Any]) -> Rows:
    return [
        {
            "id": f"row {row}",
            key: value,
            "probabilities": {value: 0.5} if key == "label" else [0.5] * len(value),
        }
        for row, value in values.items()
    ]


def class_predictions() -> Rows:
    """Dev: one of two right. Test: two of three right. Not in the order of the labels."""
    return rows("label", {6: "y", 7: "x", 4: "y", 3: "y", 1: "y"})


def tag_predictions() -> Rows:
    return rows(
        "tags",
        {6: ["O", "O"], 1: ["B-x", "I-x", None], 3: ["B-x"], 4: [None, None], 7: ["B-y", "B-z"]},
    )


def test_classes_are_scored_by_id_and_split():
    metrics = evaluate(class_labels(), TEXTS, class_predictions()).metrics
    assert list(metrics) == ["dev", "test"]
    dev = classification_scores(["y", "x"], ["y", "y"])
    test = classification_scores(["y", "y", "z"], ["y", "y", "x"])
    for name, scores in (("dev", dev), ("test", test)):
        assert {key: metrics[name][key] for key in asdict(scores)} == asdict(scores)


def test_classes_are_compared_with_the_majority_of_the_training_rows():
    metrics = evaluate(class_labels(), TEXTS, class_predictions()).metrics
    for name, gold in (("dev", ["y", "x"]), ("test", ["y", "y", "z"])):
        baseline = classification_scores(gold, ["x"] * len(gold))
        assert metrics[name]["baseline"] == {
            "name": "majority class",
            "accuracy": baseline.accuracy,
            "macro_f1": baseline.macro_f1,
        }
        assert metrics[name]["margin"] == pytest.approx(
            metrics[name]["macro_f1"] - baseline.macro_f1
        )


def test_the_confusion_of_classes_has_every_test_text():
    assert evaluate(class_labels(), TEXTS, class_predictions()).confusion == [
        ("y", "y"),
        ("y", "y"),
        ("z", "x"),
    ]


def test_tags_are_scored_by_id_and_split():
    metrics = evaluate(tag_labels(), TEXTS, tag_predictions()).metrics
    assert list(metrics) == ["dev", "test"]
    dev = entity_scores([TAGS[3], TAGS[4]], [["B-x"], [None, None]])
    test = entity_scores(
        [TAGS[1], TAGS[6], TAGS[7]], [["B-x", "I-x", None], ["O", "O"], ["B-y", "B-z"]]
    )
    for name, scores in (("dev", dev), ("test", test)):
        assert {key: metrics[name][key] for key in asdict(scores)} == asdict(scores)


def test_tags_are_compared_with_the_most_frequent_ones_of_the_training_rows():
    metrics = evaluate(tag_labels(), TEXTS, tag_predictions()).metrics
    train = [0, 2, 5]
    tagger = MostFrequentTag([TEXTS[row] for row in train], [TAGS[row] for row in train])
    for name, members in (("dev", [3, 4]), ("test", [1, 6, 7])):
        baseline = entity_scores(
            [TAGS[row] for row in members], [tagger(TEXTS[row]) for row in members]
        )
        assert metrics[name]["baseline"] == {
            "name": "most frequent tag per word",
            **asdict(baseline.micro),
        }
        assert metrics[name]["margin"] == pytest.approx(
            metrics[name]["micro"]["f1"] - baseline.micro.f1
        )


def test_a_head_that_is_no_better_than_the_baseline_has_no_margin():
    majority = rows("label", dict.fromkeys([1, 3, 4, 6, 7], "x"))
    for scores in evaluate(class_labels(), TEXTS, majority).metrics.values():
        assert scores["margin"] == 0


def test_words_without_a_prediction_are_counted_per_split():
    metrics = evaluate(tag_labels(), TEXTS, tag_predictions()).metrics
    assert {name: scores["words_without_a_prediction"] for name, scores in metrics.items()} == {
        "dev": 2,
        "test": 1,
    }


def test_the_confusion_of_tags_has_the_types_of_test_words_inside_an_entity_of_either():
    predictions = rows(
        "tags", {1: ["B-x", "I-y", None], 3: ["O"], 4: ["O", "O"], 6: ["O", None], 7: ["B-y", "O"]}
    )
    assert evaluate(tag_labels(), TEXTS, predictions).confusion == [
        ("x", "x"),
        ("x", "y"),
        ("x", "O"),
        ("O", "y"),
        ("z", "O"),
    ]


def test_metrics_are_json():
    for labels, predictions in (
        (class_labels(), class_predictions()),
        (tag_labels(), tag_predictions()),
    ):
        metrics = evaluate(labels, TEXTS, predictions).metrics
        assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


@pytest.mark.parametrize(
    "predictions",
    [
        [],
        class_predictions()[1:],
        [*class_predictions(), {"id": "row 0", "label": "x"}],
        [*class_predictions(), {"id": "elsewhere", "label": "x"}],
        [*class_predictions()[1:], {"id": "elsewhere", "label": "x"}],
    ],
    ids=["none", "one absent", "one of train", "one of nowhere", "one exchanged"],
)
def test_evaluate_rejects_predictions_of_other_rows(predictions: Rows):
    with pytest.raises(DataError, match="not of the labels' dev and test rows; run `dvc repro`"):
        evaluate(class_labels(), TEXTS, predictions)


def test_an_id_predicted_twice_is_refused() -> None:
    predictions = class_predictions()
    with pytest.raises(DataError, match="not of the labels' dev and test rows"):
        evaluate(class_labels(), TEXTS, [*predictions, predictions[0]])


def test_predictions_of_another_kind_are_refused() -> None:
    with pytest.raises(DataError, match="has no tags"):
        evaluate(tag_labels(), TEXTS, class_predictions())


def test_another_number_of_tags_than_words_is_refused() -> None:
    tags = {row: ["O"] * len(TEXTS[row]) for row in (1, 3, 4, 6, 7)}
    tags[6] = ["O"]
    with pytest.raises(DataError, match="'row 6' has no tags, or not one per word"):
        evaluate(tag_labels(), TEXTS, rows("tags", tags))
