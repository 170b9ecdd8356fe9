from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import DataError
from pipeline.corpus.texts import TextPair
from pipeline.prediction.texts import read_lines, read_rows, split_lines

no_surrogates = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.lists(no_surrogates.map(lambda text: text.replace("\n", " ").removesuffix("\r"))))
def test_every_line_is_a_text(texts: list[str]) -> None:
    if texts:
        texts[0] = texts[0].lstrip("\ufeff")
    lines = [f"{text}\n".encode() for text in texts]
    expected = [(str(number), text) for number, text in enumerate(texts, start=1)]
    assert list(read_lines(lines, "in")) == expected


@given(st.lists(st.one_of(no_surrogates, st.lists(no_surrogates))))
def test_rows_hold_texts_or_words(inputs: list[str | list[str]]) -> None:
    lines = [
        json.dumps({"words": given} if isinstance(given, list) else {"text": given}).encode()
        for given in inputs
    ]
    expected = [tuple(given) if isinstance(given, list) else given for given in inputs]
    assert [text for _, text in read_rows(lines, "in")] == expected


def test_rows_have_pairs_ids_and_other_fields() -> None:
    lines = [
        b'{"id": "x", "text": "a", "text_b": "b", "more": 1}\n',
        b"\n",
        b'{"id": 7, "text": ""}',
    ]
    assert list(read_rows(lines, "in")) == [("x", TextPair("a", "b")), ("7", "")]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"plain text", "not JSON: .*; for a text per line, say --format lines"),
        (b"[1]", "must be a JSON object"),
        (b'{"tekst": "a"}', "has neither 'text' nor 'words'; its fields: 'tekst'"),
        (b"{}", "its fields: none"),
        (b'{"text": 3}', "'text' and 'text_b' must be strings"),
        (b'{"text": "a", "text_b": null}', "'text' and 'text_b' must be strings"),
        (b'{"words": "a b"}', "'words' must be a list of strings"),
        (b'{"id": true, "text": "a"}', "'id' must be a string or a whole number"),
        (b'{"text": "\\ud800"}', "lone surrogate"),
        (b'{"text": "a\xff"}', "not UTF-8 at byte 12"),
    ],
)
def test_what_is_wrong_with_a_line_is_said_with_its_place(line: bytes, problem: str) -> None:
    with pytest.raises(DataError, match=f"^in.jsonl:2: .*{problem}"):
        list(read_rows([b'{"text": "fine"}\n', line], "in.jsonl"))


def test_lines_are_split_as_they_stand() -> None:
    content = b"a\n\nb\r\nc"
    assert list(split_lines(io.BytesIO(content), "in")) == content.splitlines(keepends=True)


def test_a_line_may_be_as_long_as_the_longest_and_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.prediction.texts.LONGEST_LINE", 1 << 20)
    longest = b"x" * ((1 << 20) - 1) + b"\n"
    assert list(split_lines(io.BytesIO(longest * 2), "in")) == [longest, longest]
    with pytest.raises(DataError, match="in:2: the line has more than 1 MiB"):
        list(split_lines(io.BytesIO(longest + b"x" + longest), "in"))
