"""Texts and labels part ways; the report counts what a user should know."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from example_settings import CONLL, JSONL, PAIRS, SPLIT, corpus_settings
from hypothesis import given, settings
from hypothesis import strategies as st
from split_rule import split_rows

from pipeline.core.errors import DataError
from pipeline.corpus.texts import Text, TextPair
from pipeline.ingest.formats import RawCorpus
from pipeline.ingest.prepare import prepare
from pipeline.ingest.problems import Problems
from pipeline.ingest.rows import Example


def examples(rows: list[tuple[Text, Any]], label: str = "topic") -> list[Example]:
    return [
        Example(f"row {n}", text, {label: value}, line=n) for n, (text, value) in enumerate(rows)
    ]


NEWS = [("ice", "x"), ("snow", "y"), ("ice", "x"), ("rain", "y"), ("rain", "x"), ("ice", "x")]


def test_prepare_keeps_rows_in_order_and_repeated_ones_too():
    corpus = prepare(examples(NEWS), corpus_settings(JSONL))
    rows = [example for example, _ in corpus.rows()]
    assert rows == examples(NEWS)
    assert [split for _, split in corpus.rows()] == list(corpus.splits)
    assert corpus.kinds == {"topic": "class"}


def test_prepare_splits_by_the_settings():
    rows = [(f"text {n}", "xy"[n % 2]) for n in range(100)]
    split = {"train": 0.5, "dev": 0.3, "test": 0.2}
    for stratify, strata in ((None, None), ("topic", [label for _, label in rows])):
        settings_ = corpus_settings(JSONL, stratify=stratify, split=split, seed=7)
        assert list(prepare(examples(rows), settings_).splits) == split_rows(
            [text for text, _ in rows], strata, fractions=split, seed=7
        )


@given(st.lists(st.sampled_from("xyz"), min_size=60, max_size=60))
@settings(max_examples=20)
def test_prepare_splits_without_looking_at_labels_unless_stratified(labels: list[str]):
    rows = [(f"text {n // 2}", label) for n, label in enumerate(labels)]
    expected = split_rows([text for text, _ in rows], None, fractions=SPLIT, seed=1)
    assert list(prepare(examples(rows), corpus_settings(JSONL)).splits) == expected


def test_groups_stay_together_in_drawn_splits_and_folds():
    rows = [Example(f"{n}", f"text {n}", {"topic": "x"}, n, group=f"{n % 25}") for n in range(100)]
    for split in (SPLIT, {"folds": 4}):
        splits = prepare(rows, corpus_settings(JSONL, group="author", split=split)).splits
        of_group = {(row.group, name) for row, name in zip(rows, splits, strict=True)}
        assert len(of_group) == 25
        assert len(set(splits)) == len(split) if split is SPLIT else 4


def test_folds_are_called_by_their_number_and_counted():
    rows = [(f"text {n}", "xy"[n % 2]) for n in range(50)]
    corpus = prepare(examples(rows), corpus_settings(JSONL, split={"folds": 5}, stratify="topic"))
    assert corpus.report["splits"] == {f"fold_{n}": 10 for n in range(1, 6)}
    assert corpus.report["warnings"] == []


def test_given_splits_are_kept_and_dev_is_drawn_from_training_rows():
    given = ["train"] * 80 + ["test"] * 20
    rows = [
        Example(f"{n}", f"text {n}", {"topic": "xy"[n % 2]}, n, split=split)
        for n, split in enumerate(given)
    ]
    settings_ = corpus_settings(JSONL, split={"column": "part"}, seed=None)
    assert list(prepare(rows, settings_).splits) == given
    settings_ = corpus_settings(JSONL, split={"column": "part", "dev": 0.25}, stratify="topic")
    splits = prepare(rows, settings_).splits
    assert list(splits[80:]) == ["test"] * 20
    counts = Counter(zip(splits, (row.labels["topic"] for row in rows[:80]), strict=False))
    assert counts == {("train", "x"): 30, ("train", "y"): 30, ("dev", "x"): 10, ("dev", "y"): 10}


def test_texts_in_several_splits_are_counted_and_warned_of():
    rows = [
        Example(f"{n}", text, {"topic": "x"}, n, split=split)
        for n, (text, split) in enumerate(
            [("a", "train"), ("a", "test"), ("a", "test"), ("b", "dev"), ("c", "test")]
        )
    ]
    report = prepare(rows, corpus_settings(JSONL, split={"column": "part"}, seed=None)).report
    assert report["repeated_inputs"]["inputs_in_several_splits"] == 1
    assert report["warnings"][0] == "2 rows of test have a text that is also in train"


def cross_problems(rows: list[Example], **changes: Any) -> list[str]:
    problems = Problems()
    prepare(rows, corpus_settings(JSONL, **changes), problems=problems)
    return problems.lines()


def test_repeated_ids_are_problems_with_both_lines():
    rows = [
        Example(row_id, f"text {n}", {"topic": "xy"[n % 2]}, n + 1, "file")
        for n, row_id in enumerate(["a", "b", "a", "c", "b", "a", *map(str, range(30))])
    ]
    advice = "; ids must be unique; with 'id: null' rows are numbered"
    assert cross_problems(rows) == [
        f"file:3: field 'id': id 'a' is already used on line 1{advice}",
        f"file:5: field 'id': id 'b' is already used on line 2{advice}",
        f"file:6: field 'id': id 'a' is already used on line 1{advice}",
    ]
    many = cross_problems([replace(row, id="a") for row in rows])
    assert [line.split(" ")[0] for line in many] == [f"file:{line}:" for line in range(2, 22)]
    rows[2] = replace(rows[2], file="other")
    assert "other:3: field 'id': id 'a' is already used on file:1" in cross_problems(rows)[0]


def test_a_problem_of_a_row_is_counted_once_where_ids_repeat_too(tmp_path: Path):
    path = tmp_path / "corpus"
    rows = [("a", "ice"), ("a", "snow"), ("b", 7), *[("c", "fog")] * 25]
    path.write_text(
        "".join(json.dumps({"id": i, "text": text, "topic": "x"}) + "\n" for i, text in rows),
        encoding="utf-8",
    )
    raw = RawCorpus(path, corpus_settings(JSONL))
    prepare(raw, corpus_settings(JSONL), problems=raw.problems)
    assert raw.problems.count == 1 + 1 + 24
    lines = raw.problems.lines()
    assert [int(line.split(":")[1]) for line in lines] == [2, 3, *range(5, 23)]
    assert "must be a string of text, not 7" in lines[1]


def test_a_file_that_changes_while_ids_are_compared_is_an_error():
    class Shrinking(list[Example]):
        def __iter__(self) -> Iterator[Example]:
            yield from [self.pop(0) for _ in range(len(self))]

    rows = Shrinking(examples([("a", "x"), ("b", "y")]))
    rows[1] = replace(rows[1], id=rows[0].id)
    with pytest.raises(DataError, match="the raw files changed while they were read"):
        prepare(rows, corpus_settings(JSONL), problems=Problems())


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("class", ["x"] * 40),
        ("number", [1.0] * 40),
        ("classes", [()] * 40),
        ("classes", [("x",)] * 40),
    ],
)
def test_labels_that_are_all_the_same_are_a_problem(kind: str, values: list[Any]):
    rows = examples([(f"text {n}", value) for n, value in enumerate(values)])
    (problem,) = cross_problems(rows, labels={"topic": kind})
    assert f"field 'topic': every label is {values[0]!r}: nothing to learn" in problem
    different = {"class": "y", "number": 2.0, "classes": ("y",)}[kind]
    rows[3] = replace(rows[3], labels={"topic": different})
    assert cross_problems(rows, labels={"topic": kind}) == []


def test_a_split_without_rows_is_a_problem():
    (problem,) = cross_problems(examples([("a", "x"), ("b", "y"), ("c", "y")]), split={"folds": 4})
    assert "no row is in split fold_" in problem
    assert problem.endswith("give it a larger share")
    rows = [replace(row, split="train") for row in examples(NEWS)]
    problems = cross_problems(rows, split={"column": "part"}, seed=None)
    assert [line.split(";")[0].split(": ")[1] for line in problems] == [
        "no row is in split dev",
        "no row is in split test",
    ]
    assert "'dev: 0.1' in split takes a share of the training rows" in problems[0]


def test_without_anywhere_to_note_problems_none_are_looked_for():
    assert list(prepare(examples([("a", "x")]), corpus_settings(JSONL)).splits) == ["train"]
    assert prepare([], corpus_settings(JSONL)).report["rows"] == 0


def test_odd_labels_are_warned_of():
    rows = [
        Example(f"{n}", f"text {n}", {"topic": label}, n, split=split)
        for n, (label, split) in enumerate(
            [*[("x", "train")] * 97, ("x", "dev"), ("y", "test"), ("z", "train")]
        )
    ]
    settings_ = corpus_settings(JSONL, split={"column": "part"}, seed=None)
    report = prepare(rows, settings_).report
    assert report["warnings"] == [
        "label 'topic': 'y' is in test and not in train: a head cannot learn that",
        "label 'topic': 'y', 'z' are with one example only",
        "label 'topic': 98.0% of all are 'x'",
        "label 'topic': every row of dev is 'x': a score there says nothing",
        "label 'topic': every row of test is 'y': a score there says nothing",
    ]
    assert report["balance"] == {
        "topic": {
            "classes": 3,
            "most_frequent": {"class": "x", "share": 0.98},
            "least_frequent": {"class": "y", "share": 0.01},
        }
    }


def test_plain_tags_that_look_like_entity_tags_are_warned_of():
    settings_ = corpus_settings(CONLL, labels={"tag": "tags"})
    for tags, warned in ((("B-x", "O"), True), (("S-x", "NN"), False), (("O", "O"), False)):
        report = prepare(examples([(("a", "b"), tags)], label="tag"), settings_).report
        warning = "label 'tag': looks like entity tags: is its kind iob2?"
        assert (warning in report["warnings"]) == warned


def test_labels_that_look_like_ids_are_warned_of():
    rows = examples([(f"text {n}", f"label {n}") for n in range(200)])
    warnings = prepare(rows, corpus_settings(JSONL)).report["warnings"]
    assert "label 'topic': 200 classes among 200: is it text, or an id?" in warnings


def test_report_counts_repeated_inputs_and_conflicting_labels():
    report = prepare(examples(NEWS), corpus_settings(JSONL)).report
    assert report["rows"] == 6
    assert report["repeated_inputs"] == {
        "inputs": 2,
        "rows_beyond_the_first": 3,
        "inputs_in_several_splits": 0,
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
    assert corpus.splits[0] == corpus.splits[1]
    assert corpus.report["repeated_inputs"] == {
        "inputs": 1,
        "rows_beyond_the_first": 1,
        "inputs_in_several_splits": 0,
        "inputs_with_conflicting_labels": {"topic": 1},
    }


def test_plain_tags_are_stored_as_tags_and_entity_tags_as_bio():
    for kind, stored in (("tags", "tags"), ("iob1", "bio"), ("bioes", "bio")):
        corpus = prepare(
            examples([(("a",), ("O",))], label="tag"), corpus_settings(CONLL, labels={"tag": kind})
        )
        assert corpus.kinds == {"tag": stored}
        assert ("rows_with_repaired_tags" in corpus.report) == (stored == "bio")


def test_what_reading_did_besides_is_in_the_report(tmp_path: Path):
    path = tmp_path / "corpus"
    path.write_text("# a\na I-x\n\nb O\n", encoding="utf-8")
    settings_ = corpus_settings(CONLL, broken_tags="repair", skip_lines=["#"])
    raw = RawCorpus(path, settings_)
    report = prepare(raw, settings_, problems=raw.problems, tally=raw.tally).report
    assert report["rows_with_repaired_tags"] == {"tag": 1}
    assert report["skipped_lines"] == 1
    path.write_text('{"id": 1, "text": "", "topic": "x"}', encoding="utf-8")
    settings_ = corpus_settings(JSONL, empty_text="drop")
    raw = RawCorpus(path, settings_)
    report = prepare(raw, settings_, problems=raw.problems, tally=raw.tally).report
    assert report["rows_dropped_for_lack_of_text"] == 1


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
