"""Formats whose rows are spread over the files of a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from example_settings import JSONL, corpus_settings
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ingest.formats import read_examples
from pipeline.ingest.rows import Example

FOLDER: dict[str, Any] = {**JSONL, "format": "folder", "id": None}
LINES: dict[str, Any] = {
    **JSONL,
    "format": "lines",
    "id": None,
    "text": None,
    "words": "seq.in",
    "labels": {"seq.out": "iob2", "label": "class"},
}


def read(
    folder: Path, files: dict[str, str], base: dict[str, Any], **changes: Any
) -> list[Example]:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode("utf-8"))
    return read_examples(folder, corpus_settings(base, **changes))


TEXTS = {"x/1.txt": "ice\r\n", "y/1.txt": "snow", "y/deep/2.txt": "ice\r\n", "y/.hidden": ""}


def test_a_folder_is_a_class_and_a_file_a_text(tmp_path: Path):
    rows = read(tmp_path, TEXTS, FOLDER)
    assert sorted((row.text, row.labels["topic"]) for row in rows) == [
        ("ice\r\n", "x"),
        ("ice\r\n", "y"),
        ("snow", "y"),
    ]


def test_ids_and_order_do_not_depend_on_classes(tmp_path: Path):
    before = read(tmp_path / "a", TEXTS, FOLDER)
    moved = {"y/1.txt": "ice\r\n", "x/9.txt": "snow", "x/7.txt": "ice\r\n"}
    after = read(tmp_path / "b", moved, FOLDER)
    assert [(row.id, row.text) for row in before] == [(row.id, row.text) for row in after]
    assert len({row.id for row in before}) == 3


def test_folders_of_splits_hold_folders_of_classes(tmp_path: Path):
    files = {"train/x/1.txt": "ice", "train/y/1.txt": "snow", "test/x/1.txt": "ice"}
    split = {"files": {"train": "train", "test": "test"}}
    rows = read(tmp_path, files, FOLDER, split=split, seed=None)
    assert [(row.split, row.text) for row in rows if row.labels["topic"] == "x"] == [
        ("train", "ice"),
        ("test", "ice"),
    ]
    assert len({row.id for row in rows}) == 3


text = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=20)


@given(st.lists(text.filter(lambda t: t.strip() and not t.startswith("\ufeff")), min_size=1))
@settings(max_examples=40, deadline=None)
def test_text_files_read_back_as_written(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
):
    files = {f"{'xy'[n % 2]}/{n}.txt": text for n, text in enumerate(texts)}
    rows = read(tmp_path_factory.mktemp("folder"), files, FOLDER)
    assert sorted((str(row.text), str(row.labels["topic"])) for row in rows) == sorted(
        (text, "xy"[n % 2]) for n, text in enumerate(texts)
    )


def test_parallel_lines_are_rows(tmp_path: Path):
    files = {
        "seq.in": "play ice age \nice\n",
        "seq.out": "O B-film I-film \nO\n",
        "label": "Play\nNo\n",
    }
    first, second = read(tmp_path, files, LINES)
    assert (first.id, first.text, first.line) == ("1", ("play", "ice", "age"), 1)
    assert first.labels == {"seq.out": ("O", "B-film", "I-film"), "label": "Play"}
    assert (second.text, second.file) == (("ice",), str(tmp_path / "seq.in"))


word = st.text(st.characters(exclude_categories=("Cs", "Cc", "Z")), min_size=1, max_size=4).filter(
    lambda word: word.split() == [word] and not word.startswith("\ufeff")
)


@given(st.lists(st.tuples(st.lists(word, min_size=1, max_size=4), word), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_parallel_lines_read_back_as_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[list[str], str]]
):
    files = {
        "seq.in": "".join(" ".join(words) + "\n" for words, _ in rows),
        "seq.out": "".join(" ".join(["O"] * len(words)) + "\n" for words, _ in rows),
        "label": "".join(label + "\n" for _, label in rows),
    }
    read_back = read(tmp_path_factory.mktemp("lines"), files, LINES)
    assert [(row.text, row.labels["label"]) for row in read_back] == [
        (tuple(words), label) for words, label in rows
    ]
