"""JSON Lines to examples, exactly as written; ``test_malformed.py`` has what is refused."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import example_settings
import pytest
from example_settings import JSONL, PAIRS
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.corpus.texts import TextPair
from pipeline.ingest.rows import Example

WORDS = {"text": None, "words": "words", "labels": {"tags": "tags", "topic": "class"}}
PAIR = {"text": PAIRS["text"], "text_b": PAIRS["text_b"]}
KINDS = {"labels": {"topics": "classes", "score": "number"}}
GOOD = '{"id": "a", "text": "Cold.", "words": ["Cold"], "tags": ["O"], "topic": "weather"}'


def read(folder: Path, *lines: str, **changes: Any) -> list[Example]:
    content = "".join(f"{line}\n" for line in lines)
    return example_settings.read(folder / "corpus.jsonl", content, JSONL, **changes)


def test_jsonl_reads_texts_and_classes(tmp_path: Path):
    file = str(tmp_path / "corpus.jsonl")
    assert read(tmp_path, GOOD) == [Example("a", "Cold.", {"topic": "weather"}, 1, file)]


def test_jsonl_reads_words_and_tags(tmp_path: Path):
    (example,) = read(tmp_path, GOOD, **WORDS)
    assert example.text == ("Cold",)
    assert example.labels == {"tags": ("O",), "topic": "weather"}


def test_jsonl_reads_pairs_in_the_order_of_the_settings(tmp_path: Path):
    line = '{"id": "a", "hypothesis": " It is cold. ", "topic": "x", "premise": "Ice."}'
    (example,) = read(tmp_path, line, **PAIR)
    assert example.text == TextPair("Ice.", " It is cold. ")
    (swapped,) = read(tmp_path, line, text=PAIR["text_b"], text_b=PAIR["text"])
    assert swapped.text == TextPair(" It is cold. ", "Ice.")


def test_jsonl_skips_blank_lines_and_counts_them(tmp_path: Path):
    assert [example.line for example in read(tmp_path, "", GOOD, " \t", GOOD, id=None)] == [2, 4]


def test_jsonl_numbers_rows_by_line_without_an_id_field(tmp_path: Path):
    assert [example.id for example in read(tmp_path, GOOD, "", GOOD, id=None)] == ["1", "3"]


@pytest.mark.parametrize(
    ("written", "expected"), [('"x y"', "x y"), ("7", "7"), ("-1", "-1"), ("true", "true")]
)
def test_jsonl_takes_strings_and_whole_numbers_as_names(
    tmp_path: Path, written: str, expected: str
):
    (example,) = read(tmp_path, f'{{"id": {written}, "text": "a", "topic": {written}}}')
    assert (example.id, example.labels["topic"]) == (expected, expected)


def test_jsonl_keeps_text_as_it_is_and_labels_without_the_space_around_them(tmp_path: Path):
    (example,) = read(
        tmp_path,
        '{"id": 1, "text": " \\u00e9\\u2028\\n\\ud83d\\ude00 é\u2028", "topic": " b\u2028"}',
    )
    assert example.text == " é\u2028\n😀 é\u2028"
    assert example.labels == {"topic": "b"}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("[]", ()),
        ('["b", "a"]', ("a", "b")),
        ('["a", "b", "a"]', ("a", "b")),
        ('[" a b ", "a b"]', ("a b",)),
        ("[2, 1]", ("1", "2")),
    ],
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


def test_jsonl_reads_the_split_and_the_group_of_a_row(tmp_path: Path):
    line = '{"id": 1, "text": "a", "topic": "x", "part": 3, "author": 7}'
    split = {"column": "part", "names": {"3": "test"}, "dev": 0.1}
    (example,) = read(tmp_path, line, split=split, group="author")
    assert (example.split, example.group) == ("test", "7")


strings = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)


@given(
    st.lists(
        st.tuples(
            strings.filter(str.strip),
            strings.filter(str.strip),
            st.lists(strings.filter(str.strip)),
        ),
        min_size=1,
        max_size=5,
    ),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_jsonl_reads_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str, list[str]]],
    escaped: bool,
):
    lines = [
        json.dumps({"text": text, "topic": topic, "all": several}, ensure_ascii=escaped)
        for text, topic, several in rows
    ]
    write = partial(read, tmp_path_factory.mktemp("jsonl"), *lines, id=None)
    examples = write(labels={"topic": "class", "all": "classes"})
    assert [(e.text, e.labels["topic"], e.labels["all"]) for e in examples] == [
        (text, topic.strip(), tuple(sorted({name.strip() for name in several})))
        for text, topic, several in rows
    ]
