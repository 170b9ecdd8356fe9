"""A corpus of eight texts with a label of every kind, and predictions of its dev and test rows."""

from __future__ import annotations

from typing import Any

from pipeline.corpus.folds import Run
from pipeline.corpus.storage import Labels
from pipeline.evaluation.evaluate import Evaluation, evaluate
from pipeline.evaluation.predictions import by_id
from pipeline.evaluation.rivals import Rival
from pipeline.tasks.registry import default_label_type
from pipeline.tasks.resampling import ResampledMetrics

SPLITS = ["train", "test", "train", "dev", "dev", "train", "test", "test"]
IDS = [f"row {n}" for n in range(len(SPLITS))]
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
# Training alone has another majority, and knows other words, than all rows together.
CLASSES = ["x", "y", "x", "y", "x", "y", "y", "z"]
BIO = [
    ("B-x", "I-x"),
    ("B-x", "I-x", "O"),
    ("B-y",),
    ("B-x",),
    ("O", "O"),
    ("B-y",),
    ("O", "B-x"),
    ("O", "B-z"),
]
POS = [tuple("N" if len(word) > 3 else "D" for word in words) for words in TEXTS]
SETS = [("x",), ("x", "y"), ("x", "y"), (), ("y",), (), ("z",), ("x",)]
NUMBERS = [1.0, 2.0, 3.0, 0.5, 4.0, 5.0, 2.5, -1.0]
VALUES: dict[str, list[Any]] = {
    "class": CLASSES,
    "classes": SETS,
    "number": NUMBERS,
    "tags": POS,
    "bio": BIO,
}
# Of dev one text of two is right, of test two of three; not in the order of the labels.
PREDICTED: dict[str, dict[int, Any]] = {
    "class": {6: "y", 7: "x", 4: "y", 3: "y", 1: "y"},
    "classes": {6: ("x",), 7: ("x",), 4: (), 3: (), 1: ("x", "y")},
    "number": {6: 2.5, 7: 0.0, 4: 3.0, 3: 0.5, 1: 2.0},
    "tags": {6: ("D", "D"), 7: ("N", "D"), 4: (None, None), 3: ("D",), 1: ("D", "D", None)},
    "bio": {
        6: ("O", "O"),
        1: ("B-x", "I-x", None),
        3: ("B-x",),
        4: (None, None),
        7: ("B-y", "B-z"),
    },
}
DEV, TEST = [3, 4], [1, 6, 7]
HEADLINES = {
    "class": ["accuracy", "macro_f1"],
    "classes": ["micro_f1", "macro_f1", "mean_average_precision"],
    "number": ["spearman", "pearson", "rmse"],
    "tags": ["word_accuracy", "macro_f1"],
    "bio": ["entity_f1", "word_accuracy"],
}
Rows = list[dict[str, Any]]


def labels(kind: str) -> Labels:
    return Labels(IDS, SPLITS, list(VALUES[kind]), kind, "digest")


def row(kind: str, value: Any) -> dict[str, Any]:
    if kind == "class":
        return {
            "label": value,
            "probabilities": {name: 0.6 if name == value else 0.4 for name in "xy"},
        }
    if kind == "classes":
        return {
            "labels": list(value),
            "probabilities": {name: 0.75 if name in value else 0.25 for name in "xy"},
        }
    if kind == "number":
        return {"value": value}
    return {"tags": list(value), "probabilities": [None if tag is None else 0.5 for tag in value]}


def scored(kind: str, gold: list[Any], values: list[Any]) -> ResampledMetrics:
    """Metrics of values as ``row`` makes predictions of them."""
    return default_label_type(kind).resampled(gold, [row(kind, value) for value in values])


def predictions(kind: str, values: dict[int, Any] | None = None) -> dict[str, Any]:
    rows = [
        {"id": IDS[place], "split": SPLITS[place], **row(kind, value)}
        for place, value in (values or PREDICTED[kind]).items()
    ]
    return by_id(rows, labels(kind), default_label_type(kind))


def evaluated(
    kind: str,
    runs: dict[int, dict[str, Any]] | None = None,
    probe: dict[str, Any] | None = None,
    training: dict[str, float] | None = None,
) -> Evaluation:
    """The evaluation of a run per seed."""
    of_seeds = runs or {13: predictions(kind)}
    return evaluate(
        default_label_type(kind),
        labels(kind),
        TEXTS,
        {Run(None, seed): rows for seed, rows in of_seeds.items()},
        kept=Run(None, 13),
        rivals=None if probe is None else {"probe": Rival("linear probe", {None: probe})},
        training=training,
    )
