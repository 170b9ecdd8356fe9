"""Raw and prepared corpora that were made to harm: refused with the place, in time and memory."""

from __future__ import annotations

import gzip
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hostile import (
    PREPARE,
    SPECIAL,
    at_most,
    refused,
    refused_in_little_memory,
    write_params,
)

from pipeline.core.errors import DataError
from pipeline.corpus.folds import by_fold
from pipeline.corpus.storage import LABELS, LABELS_META, TEXTS, read_labels, read_texts
from stages.check import main as check
from stages.init import main as init
from stages.prepare import main as prepare
from stages.validate import main as validate

CONLL = {"format": "conll", "text": ..., "words": "word", "columns": ["word", "tag"]}
CONLL["labels"] = {"tag": "tags"}
CONLLU = {"format": "conllu", "text": ..., "words": "form", "labels": {"upos": "tags"}}
TABLE = {"format": "csv"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("form", ["jsonl", "csv", "conll", "conllu"])
@pytest.mark.parametrize("kind", SPECIAL)
def test_a_corpus_that_is_no_regular_file_is_refused_at_once(
    folder: Path, kind: str, form: str
) -> None:
    changes: dict[str, Any] = {"conll": CONLL, "conllu": CONLLU}.get(form, {"format": form})
    path = write_params(folder, **changes)
    make, problem = SPECIAL[kind]
    make(path)
    assert re.search(problem, " ".join(refused(prepare, *PREPARE, folder=folder)))
    assert re.search(problem, " ".join(refused(validate, folder=folder)))


@pytest.mark.parametrize("kind", ["pipe", "socket", "urandom", "zero"])
def test_a_field_of_parallel_lines_that_is_no_regular_file_is_refused(
    folder: Path, kind: str
) -> None:
    path = write_params(folder, format="lines")
    path.mkdir()
    (path / "text").write_text("ice\n")
    SPECIAL[kind][0](path / "topic")
    refused(prepare, *PREPARE, folder=folder)


@pytest.mark.parametrize("kind", ["pipe", "socket", "urandom", "zero", "nothing", "itself"])
def test_init_refuses_what_is_no_regular_file(folder: Path, kind: str) -> None:
    write_params(folder)
    SPECIAL[kind][0](folder / "new.jsonl")
    refused(init, "new.jsonl", folder=folder)


ENDLESS = {
    "jsonl": ({}, b'{"text": "', b"x"),
    "csv": (TABLE, b"text,topic\nx,", b"x"),
    "csv cell": (TABLE, b'text,topic\n"', b"x\n"),
    "csv row": (TABLE, b'text,topic\n"', b'\n","'),
    "csv header": (TABLE, b"", b"x,"),
    "conll": (CONLL, b"", b"x O\n"),
    "conllu": (CONLLU, b"", b"1" + b"\tx" * 9 + b"\n"),
    "conllu comments": (CONLLU, b"", b"# k = v\n"),
    "json list": ({"labels": {"topic": "classes"}}, b'{"text": [', b"[],"),
}


@pytest.mark.slow
@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("kind", ENDLESS)
def test_a_row_without_an_end_takes_bounded_memory(folder: Path, kind: str, zipped: bool) -> None:
    """400 MB, or as many out of a gzip file of a few hundred kilobytes."""
    changes, begin, piece = ENDLESS[kind]
    path = write_params(folder, **changes)
    count = (400 << 20) // len(piece)
    with gzip.open(path, "wb", 1) if zipped else path.open("wb") as file:
        file.write(begin)
        block = piece * (1 << 16)
        for _ in range(count >> 16):
            file.write(block)
    lines = refused_in_little_memory("stages.prepare", *PREPARE, folder=folder)
    assert re.search(r"corpus:\d+: .*16,777,216 characters.*Reading stopped here", lines[0])
    path.unlink()


DEEP = "[" * 100_000 + "]" * 100_000
ROWS: dict[str, tuple[dict[str, Any], str, str]] = {
    "deep list": ({}, f'{{"text": {DEEP}, "topic": "a"}}', "corpus:2: .*nested more than 200"),
    "deep object": (
        {},
        '{"text": ' * 50_000 + "1" + "}" * 50_000,
        "corpus:2: .*nested more than 200",
    ),
    "deep, of what Python can read": (
        {},
        f'{{"text": {"[" * 300 + "]" * 300}, "topic": "a"}}',
        "corpus:2: .*nested more than 200",
    ),
    "deep unclosed": ({}, '{"text": ' + "[" * 100_000, "corpus:2: "),
    "huge integer": ({}, f'{{"text": "a", "topic": {"9" * 10_000}}}', "corpus:2: .*4300 digits"),
    "huge float": (
        {"labels": {"topic": "number"}},
        '{"text": "a", "topic": 1e999}',
        "corpus:2: field 'topic': must be a finite number",
    ),
    "not a number": (
        {"labels": {"topic": "number"}},
        '{"text": "a", "topic": NaN}',
        "corpus:2: field 'topic': must be a finite number",
    ),
    "half a character": ({}, '{"text": "\\ud83d", "topic": "a"}', "corpus:2: a lone surrogate"),
    "half a label": ({}, '{"text": "a", "topic": "\\udc00"}', "corpus:2: a lone surrogate"),
    "a list for a label": ({}, '{"text": "a", "topic": [["a"]]}', "corpus:2: field 'topic'"),
    "an object for a label": ({}, '{"text": "a", "topic": {"b": 1}}', "corpus:2: field 'topic'"),
    "an object for a text": ({}, '{"text": {"b": 1}, "topic": "a"}', "corpus:2: field 'text'"),
    "null": ({}, '{"text": null, "topic": "a"}', "corpus:2: field 'text'"),
    "twice": ({}, '{"text": "a", "text": "b", "topic": "a"}', "'text' is given twice"),
    "a name of 10,000 characters": (
        {},
        f'{{"{"x" * 10_000}": 1, "{"x" * 10_000}": 2}}',
        "given twice",
    ),
    "many fields": (
        {},
        "{" + ", ".join(f'"{n:0>500}": {n}' for n in range(20_000)) + "}",
        "corpus:2: field 'text' is missing; this row has .*\\.\\.\\.",
    ),
    "an escape": ({}, '{"text": "a", "\\u001b[2J": 1}', "corpus:2: field 'topic' is missing"),
    "an id of 0": ({"id": "id"}, '{"id": "a\\u0000b", "text": "a", "topic": "a"}', "NUL"),
    "a cell with NUL": (TABLE, "a\0b,c", "corpus:2: a NUL character"),
    "many cells": (TABLE, ",".join("x" * 100_000), "corpus:2: 100000 cells where 2 are"),
    "an open quote": (TABLE, '"' + "a\n" * 1000, "corpus:2: a double quote opens a cell"),
    "text after a quote": (TABLE, '"a"b,c', "corpus:2: text follows the double quote"),
    "a carriage return": (TABLE, "a\rb,c", "corpus:2: a carriage return"),
    "columns": (CONLL, "a " * 100_000, "corpus:2: 100000 columns where 2"),
    "one column": (CONLL, "a", "corpus:2: 1 columns where 2"),
    "empty column": (CONLL, "a\t\u2003", "corpus:2: field 'tag': the tag of word 2 is empty"),
    "word of a range": (CONLLU, "1-\t" + "\tx" * 8, "corpus:2: "),
    "word of letters": (CONLLU, "x" * 10_000 + "\tx" * 9, "corpus:2: .* is no number of a word"),
}
FIRST = {"csv": "text,topic", "conll": "a O", "conllu": "1" + "\tx" * 9}


@pytest.mark.parametrize("name", ROWS)
def test_a_hostile_row_is_told_with_its_line(folder: Path, name: str) -> None:
    changes, row, problem = ROWS[name]
    path = write_params(folder, **changes)
    first = FIRST.get(str(changes.get("format")), '{"text": "good", "id": 1, "topic": 1}')
    path.write_text(f"{first}\n{row}\n", encoding="utf-8", newline="")
    assert re.search(problem, "\n".join(refused(prepare, *PREPARE, folder=folder)))


def test_a_table_whose_header_is_long_is_told_in_short_lines(folder: Path) -> None:
    path = write_params(folder, format="csv")
    header = ",".join(["text", "topic", *(f"{n:0>20}" for n in range(100_000))])
    path.write_text(header + "\n" + "a,b\n" * 20_000)
    lines = refused(prepare, *PREPARE, folder=folder)
    assert "2 cells where 100002 are expected (text, topic, " in lines[0]


@pytest.mark.parametrize(
    "row",
    [
        '{"id": "../../x", "text": "a", "topic": "../../y"}',
        '{"id": "/etc/passwd", "text": "a", "topic": "/y"}',
        '{"id": "a\\nb", "text": "\\ud83d\\ude00", "topic": "\\u001b[2J"}',
        '{"id": "i", "text": "a", "topic": "a", "other": NaN, "more": "\\ud83d", "deep": [[[]]]}',
        f'{{"id": "i", "text": "a", "topic": {"9" * 4000}, "more": {{}}}}',
        f'{{"id": "{"i" * 10_000}", "text": "a", "topic": "{"t" * 10_000}"}}',
    ],
)
def test_names_are_no_paths_and_what_is_not_read_does_no_harm(folder: Path, row: str) -> None:
    path = write_params(folder, id="id")
    good = "".join(f'{{"id": "{n}", "text": "text {n}", "topic": {n % 2}}}\n' for n in range(20))
    path.write_text(good + row + "\n", encoding="utf-8")
    with at_most():
        result = CliRunner().invoke(prepare, PREPARE, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    written = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert written == {
        *("params.yaml", "data/raw/corpus", "report.json"),
        *("text/texts.jsonl", "labels/labels.jsonl", "labels/labels.json"),
    }
    wanted = json.loads(row)
    assert (wanted["id"], wanted["text"]) in list(read_texts(folder / "text"))
    assert str(wanted["topic"]) in read_labels(folder / "labels", "topic").values
    assert "\x1b" not in result.output


@pytest.mark.parametrize("encoding", ["zlib", "base64", "rot13", "a\0b", "nothing", "undefined"])
def test_an_encoding_that_is_none_of_text_is_refused(folder: Path, encoding: str) -> None:
    write_params(folder, encoding=encoding).write_text('{"text": "a", "topic": "a"}\n')
    assert "encoding" in refused(prepare, *PREPARE, folder=folder)[-1]


@pytest.mark.parametrize("path", ["data/raw/\0", "x" * 3000, "data/raw/" + "y" * 300])
def test_a_path_that_is_none_is_refused(folder: Path, path: str) -> None:
    write_params(folder, path=path)
    refused(prepare, *PREPARE, folder=folder)
    refused(check, folder=folder)


@pytest.mark.slow
def test_a_million_labels_are_counted_in_time(folder: Path) -> None:
    path = write_params(folder, labels={"topic": "classes"})
    with path.open("w", encoding="utf-8") as file:
        for row in range(200):
            names = [f"label {row} {number}" for number in range(5000)]
            file.write(json.dumps({"text": f"text {row}", "topic": names}) + "\n")
    with at_most(60):
        result = CliRunner().invoke(validate, [], catch_exceptions=False)
    assert result.exit_code == 0
    assert len(result.output) < 4000


# Prepared corpora, which come from a remote.

GOOD_TEXTS = '{"id":"0","text":"a"}\n'
GOOD_LABELS = '{"id":"0","labels":{"topic":"a"},"split":"train"}\n'
GOOD_META = '{"texts_sha256": "x", "kinds": {"topic": "class"}}'


def prepared(folder: Path, texts: str = "", labels: str = "", meta: str = GOOD_META) -> None:
    for name, content in ((TEXTS, texts), (LABELS, labels), (LABELS_META, meta)):
        (folder / name).write_bytes(content.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize(
    "row",
    [
        *("{", "[]", "1", "null", '"a"', "", "{}", '{"id": "1"}', '{"text": "a"}', DEEP),
        *('{"id": 1, "text": "a"}', '{"id": null, "text": "a"}', '{"id": "1", "text": 1}'),
        *('{"id": "1", "words": "abc"}', '{"id": "1", "words": ["a", 1]}', '{"id":"1","words":{}}'),
        *('{"id": "1", "text": "a", "text_b": 1}', '{"id": "1", "text_b": "a"}'),
        *('{"id": "1", "text": "a", "words": ["a"]}', '{"id": "1", "text": "a", "path": "../x"}'),
        *('{"id": "1", "text": "\\ud83d"}', '{"id": "1", "text": NaN}', "\ud83d"),
        f'{{"id": "1", "text": {"9" * 10_000}}}',
    ],
)
def test_a_damaged_row_of_texts_is_told_with_its_line(tmp_path: Path, row: str) -> None:
    prepared(tmp_path, GOOD_TEXTS + row + "\n")
    with pytest.raises(DataError, match=r"texts\.jsonl:2: is damaged: ") as caught, at_most():
        list(read_texts(tmp_path))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        *((row, "class") for row in ("{", "[]", "{}", '{"id": "1"}', DEEP)),
        ('{"id": 1, "split": "train", "labels": {"topic": "a"}}', "class"),
        ('{"id": "1", "split": "train", "labels": []}', "class"),
        ('{"id": "1", "split": "train", "labels": {}}', "class"),
        ('{"id": "1", "split": "train", "labels": {"topic": 1}}', "class"),
        ('{"id": "1", "split": "train", "labels": {"topic": ["a"]}}', "class"),
        ('{"id": "1", "split": "train", "labels": {"topic": "a"}}', "tags"),
        ('{"id": "1", "split": "train", "labels": {"topic": ["a", {}]}}', "bio"),
        ('{"id": "1", "split": "train", "labels": {"topic": [["a"]]}}', "classes"),
        ('{"id": "1", "split": "train", "labels": {"topic": "a"}}', "number"),
        ('{"id": "1", "split": "train", "labels": {"topic": true}}', "number"),
        ('{"id": "1", "split": "train", "labels": {"topic": 1e999}}', "number"),
        ('{"id": "1", "split": "train", "labels": {"topic": NaN}}', "number"),
        (f'{{"id": "1", "split": "train", "labels": {{"topic": 1{"0" * 400}}}}}', "number"),
        *(
            (f'{{"id": "1", "split": {split}, "labels": {{"topic": "a"}}}}', "class")
            for split in ("1", "[]", '"../x"', '"fold_0"', '"fold_101"', f'"fold_{"9" * 5000}"')
        ),
        ('{"id": "1", "split": "train", "labels": {"topic": "a"}, "path": "x"}', "class"),
    ],
)
def test_a_damaged_row_of_labels_is_told_with_its_line(tmp_path: Path, row: str, kind: str) -> None:
    good = {"number": "1.5", "class": '"a"'}.get(kind, '["O"]')
    labels = GOOD_LABELS.replace(':"a"', f":{good}") + row + "\n"
    prepared(tmp_path, labels=labels, meta=GOOD_META.replace("class", kind))
    with pytest.raises(DataError, match=r"labels\.jsonl:2: is damaged: ") as caught, at_most():
        read_labels(tmp_path, "topic")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "meta",
    [
        *("{", "[]", "", "{}", DEEP, '{"kinds": {"topic": "class"}}', '{"texts_sha256": "x"}'),
        '{"texts_sha256": 1, "kinds": {"topic": "class"}}',
        '{"texts_sha256": "x", "kinds": ["topic"]}',
        '{"texts_sha256": "x", "kinds": {"topic": "pickle"}}',
        '{"texts_sha256": "x", "kinds": {"topic": "class"}, "code": "evil.py"}',
        '{"texts_sha256": "\\ud83d", "kinds": {"topic": "class"}}',
    ],
)
def test_damaged_facts_of_labels_are_one_line(tmp_path: Path, meta: str) -> None:
    prepared(tmp_path, labels=GOOD_LABELS, meta=meta)
    with pytest.raises(DataError, match=r"labels\.json: is damaged: ") as caught, at_most():
        read_labels(tmp_path, "topic")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [TEXTS, LABELS, LABELS_META])
def test_prepared_files_are_regular_files(tmp_path: Path, name: str) -> None:
    prepared(tmp_path, GOOD_TEXTS, GOOD_LABELS)
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with at_most(), pytest.raises(OSError, match="is a pipe, not a file"):
        (list(read_texts(tmp_path)), read_labels(tmp_path, "topic"))


def test_rows_in_folds_and_rows_in_none_are_told(tmp_path: Path) -> None:
    rows = [GOOD_LABELS.replace("train", split) for split in ("fold_1", "fold_2", "fold_3", "dev")]
    prepared(tmp_path, labels="".join(rows))
    with pytest.raises(DataError, match="some rows of the corpus are in folds, and some in dev"):
        by_fold(read_labels(tmp_path, "topic"))
