"""Every format, from a file through ``prepare`` to what later stages read, with any Unicode."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from example_settings import CONLL, JSONL, TABLE, corpus_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.corpus.storage import read_labels, read_texts
from pipeline.corpus.texts import Label, Text
from pipeline.ingest.formats import RawCorpus
from pipeline.ingest.prepare import prepare
from pipeline.ingest.rows import Example
from pipeline.ingest.settings import CorpusSettings
from pipeline.ingest.writer import write_corpus

Pairs = list[tuple[Any, Any]]
Write = Callable[[Path, Pairs], None]


def through_prepare(path: Path, corpus: CorpusSettings) -> list[tuple[Text, Label]]:
    """Inputs and first labels, as they are stored; nothing may be wrong with a row by itself."""
    raw = RawCorpus(path, corpus)
    prepared = prepare(raw, corpus, tally=raw.tally)
    raw.problems.raise_if_any("corpus")
    folder = path.parent / "prepared"
    write_corpus(folder / "texts", folder / "labels", prepared)
    texts = list(read_texts(folder / "texts"))
    labels = read_labels(folder / "labels", next(iter(corpus.labels)))
    assert [row_id for row_id, _ in texts] == labels.ids
    return [(text, label) for (_, text), label in zip(texts, labels.values, strict=True)]


def write_jsonl(path: Path, rows: Pairs) -> None:
    path.write_text(
        "".join(json.dumps({"text": a, "topic": b}, ensure_ascii=False) + "\n" for a, b in rows),
        encoding="utf-8",
        newline="\n",
    )


def write_array(path: Path, rows: Pairs) -> None:
    items = [{"text": a, "topic": b, "other": [a, {b: [[]]}]} for a, b in rows]
    text = json.dumps(items, ensure_ascii=False, indent=len(rows) % 2 or None)
    path.write_text(text, encoding="utf-8", newline="\n")


def write_gzipped(path: Path, rows: Pairs) -> None:
    write_jsonl(path, rows)
    path.write_bytes(gzip.compress(path.read_bytes()))


def write_csv(path: Path, rows: Pairs) -> None:
    file = io.StringIO(newline="")
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows([("text", "topic"), *rows])
    path.write_bytes(file.getvalue().encode())


def write_tsv(path: Path, rows: Pairs) -> None:
    path.write_bytes("".join(f"{a}\t{b}\n" for a, b in [("text", "topic"), *rows]).encode())


def write_parallel(path: Path, rows: Pairs) -> None:
    path.mkdir()
    for place, name in enumerate(("text", "topic")):
        (path / name).write_bytes("".join(f"{row[place]}\n" for row in rows).encode())


def write_conll(path: Path, rows: Pairs) -> None:
    sentences = (
        "".join(f"{word}\t{tag}\n" for word, tag in zip(words, tags, strict=True))
        for words, tags in rows
    )
    path.write_bytes("\n".join(sentences).encode())


def write_conllu(path: Path, rows: Pairs) -> None:
    unused = "\t_" * 6
    sentences = (
        "".join(
            f"{n + 1}\t{word}\t_\t{tag}{unused}\n"
            for n, (word, tag) in enumerate(zip(words, tags, strict=True))
        )
        for words, tags in rows
    )
    path.write_bytes("\n".join(sentences).encode())


def characters(exclude: str) -> st.SearchStrategy[str]:
    separators = "".join(set("\n\r\t\x0b\x0c\x1c\x85\u2028\u2029\ufeff\",;|'\\\0") - set(exclude))
    anything = st.characters(exclude_categories=("Cs",), exclude_characters=exclude)
    return anything | st.sampled_from(separators)


def texts(exclude: str) -> st.SearchStrategy[str]:
    return st.text(characters(exclude), min_size=1, max_size=8).filter(str.strip)


LINE = "\n\r\0\ufeff"  # a byte order mark would be that of the file, if it came first
CELL = LINE + "\t"


def plain(exclude: str) -> st.SearchStrategy[Pairs]:
    return st.lists(st.tuples(texts(exclude), texts(exclude)), min_size=1, max_size=4)


def tagged(exclude: str) -> st.SearchStrategy[Pairs]:
    words = st.lists(st.tuples(texts(exclude), texts(exclude)), min_size=1, max_size=4)
    return st.lists(
        words.map(lambda pairs: tuple(zip(*pairs, strict=True))), min_size=1, max_size=3
    )


TAGGED: dict[str, Any] = {**CONLL, "labels": {"tag": "tags"}}
FORMATS: list[tuple[dict[str, Any], Write, st.SearchStrategy[Pairs]]] = [
    ({**JSONL, "id": None}, write_jsonl, plain("")),
    ({**JSONL, "id": None}, write_array, plain("")),
    ({**JSONL, "id": None}, write_gzipped, plain("")),
    ({**TABLE, "id": None}, write_csv, plain("\0")),
    ({**TABLE, "id": None, "format": "tsv", "quoted": False}, write_tsv, plain(CELL)),
    ({**JSONL, "id": None, "format": "lines"}, write_parallel, plain(LINE)),
    (TAGGED, write_conll, tagged(CELL)),
    (
        {
            **TAGGED,
            "format": "conllu",
            "columns": None,
            "words": "form",
            "labels": {"upos": "tags"},
        },
        write_conllu,
        tagged(CELL),
    ),
]


@pytest.mark.parametrize(
    ("base", "write", "strategy"), FORMATS, ids=[write.__name__ for _, write, _ in FORMATS]
)
@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_was_written_is_what_later_stages_read(
    tmp_path_factory: pytest.TempPathFactory,
    base: dict[str, Any],
    write: Write,
    strategy: st.SearchStrategy[Pairs],
    data: st.DataObject,
):
    rows = data.draw(strategy)
    path = tmp_path_factory.mktemp("corpus") / "raw"
    write(path, rows)
    expected = [(text, stripped(label)) for text, label in rows]
    assert through_prepare(path, corpus_settings(base)) == expected


def stripped(label: Any) -> Any:
    return label.strip() if isinstance(label, str) else tuple(tag.strip() for tag in label)


class Many:
    """Rows that are made while they are read, each text another."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __iter__(self) -> Iterator[Example]:
        for n in range(self._count):
            labels = {"topic": "xy"[n % 2]}
            yield Example(f"id {n}", f"text {n}", labels, n + 1, "file", group=f"{n // 2}")


def test_rows_are_held_in_a_few_bytes_each():
    """Keys, and whatever else is compared across rows, are on disk."""
    corpus = corpus_settings(JSONL, stratify="topic", group="author")
    peaks = []
    for count in (10_000, 30_000):
        tracemalloc.start()
        prepare(Many(count), corpus)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (peaks[1] - peaks[0]) / 20_000 < 4
