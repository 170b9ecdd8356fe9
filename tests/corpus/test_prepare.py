"""Texts and labels part ways; the report counts what a user should know."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
from example_settings import CONLL, JSONL, PAIRS, SPLIT, corpus_settings
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.corpus.prepare import prepare
from pipeline.corpus.records import Example, Text, TextPair
from pipeline.corpus.splits import split_rows


def examples(rows: list[tuple[Text, Any]], label: str = "topic") -> list[Example]:
    return [
        Example(f"row {n}", text, {label: value}, line=n) for n, (text, value) in enumerate(rows)
    ]


NEWS = [("ice", "x"), ("snow", "y"), ("ice", "x"), ("rain", "y"), ("rain", "x"), ("ice", "x")]


def test_prepare_keeps_rows_in_order_and_repeated_ones_too():
    corpus = prepare(examples(NEWS), corpus_settings(JSONL))
    assert corpus.ids == [f"row {n}" for n in range(6)]
    assert corpus.texts == [text for text, _ in NEWS]
    assert corpus.labels == [{"topic": label} for _, label in NEWS]
    assert corpus.kinds == {"topic": "class"}


def test_prepare_splits_by_the_settings():
    rows = [(f"text {n}", "xy"[n % 2]) for n in range(100)]
    texts = [text for text, _ in rows]
    split = {"train": 0.5, "dev": 0.3, "test": 0.2}
    for stratify, strata in ((None, None), ("topic", [label for _, label in rows])):
        settings_ = corpus_settings(JSONL, stratify=stratify, split=split, seed=7)
        assert prepare(examples(rows), settings_).splits == split_rows(
            texts, strata, fractions=split, seed=7
        )


@given(st.lists(st.sampled_from("xyz"), min_size=60, max_size=60))
@settings(max_examples=20)
def test_prepare_splits_without_looking_at_labels_unless_stratified(labels: list[str]):
    rows = [(f"text {n // 2}", label) for n, label in enumerate(labels)]
    expected = split_rows([text for text, _ in rows], None, fractions=SPLIT, seed=1)
    assert prepare(examples(rows), corpus_settings(JSONL)).splits == expected


def test_report_counts_repeated_inputs_and_conflicting_labels():
    report = prepare(examples(NEWS), corpus_settings(JSONL)).report
    assert report["rows"] == 6
    assert report["repeated_inputs"] == {
        "inputs": 2,
        "rows_beyond_the_first": 3,
        "inputs_with_conflicting_labels": {"topic": 1},
    }


def test_report_counts_conflicts_of_each_label_apart():
    rows = [
        Example("a", "ice", {"topic": "x", "tone": "cold"}, line=1),
        Example("b", "ice", {"topic": "x", "tone": "warm"}, line=2),
    ]
    settings_ = corpus_settings(JSONL, labels={"topic": "class", "tone": "class"})
    repeated = prepare(rows, settings_).report["repeated_inputs"]
    assert repeated["inputs_with_conflicting_labels"] == {"topic": 0, "tone": 1}


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c", "d"]), st.sampled_from("xyz"))))
def test_report_counts_rows_and_classes_per_split(rows: list[tuple[str, str]]):
    corpus = prepare(examples(rows), corpus_settings(JSONL, stratify="topic"))
    counts = Counter(zip(corpus.splits, (label for _, label in rows), strict=True))
    report = corpus.report
    assert report["splits"] == {name: corpus.splits.count(name) for name in SPLIT}
    assert {
        (split, label): count
        for split, classes in report["labels"]["topic"].items()
        for label, count in classes.items()
    } == counts
    assert all(list(classes) == sorted(classes) for classes in report["labels"]["topic"].values())


def test_report_counts_tags_word_by_word_and_conflicts_of_whole_rows():
    rows = [(("ice", "age"), ("B-x", "I-x")), (("ice", "age"), ("O", "O")), (("no",), ("O",))]
    report = prepare(examples(rows, label="tag"), corpus_settings(CONLL)).report
    total: Counter[str] = Counter()
    for counts in report["labels"]["tag"].values():
        total.update(counts)
    assert total == {"B-x": 1, "I-x": 1, "O": 3}
    assert report["repeated_inputs"]["inputs_with_conflicting_labels"] == {"tag": 1}


def test_report_counts_pairs_as_repeated_where_both_texts_are_in_the_same_places():
    rows = [
        (TextPair("ice", "cold"), "x"),
        (TextPair("ice", "cold"), "y"),
        (TextPair("ice", "warm"), "x"),
        (TextPair("cold", "ice"), "x"),
    ]
    corpus = prepare(examples(rows), corpus_settings(PAIRS))
    assert corpus.texts == [text for text, _ in rows]
    assert corpus.splits[0] == corpus.splits[1]
    assert corpus.report["repeated_inputs"] == {
        "inputs": 1,
        "rows_beyond_the_first": 1,
        "inputs_with_conflicting_labels": {"topic": 1},
    }


def test_entity_tags_become_bio_and_repairs_are_counted():
    rows = [(("a", "b"), ("B-x", "E-x")), (("c", "d"), ("B-x", "O")), (("e",), ("S-y",))]
    corpus = prepare(examples(rows, label="tag"), corpus_settings(CONLL, labels={"tag": "bioes"}))
    assert corpus.kinds == {"tag": "bio"}
    assert [labels["tag"] for labels in corpus.labels] == [("B-x", "I-x"), ("B-x", "O"), ("B-y",)]
    assert corpus.report["rows_with_repaired_tags"] == {"tag": 1}
    total: Counter[str] = Counter()
    for counts in corpus.report["labels"]["tag"].values():
        total.update(counts)
    assert total == {"B-x": 2, "I-x": 1, "B-y": 1, "O": 1}


def test_plain_tags_stay_as_they_are():
    rows = [(("a", "b"), ("NN", "I-x"))]
    corpus = prepare(examples(rows, label="tag"), corpus_settings(CONLL, labels={"tag": "tags"}))
    assert corpus.kinds == {"tag": "tags"}
    assert corpus.labels == [{"tag": ("NN", "I-x")}]
    assert "rows_with_repaired_tags" not in corpus.report


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_report_says_how_numbers_are_spread_in_each_split(numbers: list[float]):
    rows = [(f"text {n}", number) for n, number in enumerate(numbers)]
    corpus = prepare(examples(rows), corpus_settings(JSONL, labels={"topic": "number"}))
    for name in SPLIT:
        values = [x for x, split in zip(numbers, corpus.splits, strict=True) if split == name]
        expected = values and {
            "count": len(values),
            "mean": pytest.approx(np.mean(values), abs=1e-6),
            "deviation": pytest.approx(np.std(values), abs=1e-6),
            "minimum": min(values),
            "maximum": max(values),
        }
        assert corpus.report["labels"]["topic"][name] == (expected or {})


def test_report_counts_each_class_of_several():
    rows = [("a", ("x", "y")), ("b", ()), ("c", ("y",))]
    corpus = prepare(examples(rows), corpus_settings(JSONL, labels={"topic": "classes"}))
    total: Counter[str] = Counter()
    for counts in corpus.report["labels"]["topic"].values():
        total.update(counts)
    assert total == {"x": 1, "y": 2}


def test_report_is_json():
    report = prepare(examples(NEWS), corpus_settings(JSONL)).report
    assert json.loads(json.dumps(report)) == report
