"""CoNLL columns to examples; each bad line is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from example_settings import CONLL, corpus_settings
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.corpus.conll import read_conll
from pipeline.corpus.records import Example
from pipeline.errors import DataError


def read(folder: Path, text: str, **changes: Any) -> list[Example]:
    path = folder / "corpus.conll"
    path.write_bytes(text.encode("utf-8"))
    return list(read_conll(path, corpus_settings(CONLL, **changes)))


WORD = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cf", "Z")), min_size=1, max_size=5)
SENTENCE = st.lists(st.tuples(WORD, st.sampled_from(["O", "B-x", "I-x"])), min_size=1, max_size=5)


@given(
    sentences=st.lists(SENTENCE, max_size=5),
    column=st.sampled_from(["\t", " ", "   "]),
    blank=st.sampled_from(["\n", "\n\n", " \n", "\r\n", "\t\n"]),
)
@settings(max_examples=50, deadline=None)
def test_conll_reads_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory,
    sentences: list[list[tuple[str, str]]],
    column: str,
    blank: str,
):
    text = blank.join(
        "".join(f"{word}{column}{tag}\n" for word, tag in sentence) for sentence in sentences
    )
    examples = read(tmp_path_factory.mktemp("conll"), text)
    assert [
        list(zip(example.text, example.labels["tag"], strict=True)) for example in examples
    ] == sentences
    assert [example.id for example in examples] == [str(n + 1) for n in range(len(sentences))]


def test_conll_gives_the_line_that_each_sentence_begins_on(tmp_path: Path):
    examples = read(tmp_path, "\n\na O\nb O\n\n\n\nc O")
    assert [(example.id, example.line) for example in examples] == [("1", 3), ("2", 8)]


def test_conll_names_columns_in_the_order_of_the_settings(tmp_path: Path):
    (example,) = read(
        tmp_path,
        "1 NN B-x ice\n2 VB O cracks\n",
        columns=["number", "pos", "tag", "word"],
        labels={"tag": "tags", "pos": "tags"},
    )
    assert example.text == ("ice", "cracks")
    assert example.labels == {"tag": ("B-x", "O"), "pos": ("NN", "VB")}


def test_conll_keeps_white_space_inside_columns_that_tabs_separate(tmp_path: Path):
    (example,) = read(tmp_path, "New York\tB-x\na\u2028b\tO\n")
    assert example.text == ("New York", "a\u2028b")


def test_conll_reads_windows_line_ends(tmp_path: Path):
    examples = read(tmp_path, "a\tO\r\n\r\nb\tB-x\r\n")
    assert [(example.text, example.labels["tag"]) for example in examples] == [
        (("a",), ("O",)),
        (("b",), ("B-x",)),
    ]


@pytest.mark.parametrize("text", ["", "\n", "\n \n\t\n"])
def test_conll_of_blank_lines_holds_no_sentence(tmp_path: Path, text: str):
    assert read(tmp_path, text) == []


@pytest.mark.parametrize(
    ("line", "count"), [("b", 1), ("b O O", 3), ("b\tO\t", 3), ("b c\tO\tx", 3)]
)
def test_conll_rejects_another_number_of_columns(tmp_path: Path, line: str, count: int):
    with pytest.raises(
        DataError,
        match=rf"corpus\.conll:4: {count} columns where 2 are expected \(word, tag\)",
    ):
        read(tmp_path, f"a O\n\na O\n{line}\n")


@pytest.mark.parametrize("line", ["b\t", "\tO", "b\t ", " \tO"])
def test_conll_rejects_an_empty_column(tmp_path: Path, line: str):
    with pytest.raises(DataError, match=r"corpus\.conll:2: a column is empty"):
        read(tmp_path, f"a O\n{line}\n")
