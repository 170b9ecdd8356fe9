"""Single label: targets, answers and baseline; metrics are those of scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

from pipeline.core.files import canonical_json
from pipeline.tasks.label_type import IGNORE
from pipeline.tasks.single_label import SingleLabel

SINGLE = SingleLabel()

# scikit-learn wonders whether so many classes in so few rows are meant.
pytestmark = pytest.mark.filterwarnings("ignore:The number of unique classes:UserWarning")

classes = st.sampled_from(["a", "b", "c", "d"])
class_pairs = st.lists(st.tuples(classes, classes), min_size=1, max_size=30)


def predicted(labels: list[str]) -> list[dict[str, Any]]:
    """Rows that are as sure as can be."""
    return [{"label": label, "probabilities": {label: 1.0}} for label in labels]


def answer(values: list[float], names: list[str]) -> dict[str, Any]:
    array = np.array([values])
    return SINGLE.answer(names, array, array.argmax(1))


def test_a_head_learns_the_classes_of_training_in_order() -> None:
    assert SINGLE.label_names(["b", "a", "b"]) == ["a", "b"]
    assert SINGLE.outputs(["a", "b"]) == 2
    target = SINGLE.target("b", ["a", "b"], None)
    assert target.tolist() == [1]
    assert target.dtype == np.int64


def test_a_class_that_training_never_saw_teaches_nothing() -> None:
    assert SINGLE.target("new", ["a"], None).tolist() == [IGNORE]
    assert np.iinfo(SINGLE.target_dtype(["a"])).min <= IGNORE


def test_a_class_is_the_likeliest() -> None:
    row = answer([0.123456789, 0.876543211], ["a", "b"])
    assert row == {"label": "b", "probabilities": {"a": 0.123457, "b": 0.876543}}
    assert canonical_json(row)


def test_a_class_is_chosen_before_digits_are_cut_off() -> None:
    row = answer([0.5 - 1e-9, 0.5 + 1e-9], ["a", "b"])
    assert row == {"label": "b", "probabilities": {"a": 0.5, "b": 0.5}}


@given(class_pairs)
@settings(deadline=None)
def test_scores_are_those_of_sklearn(pairs: list[tuple[str, str]]) -> None:
    gold, guesses = map(list, zip(*pairs, strict=True))
    rows = predicted(guesses)
    names = sorted({*gold, *guesses})
    expected = precision_recall_fscore_support(gold, guesses, labels=names, zero_division=0)
    per_class = SINGLE.details(gold, rows)["per_class"]
    assert list(per_class) == names
    assert [tuple(row.values()) for row in per_class.values()] == [
        pytest.approx(row) for row in zip(*expected, strict=True)
    ]
    macro = f1_score(gold, guesses, average="macro", zero_division=0)
    assert SINGLE.resampled(gold, rows).scores() == pytest.approx(
        {"accuracy": accuracy_score(gold, guesses), "macro_f1": macro}
    )
    assert SINGLE.dev_score("macro_f1", gold, rows) == pytest.approx(macro)


def test_a_class_that_is_only_predicted_counts() -> None:
    gold, rows = ["a", "a"], predicted(["a", "b"])
    assert SINGLE.resampled(gold, rows).scores() == pytest.approx(
        {"accuracy": 0.5, "macro_f1": 1 / 3}
    )
    assert SINGLE.details(gold, rows)["per_class"]["b"] == {
        "precision": 0.0,
        "recall": 0.0,
        "f1": 0.0,
        "support": 0,
    }


@pytest.mark.parametrize(("gold", "guesses"), [(["a"], []), (["a"], ["a", "b"])])
def test_other_lengths_are_refused(gold: list[str], guesses: list[str]) -> None:
    with pytest.raises(ValueError, match=r"argument 2 is (shorter|longer)"):
        SINGLE.resampled(gold, predicted(guesses))


@given(st.lists(st.sampled_from(["b", "a", "c"]), min_size=1))
@settings(deadline=None)
def test_the_baseline_is_sklearns_majority_class(train: list[str]) -> None:
    dummy = DummyClassifier(strategy="most_frequent").fit([[0]] * len(train), train)
    found = SINGLE.baseline([""] * len(train), train)
    assert found.name == "majority class"
    assert found.predict("any") == {"label": dummy.predict([[0]])[0]}


def test_a_comparison_says_how_sure_a_wrong_answer_was() -> None:
    row = {"label": "a", "probabilities": {"a": 0.9, "b": 0.1}}
    wrong = SINGLE.compare("b", row)
    assert (wrong.correct, wrong.confidence) == (False, 0.9)
    assert wrong.mistake == {"gold": "b", "predicted": "a", "confidence": 0.9}
    assert SINGLE.compare("a", row).correct


def test_a_row_without_the_probability_of_its_label_is_not_complete() -> None:
    assert SINGLE.is_complete({"label": "a", "probabilities": {"a": 1.0}}, "a")
    for row in ({}, {"label": "a"}, {"label": "a", "probabilities": {"b": 1.0}}):
        assert not SINGLE.is_complete(row, "a")
