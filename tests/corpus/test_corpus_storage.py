"""Texts and labels read back as written, and in files that do not touch each other."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.core.errors import DataError
from pipeline.core.files import canonical_json
from pipeline.corpus.storage import (
    LABELS,
    LABELS_META,
    LARGEST_NUMBER,
    TEXTS,
    Labels,
    read_labels,
    read_texts,
    texts_of,
)
from pipeline.corpus.texts import Label, Text, TextPair
from pipeline.ingest.counts import Tally
from pipeline.ingest.prepare import PreparedCorpus
from pipeline.ingest.rows import Example
from pipeline.ingest.scan import RepeatedInputs
from pipeline.ingest.writer import write_corpus, write_labels, write_texts

SEPARATORS = "\n\r\x0b\x0c\x1c\x85\u2028\u2029"
characters = st.characters(exclude_categories=("Cs",)) | st.sampled_from(SEPARATORS + '"\\\ufeff\0')
strings = st.text(characters, max_size=6)
ids_of_rows = strings.filter(lambda text: "\0" not in text)  # which readers refuse
texts = (
    strings
    | st.lists(strings, min_size=1, max_size=4).map(tuple)
    | st.builds(TextPair, strings, strings)
)


def prepared(rows: list[Text], labels: list[Label], kind: str = "class") -> PreparedCorpus:
    return PreparedCorpus(
        examples=[
            Example(f"row {n}", text, {"label": label}, n + 1)
            for n, (text, label) in enumerate(zip(rows, labels, strict=True))
        ],
        splits=[("train", "dev", "test")[n % 3] for n in range(len(rows))],
        split_names=("train", "dev", "test"),
        kinds={"label": kind},
        repeated=RepeatedInputs(0, 0, 0, {}, {}),
        tally=Tally(),
    )


def ids_of(corpus: PreparedCorpus) -> list[str]:
    return [example.id for example in corpus.examples]


@given(rows=st.lists(texts, max_size=6))
@example(rows=[SEPARATORS, (SEPARATORS, "\r\n"), "\ufeff", "", TextPair(SEPARATORS, "")])
@settings(max_examples=50, deadline=None)
def test_texts_read_back_as_written_one_line_each(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Text]
):
    folder = tmp_path_factory.mktemp("texts")
    corpus = prepared(rows, ["x"] * len(rows))
    digest = write_texts(folder, corpus)
    content = (folder / TEXTS).read_bytes()
    assert list(read_texts(folder)) == list(zip(ids_of(corpus), rows, strict=True))
    assert content.count(b"\n") == len(rows)
    assert digest == hashlib.sha256(content).hexdigest()


def test_each_kind_of_input_has_its_fields(tmp_path: Path):
    write_texts(tmp_path, prepared(["a", ("a", "b"), TextPair("a", "b")], ["x"] * 3))
    assert (tmp_path / TEXTS).read_text(encoding="utf-8").splitlines() == [
        '{"id":"row 0","text":"a"}',
        '{"id":"row 1","words":["a","b"]}',
        '{"id":"row 2","text":"a","text_b":"b"}',
    ]


@given(ids=st.lists(ids_of_rows, max_size=4, unique=True), data=st.data())
@settings(max_examples=50, deadline=None)
def test_classes_and_ids_read_back_as_written(
    tmp_path_factory: pytest.TempPathFactory, ids: list[str], data: st.DataObject
):
    folder = tmp_path_factory.mktemp("labels") / "corpus"
    values: list[Label] = [data.draw(strings) for _ in ids]
    corpus = prepared(["text"] * len(ids), values)
    renamed = [replace(row, id=row_id) for row, row_id in zip(corpus.examples, ids, strict=True)]
    corpus = replace(corpus, examples=renamed)
    write_labels(folder, corpus, texts_sha256="digest")
    labels = read_labels(folder, "label")
    assert (labels.ids, labels.splits, labels.values) == (ids, list(corpus.splits), values)
    assert (labels.kind, labels.texts_sha256) == ("class", "digest")


@given(rows=st.lists(st.lists(strings, min_size=1, max_size=4).map(tuple), max_size=4))
@settings(max_examples=50, deadline=None)
def test_tags_read_back_as_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]]
):
    folder = tmp_path_factory.mktemp("labels") / "corpus"
    write_labels(folder, prepared(rows, rows, kind="tags"), texts_sha256="digest")
    labels = read_labels(folder, "label")
    assert labels.values == rows
    assert labels.kind == "tags"


@given(st.lists(st.floats(-LARGEST_NUMBER, LARGEST_NUMBER), max_size=6))
@settings(max_examples=50, deadline=None)
def test_numbers_read_back_as_written(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[float]
):
    folder = tmp_path_factory.mktemp("labels") / "corpus"
    write_labels(folder, prepared(["x"] * len(numbers), numbers, kind="number"), texts_sha256="")
    labels = read_labels(folder, "label")
    assert list(map(repr, labels.values)) == list(map(repr, numbers))
    assert labels.kind == "number"


@pytest.mark.parametrize("rows", [[], ["b", "a"], ["a"], ["a", "b", "c"]])
def test_texts_are_those_of_the_labels(rows: list[str], tmp_path: Path):
    given: list[Text] = [("ice", "melts"), ("wolf",)]
    labels = Labels(["a", "b"], ["train", "dev"], [("O", "O"), ("O",)], "tags", "digest")
    words = dict(zip("abc", [*given, ("more",)], strict=True))
    lines = (canonical_json({"id": row, "words": words[row]}) + "\n" for row in ("a", "b"))
    (tmp_path / TEXTS).write_text("".join(lines), encoding="utf-8")
    assert texts_of(tmp_path, labels) == given
    lines = (canonical_json({"id": row, "words": words[row]}) + "\n" for row in rows)
    (tmp_path / TEXTS).write_text("".join(lines), encoding="utf-8")
    with pytest.raises(DataError, match="not the rows of the labels"):
        texts_of(tmp_path, labels)


def test_texts_have_a_tag_per_word(tmp_path: Path):
    labels = Labels(["a"], ["train"], [("O", "O")], "tags", "digest")
    (tmp_path / TEXTS).write_text('{"id":"a","words":["ice"]}\n', encoding="utf-8")
    with pytest.raises(DataError, match="not the rows of the labels"):
        texts_of(tmp_path, labels)


def test_equal_labels_are_one_object(tmp_path: Path):
    rows: list[Text] = [("ice", "melts"), ("wolf", "howls"), ("snow", "falls")]
    tags: list[Label] = [("O", "O"), ("B-beast", "O"), ("O", "O")]
    write_labels(tmp_path / "l", prepared(rows, tags, kind="bio"), texts_sha256="")
    first, other, last = read_labels(tmp_path / "l", "label").values
    assert first is last
    assert other[1] is first[0]


def test_classes_read_back_as_tuples(tmp_path: Path):
    write_labels(tmp_path / "l", prepared(["a"], [("x", "y")], kind="classes"), texts_sha256="")
    assert read_labels(tmp_path / "l", "label").values == [("x", "y")]


def test_each_label_of_several_is_read_alone(tmp_path: Path):
    corpus = replace(
        prepared([("a", "b")], ["unused"]),
        examples=[Example("a", ("a", "b"), {"topic": "x", "tags": ("O", "B-y")}, 1)],
        kinds={"topic": "class", "tags": "tags"},
    )
    write_labels(tmp_path / "labels", corpus, texts_sha256="digest")
    assert read_labels(tmp_path / "labels", "topic").values == ["x"]
    assert read_labels(tmp_path / "labels", "tags").values == [("O", "B-y")]


def test_an_edit_of_labels_leaves_the_bytes_of_the_texts(tmp_path: Path):
    rows: list[Text] = ["ice", ("snow", "\u2028"), "rain\n"]
    digests = []
    for name, values in (("before", ["x", "y", "z"]), ("after", ["z", "y", "new"])):
        corpus = prepared(rows, values)
        corpus = replace(corpus, splits=["test"] * 3) if name == "after" else corpus
        digests.append(write_texts(tmp_path / name, corpus))
        write_labels(tmp_path / name / "labels", corpus, texts_sha256=digests[-1])
    before, after = tmp_path / "before", tmp_path / "after"
    assert digests[0] == digests[1]
    assert (before / TEXTS).read_bytes() == (after / TEXTS).read_bytes()
    assert (before / "labels" / LABELS).read_bytes() != (after / "labels" / LABELS).read_bytes()


def test_an_edit_of_texts_leaves_the_bytes_of_the_label_rows(tmp_path: Path):
    for text in ("before", "after"):
        corpus = prepared([text], ["x"])
        digest = write_texts(tmp_path / text, corpus)
        write_labels(tmp_path / text / "labels", corpus, texts_sha256=digest)
    before, after = tmp_path / "before" / "labels", tmp_path / "after" / "labels"
    assert (before / LABELS).read_bytes() == (after / LABELS).read_bytes()
    assert (before / LABELS_META).read_bytes() != (after / LABELS_META).read_bytes()


def test_writing_anew_replaces_all_label_files(tmp_path: Path):
    folder = tmp_path / "labels"
    folder.mkdir()
    (folder / "stale.json").touch()
    write_labels(folder, prepared(["a"], ["x"]), texts_sha256="digest")
    assert sorted(path.name for path in folder.iterdir()) == sorted([LABELS, LABELS_META])
    assert json.loads((folder / LABELS_META).read_text(encoding="utf-8")) == {
        "texts_sha256": "digest",
        "kinds": {"label": "class"},
    }


def test_writing_a_corpus_at_once_gives_the_bytes_of_writing_its_parts(tmp_path: Path):
    corpus = prepared(["a", "b\n", "c"], ["x", "y", "x"])
    digest = write_texts(tmp_path / "texts", corpus)
    write_labels(tmp_path / "labels", corpus, texts_sha256=digest)
    counts = write_corpus(tmp_path / "both" / "texts", tmp_path / "both" / "labels", corpus)
    for file in (f"texts/{TEXTS}", f"labels/{LABELS}", f"labels/{LABELS_META}"):
        assert (tmp_path / "both" / file).read_bytes() == (tmp_path / file).read_bytes()
    assert counts.summary() == {"label": {"train": {"x": 1}, "dev": {"y": 1}, "test": {"x": 1}}}


@pytest.mark.parametrize("lost", [1, -1])
def test_rows_that_changed_since_they_were_split_leave_nothing(tmp_path: Path, lost: int):
    corpus = prepared(["a", "b", "c"], ["x", "y", "x"])
    changed = replace(corpus, splits=[*corpus.splits, "dev"][: 3 + lost])
    with pytest.raises(DataError, match="changed while they were read"):
        write_corpus(tmp_path / "texts", tmp_path / "labels", changed)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_reading_rejects_an_absent_file(tmp_path: Path):
    with pytest.raises(DataError, match=r"texts\.jsonl: no such file; run `dvc repro`"):
        list(read_texts(tmp_path))
    with pytest.raises(DataError, match=r"labels\.json: no such file; run `dvc repro`"):
        read_labels(tmp_path, "label")
    write_labels(tmp_path / "labels", prepared(["a"], ["x"]), texts_sha256="digest")
    (tmp_path / "labels" / LABELS).unlink()
    with pytest.raises(DataError, match=r"labels\.jsonl: no such file; run `dvc repro`"):
        read_labels(tmp_path / "labels", "label")


def test_reading_rejects_a_label_that_the_corpus_does_not_have(tmp_path: Path):
    write_labels(tmp_path / "labels", prepared(["a"], ["x"]), texts_sha256="digest")
    with pytest.raises(DataError, match="labels: has no label 'topic'; it has label"):
        read_labels(tmp_path / "labels", "topic")


def test_reading_rejects_a_tag_that_is_none_of_an_entity(tmp_path: Path):
    corpus = prepared([("a", "b"), ("c",)], [("B-x", "O"), ("O",)], "bio")
    write_labels(tmp_path, corpus, texts_sha256="digest")
    assert read_labels(tmp_path, "label").values == [("B-x", "O"), ("O",)]
    path = tmp_path / LABELS
    path.write_text(
        path.read_text(encoding="utf-8").replace('["O"]', '["Oevil"]'), encoding="utf-8"
    )
    with pytest.raises(DataError, match=r"labels\.jsonl:2: is damaged: 'Oevil' is no tag of an"):
        read_labels(tmp_path, "label")


def test_reading_rejects_an_id_that_hdf5_cannot_hold(tmp_path: Path):
    (tmp_path / TEXTS).write_text('{"id":"a\\u0000","text":"ice"}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"texts\.jsonl:1: is damaged: it is no object with an id"):
        list(read_texts(tmp_path))
