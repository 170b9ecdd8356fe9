"""JSON Lines to examples; each bad line is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from example_settings import JSONL, PAIRS, corpus_settings

from pipeline.corpus.jsonl import read_jsonl
from pipeline.corpus.records import Example, TextPair
from pipeline.errors import DataError

WORDS = {"text": None, "words": "words", "labels": {"tags": "tags", "topic": "class"}}
PAIR = {"text": PAIRS["text"], "text_b": PAIRS["text_b"]}
GOOD = '{"id": "a", "text": "Cold.", "words": ["Cold"], "tags": ["O"], "topic": "weather"}'


def read(folder: Path, *lines: str, **changes: Any) -> list[Example]:
    path = folder / "corpus.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return list(read_jsonl(path, corpus_settings(JSONL, **changes)))


def test_jsonl_reads_texts_and_classes(tmp_path: Path):
    assert read(tmp_path, GOOD) == [Example("a", "Cold.", {"topic": "weather"}, line=1)]


def test_jsonl_reads_words_and_tags(tmp_path: Path):
    assert read(tmp_path, GOOD, **WORDS) == [
        Example("a", ("Cold",), {"tags": ("O",), "topic": "weather"}, line=1)
    ]


def test_jsonl_reads_pairs_in_the_order_of_the_settings(tmp_path: Path):
    line = '{"id": "a", "hypothesis": " It is cold. ", "topic": "x", "premise": "Ice."}'
    assert read(tmp_path, line, **PAIR) == [
        Example("a", TextPair("Ice.", " It is cold. "), {"topic": "x"}, line=1)
    ]
    (swapped,) = read(tmp_path, line, text=PAIR["text_b"], text_b=PAIR["text"])
    assert swapped.text == TextPair(" It is cold. ", "Ice.")


def test_jsonl_skips_blank_lines_and_counts_them(tmp_path: Path):
    assert [example.line for example in read(tmp_path, "", GOOD, " \t", GOOD)] == [2, 4]


def test_jsonl_numbers_rows_by_line_without_an_id_field(tmp_path: Path):
    assert [example.id for example in read(tmp_path, GOOD, "", GOOD, id=None)] == ["1", "3"]


@pytest.mark.parametrize(("written", "expected"), [('"x y"', "x y"), ("7", "7"), ("-1", "-1")])
def test_jsonl_takes_strings_and_whole_numbers_as_ids(tmp_path: Path, written: str, expected: str):
    (example,) = read(tmp_path, f'{{"id": {written}, "text": "a", "topic": "b"}}')
    assert example.id == expected


def test_jsonl_keeps_text_as_it_is(tmp_path: Path):
    (example,) = read(
        tmp_path, '{"id": 1, "text": " \\u00e9\\u2028\\n\\ud83d\\ude00 é\u2028", "topic": " b"}'
    )
    assert example.text == " é\u2028\n😀 é\u2028"
    assert example.labels == {"topic": " b"}


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("{", "not JSON: Expecting property name enclosed in double quotes at column 2"),
        ('{"text": "a"} x', "not JSON: Extra data at column 15"),
        ("text", "not JSON: Expecting value at column 1"),
        ("[1]", "must be a JSON object"),
        ('"text"', "must be a JSON object"),
        ("null", "must be a JSON object"),
        ('{"id": 1, "topic": "b"}', "field 'text' is missing; this line has 'id', 'topic'"),
        ('{"text": "a", "topic": "b"}', "field 'id' is missing; this line has 'text', 'topic'"),
        ('{"id": 1, "text": "a"}', "field 'topic' is missing; this line has 'id', 'text'"),
        ('{"id": "", "text": "a", "topic": "b"}', "field 'id' must be a non-empty string or"),
        ('{"id": 1.0, "text": "a", "topic": "b"}', "field 'id' must be a non-empty string or"),
        ('{"id": true, "text": "a", "topic": "b"}', "field 'id' must be a non-empty string or"),
        ('{"id": null, "text": "a", "topic": "b"}', "field 'id' must be a non-empty string or"),
        ('{"id": 1, "text": null, "topic": "b"}', "field 'text' must be a string of text"),
        ('{"id": 1, "text": ["a"], "topic": "b"}', "field 'text' must be a string of text"),
        ('{"id": 1, "text": "a", "topic": ""}', "label 'topic' must be a non-empty string"),
        ('{"id": 1, "text": "a", "topic": 3}', "label 'topic' must be a non-empty string"),
        ('{"id": 1, "text": "a", "topic": ["b"]}', "label 'topic' must be a non-empty string"),
    ],
)
def test_jsonl_rejects_a_bad_line_with_its_number(tmp_path: Path, line: str, error: str):
    with pytest.raises(DataError, match=rf"corpus\.jsonl:3: {error}"):
        read(tmp_path, GOOD, "", line)


KINDS = {"labels": {"topics": "classes", "score": "number"}}


@pytest.mark.parametrize(
    ("written", "expected"),
    [("[]", ()), ('["b", "a"]', ("a", "b")), ('["a", "b", "a"]', ("a", "b")), ('[" "]', (" ",))],
)
def test_jsonl_reads_classes_sorted_and_once(
    tmp_path: Path, written: str, expected: tuple[str, ...]
):
    line = f'{{"id": 1, "text": "a", "topics": {written}, "score": 0}}'
    assert read(tmp_path, line, **KINDS)[0].labels["topics"] == expected


@pytest.mark.parametrize(
    ("written", "expected"), [("3", 3.0), ("-0.5", -0.5), ("1e3", 1000.0), ("0", 0.0)]
)
def test_jsonl_reads_numbers(tmp_path: Path, written: str, expected: float):
    line = f'{{"id": 1, "text": "a", "topics": [], "score": {written}}}'
    score = read(tmp_path, line, **KINDS)[0].labels["score"]
    assert (score, type(score)) == (expected, float)


@pytest.mark.parametrize(
    ("topics", "score", "error"),
    [
        ('"a"', "1", "field 'topics' must be a list of strings"),
        ("[1]", "1", "field 'topics' must be a list of strings"),
        ('["a", ""]', "1", "label 'topics' must hold no empty string"),
        ("[]", '"1"', "label 'score' must be a number, without quotes"),
        ("[]", "true", "label 'score' must be a number"),
        ("[]", "null", "label 'score' must be a number"),
        ("[]", "NaN", "label 'score' must be a finite number"),
        ("[]", "-Infinity", "label 'score' must be a finite number"),
        ("[]", "1e999", "label 'score' must be a finite number"),
        ("[]", "1" + "0" * 400, "label 'score' must be a finite number"),
    ],
)
def test_jsonl_rejects_bad_classes_and_numbers(tmp_path: Path, topics: str, score: str, error: str):
    good = '{"id": 1, "text": "a", "topics": [], "score": 1}'
    with pytest.raises(DataError, match=rf"corpus\.jsonl:2: {error}"):
        read(tmp_path, good, good.replace("[]", topics).replace(": 1}", f": {score}}}"), **KINDS)


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ('{"id": 1, "words": "a", "tags": ["O"], "topic": "b"}', "words"),
        ('{"id": 1, "words": ["a", 1], "tags": ["O"], "topic": "b"}', "words"),
        ('{"id": 1, "words": {"a": 1}, "tags": ["O"], "topic": "b"}', "words"),
        ('{"id": 1, "words": ["a"], "tags": "O", "topic": "b"}', "tags"),
        ('{"id": 1, "words": ["a"], "tags": [null], "topic": "b"}', "tags"),
    ],
)
def test_jsonl_rejects_words_and_tags_that_are_not_strings(tmp_path: Path, line: str, field: str):
    with pytest.raises(
        DataError, match=rf"corpus\.jsonl:2: field '{field}' must be a list of strings"
    ):
        read(tmp_path, GOOD, line, **WORDS)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ('{"id": 1, "hypothesis": "b"}', "field 'premise' is missing; this line has 'id', 'hypoth"),
        ('{"id": 1, "premise": "a"}', "field 'hypothesis' is missing; this line has 'id', 'premi"),
        ('{"id": 1, "premise": 1, "hypothesis": "b"}', "field 'premise' must be a string of text"),
        (
            '{"id": 1, "premise": "a", "hypothesis": null}',
            "field 'hypothesis' must be a string of text",
        ),
        (
            '{"id": 1, "premise": "a", "hypothesis": ["b"]}',
            "field 'hypothesis' must be a string of text",
        ),
    ],
)
def test_jsonl_rejects_a_pair_without_two_texts(tmp_path: Path, line: str, error: str):
    with pytest.raises(DataError, match=rf"corpus\.jsonl:2: {error}"):
        read(tmp_path, "", line, **PAIR)
