"""CoNLL columns to examples; ``test_malformed.py`` has what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import example_settings
import pytest
from example_settings import CONLL
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ingest.rows import Example


def read(folder: Path, text: str, **changes: Any) -> list[Example]:
    changes = {"labels": {"tag": "tags"}, **changes}
    return example_settings.read(folder / "corpus.conll", text, CONLL, **changes)


WORD = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cf", "Z")), min_size=1, max_size=5)
SENTENCE = st.lists(st.tuples(WORD, st.sampled_from(["O", "B-x", "I-x"])), min_size=1, max_size=5)


@given(
    sentences=st.lists(SENTENCE, min_size=1, max_size=5),
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


def test_conll_skips_the_lines_that_the_settings_say(tmp_path: Path):
    text = "-DOCSTART- O\n\n# id 1\na O\n# inside a text\nb B-x\n\n#tag O\n"
    examples = read(tmp_path, text, skip_lines=["-DOCSTART-", "# "])
    assert [(example.text, example.line) for example in examples] == [
        (("a", "b"), 4),
        (("#tag",), 8),
    ]


def test_conll_leaves_out_columns_called_underscore(tmp_path: Path):
    (example,) = read(tmp_path, "1 ice NN B-x\n", columns=["_", "word", "_", "tag"])
    assert (example.text, example.labels) == (("ice",), {"tag": ("B-x",)})
