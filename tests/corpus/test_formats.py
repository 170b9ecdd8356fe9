"""What every format must fulfil, whatever file it came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
from example_settings import CONLL, JSONL, PAIRS, corpus_settings

from pipeline.corpus.formats import READERS, read_examples
from pipeline.corpus.records import Example, TextPair
from pipeline.corpus.settings import CorpusSettings
from pipeline.errors import DataError

WORDS = {**JSONL, "text": None, "words": "words", "labels": {"tags": "tags"}}


def read(folder: Path, base: dict[str, Any], *lines: str) -> list[Example]:
    path = folder / "corpus"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return read_examples(path, corpus_settings(base))


def test_every_format_of_the_settings_has_a_reader():
    assert set(READERS) == set(get_args(CorpusSettings.model_fields["format"].annotation))


def test_examples_are_read_by_the_format_of_the_settings(tmp_path: Path):
    (tagged,) = read(tmp_path, CONLL, "ice B-x")
    assert tagged == Example("1", ("ice",), {"tag": ("B-x",)}, line=1)
    (classified,) = read(tmp_path, JSONL, '{"id": 1, "text": "ice", "topic": "x"}')
    assert classified == Example("1", "ice", {"topic": "x"}, line=1)
    (paired,) = read(
        tmp_path, PAIRS, '{"id": 1, "premise": "ice", "hypothesis": "cold", "topic": "x"}'
    )
    assert paired == Example("1", TextPair("ice", "cold"), {"topic": "x"}, line=1)


def test_examples_are_in_file_order_and_repeated_texts_stay(tmp_path: Path):
    lines = [f'{{"id": {n}, "text": "same", "topic": "x"}}' for n in (3, 1, 2)]
    assert [example.id for example in read(tmp_path, JSONL, *lines)] == ["3", "1", "2"]


@pytest.mark.parametrize(
    ("base", "lines", "error"),
    [
        (
            JSONL,
            ['{"id": 1, "text": "a", "topic": "x"}', '{"id": "1", "text": "b", "topic": "x"}'],
            r"corpus:2: id '1' is already used on line 1",
        ),
        (JSONL, ['{"id": 1, "text": "", "topic": "x"}'], r"corpus:1: the text is empty"),
        (JSONL, ["", '{"id": 1, "text": " \\n", "topic": "x"}'], r"corpus:2: the text is empty"),
        (WORDS, ["", '{"id": 1, "words": [], "tags": []}'], r"corpus:2: the text is empty"),
        (
            WORDS,
            ['{"id": 1, "words": ["a", "b"], "tags": ["O"]}'],
            r"corpus:1: 1 tags in 'tags' for 2 words",
        ),
        (
            WORDS,
            ["", '{"id": 1, "words": ["a"], "tags": ["O", "O"]}'],
            r"corpus:2: 2 tags in 'tags' for 1 words",
        ),
        (
            JSONL,
            ["", '{"id": 1, "text": "a\\ud800", "topic": "x"}'],
            r"corpus:2: holds a lone surrogate",
        ),
        (
            JSONL,
            ["", '{"id": "\\udfff", "text": "a", "topic": "x"}'],
            r"corpus:2: holds a lone surrogate",
        ),
        (
            WORDS,
            ["", '{"id": 1, "words": ["a", "\\ud800"], "tags": ["O", "O"]}'],
            r"corpus:2: holds a lone surrogate",
        ),
        (
            JSONL,
            ["", '{"id": 1, "text": "a", "topic": "\\ud800"}'],
            r"corpus:2: holds a lone surrogate",
        ),
        (
            WORDS,
            ["", '{"id": 1, "words": ["a"], "tags": ["\\ud800"]}'],
            r"corpus:2: holds a lone surrogate",
        ),
        (
            PAIRS,
            ["", '{"id": 1, "premise": "a\\ud800", "hypothesis": "b", "topic": "x"}'],
            r"corpus:2: holds a lone surrogate",
        ),
        (
            PAIRS,
            ["", '{"id": 1, "premise": "a", "hypothesis": "\\udfff", "topic": "x"}'],
            r"corpus:2: holds a lone surrogate",
        ),
        (
            PAIRS,
            ["", '{"id": 1, "premise": "", "hypothesis": "\\t", "topic": "x"}'],
            r"corpus:2: the text is empty",
        ),
        (
            PAIRS,
            ["", '{"id": 1, "premise": " \\n", "hypothesis": "b", "topic": "x"}'],
            r"corpus:2: field 'premise' is empty; remove the row or give it text",
        ),
        (
            PAIRS,
            ["", '{"id": 1, "premise": "a", "hypothesis": "", "topic": "x"}'],
            r"corpus:2: field 'hypothesis' is empty; remove the row or give it text",
        ),
        (
            WORDS,
            ['{"id": 1, "words": ["", " "], "tags": ["O", "O"]}'],
            r"corpus:1: the text is empty",
        ),
        (
            JSONL,
            ['{"id": 1, "text": "a", "text": "b", "topic": "x"}'],
            r"corpus:1: .*'text' is given twice",
        ),
        (JSONL, ["[" * 100_000], r"corpus:1: "),
        (JSONL, ['{"id": ' + "9" * 5000 + "}"], r"corpus:1: cannot be read"),
        (
            JSONL,
            ['{"id": "a\\u0000b", "text": "a", "topic": "x"}'],
            r"corpus:1: the id holds a NUL",
        ),
        (JSONL, [], "corpus: holds no example"),
        (CONLL, ["", " "], "corpus: holds no example"),
    ],
)
def test_examples_are_rejected_with_file_and_line(
    tmp_path: Path, base: dict[str, Any], lines: list[str], error: str
):
    with pytest.raises(DataError, match=error):
        read(tmp_path, base, *lines)


def test_entity_tags_that_do_not_fit_are_rejected_unless_they_are_to_be_repaired(tmp_path: Path):
    path = tmp_path / "corpus"
    path.write_text("a O\nb I-x\n", encoding="utf-8")
    with pytest.raises(
        DataError, match=r"corpus:1: 'tag' of word 2 \('b'\): 'I-x' continues .*broken_tags: repair"
    ):
        read_examples(path, corpus_settings(CONLL))
    (example,) = read_examples(path, corpus_settings(CONLL, broken_tags="repair"))
    assert example.labels["tag"] == ("O", "I-x")
    for scheme in ("iob2", "bioes"):
        path.write_text("a NN\n", encoding="utf-8")
        with pytest.raises(DataError, match=r"corpus:1: .*'NN' is no tag of"):
            read_examples(
                path, corpus_settings(CONLL, broken_tags="repair", labels={"tag": scheme})
            )
    assert read_examples(path, corpus_settings(CONLL, labels={"tag": "tags"}))


def test_examples_of_an_absent_file_are_rejected(tmp_path: Path):
    with pytest.raises(DataError, match="absent: no such file"):
        read_examples(tmp_path / "absent", corpus_settings(JSONL))
