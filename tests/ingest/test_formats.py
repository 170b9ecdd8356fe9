"""What holds for every format, whatever file it came from."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any, get_args

import pytest
from example_settings import CONLL, JSONL, TABLE, corpus_settings, problems, read

from pipeline.ingest.formats import FORMATS, RawCorpus, read_examples
from pipeline.ingest.problems import InvalidCorpusError
from pipeline.ingest.settings import CorpusSettings

ROW = '{"id": 1, "text": "ice", "topic": "x"}'


def test_every_format_of_the_settings_has_a_reader():
    assert set(FORMATS) == set(get_args(CorpusSettings.model_fields["format"].annotation))


@pytest.mark.parametrize(
    ("base", "content"),
    [(JSONL, ROW), (TABLE, "id,text,topic\n1,ice,x\n"), (CONLL, "ice B-x")],
)
def test_every_file_may_be_gzipped(tmp_path: Path, base: dict[str, Any], content: str):
    path = tmp_path / "corpus"
    plain = read(path, content, base)
    assert plain == read(path, gzip.compress(content.encode()), base)
    assert len(plain) == 1


def test_examples_are_in_file_order_and_repeated_texts_stay(tmp_path: Path):
    lines = [f'{{"id": {n}, "text": "same", "topic": "x"}}\n' for n in (3, 1, 2)]
    rows = read(tmp_path / "corpus", "".join(lines), JSONL)
    assert [row.id for row in rows] == ["3", "1", "2"]


def test_splits_by_files_are_read_in_their_order_and_numbered_apart(tmp_path: Path):
    for name in ("a", "b"):
        (tmp_path / name).write_text(ROW, encoding="utf-8")
    split = {"files": {"test": "b", "train": "a"}}
    settings = corpus_settings(JSONL, id=None, split=split, seed=None)
    rows = read_examples(tmp_path, settings)
    assert [(row.split, row.id, Path(row.file).name) for row in rows] == [
        ("test", "test-1", "b"),
        ("train", "train-1", "a"),
    ]


def test_rows_without_text_are_an_error_or_dropped_or_kept(tmp_path: Path):
    path = tmp_path / "corpus"
    content = f'{ROW}\n{{"id": 2, "text": " \\n", "topic": "y"}}\n'
    (problem,) = problems(path, content, JSONL)
    assert problem.startswith("corpus:2: field 'text': the text is empty; give the row text")
    assert [row.id for row in read(path, content, JSONL, empty_text="keep")] == ["1", "2"]
    corpus = RawCorpus(path, corpus_settings(JSONL, empty_text="drop"))
    for _ in range(2):
        assert [row.id for row in corpus] == ["1"]
        assert corpus.tally.dropped == 1


def test_broken_entity_tags_are_an_error_or_repaired(tmp_path: Path):
    path = tmp_path / "corpus"
    (problem,) = problems(path, "\na O\nb I-x\n", CONLL)
    assert problem == (
        "corpus:3: field 'tag': word 2 ('b'): 'I-x' continues no entity: none of its type is open "
        "before it; mend it, or set broken_tags: repair"
    )
    corpus = RawCorpus(path, corpus_settings(CONLL, broken_tags="repair"))
    for _ in range(2):
        assert [row.labels["tag"] for row in corpus] == [("O", "B-x")]
        assert corpus.tally.repaired == {"tag": 1}
    for scheme in ("iob1", "iob2", "bioes"):
        (problem,) = problems(path, "a NN\n", CONLL, broken_tags="repair", labels={"tag": scheme})
        assert f"'NN' is no tag of {scheme}" in problem
        assert "'tags' takes any" in problem
    assert read(path, "a NN\n", CONLL, labels={"tag": "tags"})[0].labels["tag"] == ("NN",)


def test_all_problems_are_counted_and_the_first_shown_in_the_order_of_lines(tmp_path: Path):
    path = tmp_path / "corpus"
    path.write_text("{\n" * 5000, encoding="utf-8")
    with pytest.raises(InvalidCorpusError) as caught:
        read_examples(path, corpus_settings(JSONL))
    assert str(caught.value) == (f"{path}: 5000 problems, the first 20 above; nothing was written")
    places = [line.split(": ")[0] for line in caught.value.lines]
    assert places == [f"{path}:{n}" for n in range(1, 21)]


def test_problems_show_nothing_that_a_terminal_acts_on(tmp_path: Path):
    path = tmp_path / "corpus\x1b[2J"
    row = '{"id": 1, "text": ["\\u001b[31m\\u202e"], "topic": "x", "\\u001b]": 1}\n[\n"\x1b"\n'
    for line in problems(path, row, JSONL, labels={"topic": "class", "\x1b]0;": "class"}):
        assert line.isprintable(), line
