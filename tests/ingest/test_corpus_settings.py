"""Every rule of a row of ``corpora``."""

from __future__ import annotations

from typing import Any

import pytest
from example_settings import CONLL, JSONL, PAIRS, TABLE, corpus_settings
from pydantic import ValidationError

from pipeline.ingest.settings import CorpusSettings, SplitSettings


@pytest.mark.parametrize(
    ("base", "changes", "field"),
    [
        (JSONL, {}, "text"),
        (JSONL, {"id": None}, "text"),
        (JSONL, {"stratify": "topic"}, "text"),
        (JSONL, {"text": None, "words": "tokens"}, "tokens"),
        (JSONL, {"text": None, "words": "tokens", "labels": {"tags": "tags"}}, "tokens"),
        (JSONL, {"labels": {"topic": "class", "tone": "class"}, "stratify": "tone"}, "text"),
        (JSONL, {"labels": {"topic": "classes", "score": "number"}}, "text"),
        (CONLL, {"labels": {"tag": "bioes"}, "broken_tags": "repair"}, "word"),
        (JSONL, {"group": "author"}, "text"),
        (JSONL, {"split": {"folds": 3}}, "text"),
        (JSONL, {"split": {"column": "part"}, "seed": None}, "text"),
        (JSONL, {"split": {"column": "part", "dev": 0.1}, "stratify": "topic"}, "text"),
        (JSONL, {"split": {"files": {"train": "a", "test": "b"}}, "seed": None}, "text"),
        (JSONL, {"format": "folder", "id": None}, "text"),
        (JSONL, {"encoding": "cp1252", "empty_text": "drop"}, "text"),
        (
            TABLE,
            {"delimiter": ";", "quoted": False, "columns": ["topic", "_", "id", "text"]},
            "text",
        ),
        (TABLE, {"labels": {"topic": "classes"}, "separator": "|"}, "text"),
        (CONLL, {"columns": ["_", "word", "_", "tag"], "skip_lines": ["-DOCSTART-"]}, "word"),
        (PAIRS, {}, "premise"),
        (PAIRS, {"id": None, "stratify": "topic"}, "premise"),
        (CONLL, {}, "word"),
        (CONLL, {"columns": ["unused", "tag", "word"]}, "word"),
        (CONLL, {"columns": ["word", "a", "b"], "labels": {"a": "tags", "b": "tags"}}, "word"),
    ],
)
def test_settings_that_fit_together_are_accepted(
    base: dict[str, Any], changes: dict[str, Any], field: str
):
    settings = corpus_settings(base, **changes)
    assert settings.input_field == field
    assert settings.labels == {**base, **changes}["labels"]


@pytest.mark.parametrize(
    ("base", "changes", "error"),
    [
        (JSONL, {"text": None}, "either the field of raw 'text' or the field of 'words'"),
        (JSONL, {"words": "tokens"}, "either the field of raw 'text' or the field of 'words'"),
        (PAIRS, {"text": None}, "either the field of raw 'text' or the field of 'words'"),
        (PAIRS, {"text": None, "words": "tokens"}, "'text_b' .* goes with 'text', not with"),
        (CONLL, {"text_b": "word"}, "'text_b' .* goes with 'text', not with"),
        (CONLL, {"columns": None}, "format conll needs 'columns'"),
        (CONLL, {"columns": []}, "format conll needs 'columns'"),
        (CONLL, {"columns": ["word", "tag", "tag"]}, "'columns' names a column twice"),
        (CONLL, {"words": None, "text": "word"}, "format conll holds 'words'"),
        (CONLL, {"words": None, "text": "word", "text_b": "tag"}, "format conll holds 'words'"),
        (CONLL, {"id": "number", "columns": ["number", "word", "tag"]}, "'id' must be null"),
        (CONLL, {"columns": ["word", "other"]}, "'columns' does not name tag"),
        (CONLL, {"columns": ["a", "b"]}, "'columns' does not name tag, word"),
        (CONLL, {"labels": {"tag": "class"}}, "format conll holds labels with one tag per word"),
        (CONLL, {"labels": {"tag": "number"}}, "format conll holds labels with one tag per word"),
        (CONLL, {"split": {"column": "part"}, "seed": None}, "no column of 'split'"),
        (CONLL, {"group": "part"}, "no column of 'split', no 'group'"),
        (CONLL, {"empty_text": "keep"}, "'empty_text: keep' is for raw text"),
        (CONLL, {"columns": ["_", "word", "_", "tga"]}, "'columns' does not name tag"),
        (TABLE, {"columns": ["id", "text"]}, "'columns' does not name topic"),
        (TABLE, {"labels": {"topic": "classes"}}, "labels of kind 'classes' need 'separator'"),
        (TABLE, {"encoding": "klingon"}, "there is no encoding 'klingon'"),
        (TABLE, {"skip_lines": ["#"]}, "'skip_lines' is for format conll"),
        (JSONL, {"columns": ["text", "topic"]}, "'columns' is for format conll, csv and tsv"),
        (JSONL, {"delimiter": ";"}, "'delimiter' is for format csv and tsv"),
        (JSONL, {"quoted": True}, "'quoted' is for format csv and tsv"),
        (JSONL, {"separator": "|"}, "'separator' is for format csv, tsv and lines"),
        (JSONL, {"format": "folder"}, "format folder holds 'text', and 'id' must be null"),
        (
            JSONL,
            {"format": "folder", "id": None, "labels": {"a": "class", "b": "class"}},
            "format folder holds one label of kind 'class'",
        ),
        (JSONL, {"seed": None}, "splits that are drawn need a 'seed'"),
        (JSONL, {"split": {"folds": 5}, "seed": None}, "splits that are drawn need a 'seed'"),
        (JSONL, {"split": {"column": "part"}}, "'seed' is for splits that are drawn"),
        (
            JSONL,
            {"split": {"column": "part"}, "seed": None, "group": "author"},
            "'group' is for splits that are drawn",
        ),
        (JSONL, {"split": {"column": "topic"}, "seed": None}, "must be different fields"),
        (JSONL, {"labels": {"topic": "tags"}}, "labels of kind 'tags' need 'words'"),
        (JSONL, {"labels": {"topic": "bioes"}}, "labels of kind 'bioes' need 'words'"),
        (PAIRS, {"labels": {"topic": "tags"}}, "labels of kind 'tags' need 'words'"),
        (JSONL, {"id": "text"}, "must be different fields"),
        (JSONL, {"text": "topic"}, "must be different fields"),
        (JSONL, {"id": "topic"}, "must be different fields"),
        (CONLL, {"labels": {"word": "tags"}}, "must be different fields"),
        (PAIRS, {"text_b": "premise"}, "must be different fields"),
        (PAIRS, {"text_b": "id"}, "must be different fields"),
        (PAIRS, {"text_b": "topic"}, "must be different fields"),
        (JSONL, {"id": None, "labels": {"id": "class"}}, "must not be called 'id' or 'split'"),
        (JSONL, {"labels": {"split": "class"}}, "must not be called 'id' or 'split'"),
        (JSONL, {"stratify": "tone"}, "'stratify' must be null or name a label of kind 'class'"),
        (JSONL, {"labels": {"topic": "classes"}, "stratify": "topic"}, "of kind 'class'"),
        (JSONL, {"stratify": "text"}, "'stratify' must be null or name a label of kind 'class'"),
        (CONLL, {"stratify": "tag"}, "'stratify' must be null or name a label of kind 'class'"),
    ],
)
def test_settings_that_contradict_each_other_are_rejected(
    base: dict[str, Any], changes: dict[str, Any], error: str
):
    with pytest.raises(ValidationError, match=error):
        corpus_settings(base, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"path": ""},
        {"path": None},
        {"format": "xml"},
        {"text_b": 2},
        {"text_b": ["premise", "hypothesis"]},
        {"labels": {}},
        {"labels": {"topic": "bio"}},
        {"broken_tags": "drop"},
        {"labels": ["topic"]},
        {"seed": -1},
        {"seed": 1.5},
        {"seed": "1"},
        {"split": {"train": 0.9, "dev": 0.1}},
        {"shuffle": True},
    ],
)
def test_settings_with_a_bad_value_are_rejected_at_its_field(changes: dict[str, Any]):
    with pytest.raises(ValidationError) as caught:
        corpus_settings(JSONL, **changes)
    assert [error["loc"][0] for error in caught.value.errors()] == list(changes)


@pytest.mark.parametrize("field", ["path", "format", "id", "labels", "split"])
def test_settings_have_no_default_for(field: str):
    row = {name: value for name, value in JSONL.items() if name != field}
    with pytest.raises(ValidationError) as caught:
        corpus_settings(row)
    assert [(error["loc"], error["type"]) for error in caught.value.errors()] == [
        ((field,), "missing")
    ]


def test_columns_are_a_tuple_and_settings_frozen():
    settings = corpus_settings(CONLL)
    assert settings.columns == ("word", "tag")
    with pytest.raises(ValidationError, match="frozen"):
        settings.seed = 2


@pytest.mark.parametrize(
    "fractions", [(0.8, 0.1, 0.1), (0.7, 0.2, 0.1), (0.98, 0.01, 0.01), (1 / 3, 1 / 3, 1 / 3)]
)
def test_split_accepts_fractions_that_add_up_to_one(fractions: tuple[float, float, float]):
    train, dev, test = fractions
    split = SplitSettings(train=train, dev=dev, test=test)
    assert (split.train, split.dev, split.test) == fractions


@pytest.mark.parametrize("fractions", [(0.8, 0.1, 0.2), (0.8, 0.1, 0.05), (0.5, 0.25, 0.249)])
def test_split_rejects_fractions_that_do_not_add_up_to_one(
    fractions: tuple[float, float, float],
):
    train, dev, test = fractions
    with pytest.raises(ValidationError, match="must add up to 1, not "):
        SplitSettings(train=train, dev=dev, test=test)


@pytest.mark.parametrize(
    ("split", "error"),
    [
        ({}, "must have the shares train, dev and test, or one of folds, column and files"),
        ({"train": 0.5, "test": 0.5}, "must have the shares train, dev and test"),
        ({"folds": 5, "column": "part"}, "splits come from one of folds, column and files"),
        ({"folds": 5, "train": 0.5}, "they do not go with 'folds'"),
        ({"folds": 5, "dev": 0.5}, "'dev' does not go with 'folds'"),
        ({"folds": 1}, "greater than or equal to 2"),
        ({"column": "part", "test": 0.5}, "they do not go with 'column'"),
        ({"folds": 5, "names": {"a": "dev"}}, "there is no 'column'"),
        ({"column": "part", "names": {"a": "dev"}, "dev": 0.1}, "dev is given already"),
        ({"column": "part", "names": {"a": "tset"}}, "'train', 'dev' or 'test'"),
        ({"files": {"train": "a", "dev": "b"}, "dev": 0.1}, "dev is given already"),
        ({"files": {"train": "a", "test": "a"}}, "'files' names a file twice"),
        ({"files": {"train": "/a"}}, "the file of train must be a path below 'path'"),
        ({"files": {"train": "../a"}}, "the file of train must be a path below 'path'"),
        ({"files": {"train": ""}}, "the file of train must be a path below 'path'"),
    ],
)
def test_split_rejects_ways_that_contradict_each_other(split: dict[str, Any], error: str):
    with pytest.raises(ValidationError, match=error):
        corpus_settings(JSONL, split=split)


@pytest.mark.parametrize("field", ["train", "dev", "test"])
@pytest.mark.parametrize("value", [0, 1, -0.5, 1.5, float("nan"), True])
def test_split_rejects_what_is_not_between_zero_and_one(field: str, value: float):
    with pytest.raises(ValidationError) as caught:
        SplitSettings(**{"train": 0.8, "dev": 0.1, "test": 0.1, field: value})
    assert [error["loc"] for error in caught.value.errors()] == [(field,)]


def test_corpus_settings_allow_no_key_of_the_split_beyond_its_three():
    with pytest.raises(ValidationError, match=r"split\.validation"):
        CorpusSettings.model_validate(
            {**JSONL, "split": {**JSONL["split"], "validation": 0.1}}, strict=False
        )
