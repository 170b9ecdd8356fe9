"""CSV and TSV to examples; Python's csv module writes what is read back."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import example_settings
import pytest
from example_settings import TABLE
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from pipeline.corpus.texts import TextPair
from pipeline.ingest.rows import Example

HEADER = "id,text,topic\n"
cells = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8)
texts = cells.filter(str.strip)
classes = cells.filter(str.strip)


def read(folder: Path, content: str | bytes, **changes: Any) -> list[Example]:
    return example_settings.read(folder / "corpus.csv", content, TABLE, **changes)


@given(
    st.lists(st.tuples(texts, classes, cells), min_size=1, max_size=5),
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
@example([('a"b', 'c,d\n"\r\n;', "\ufeff")], ",", "\r\n", csv.QUOTE_MINIMAL)
@settings(max_examples=100, deadline=None)
def test_a_quoted_table_reads_back_as_the_csv_module_wrote_it(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str, str]],
    delimiter: str,
    end: str,
    quoting: Any,
):
    if quoting == csv.QUOTE_MINIMAL and end == "\n":  # the csv module then leaves "\r" unquoted
        rows = [tuple(cell.replace("\r", "") or "x" for cell in row) for row in rows]
        assume(all(text.strip() for text, _, _ in rows))
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerows([("text", "topic", "unused"), *rows])
    examples = read(
        tmp_path_factory.mktemp("csv"), file.getvalue(), id=None, delimiter=delimiter, quoted=True
    )
    assert [(e.text, e.labels["topic"]) for e in examples] == [
        (text, topic.strip()) for text, topic, _ in rows
    ]
    assert [e.id for e in examples] == [str(n + 1) for n in range(len(rows))]


plain = st.characters(exclude_categories=("Cs",), exclude_characters="\0\t\n\r")


@given(
    st.lists(
        st.tuples(st.text(plain).filter(str.strip), st.text(plain).filter(str.strip)),
        min_size=1,
        max_size=5,
    )
)
@settings(max_examples=60, deadline=None)
def test_a_tsv_without_quotes_reads_back_as_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
):
    content = "text\ttopic\n" + "".join(f"{text}\t{topic}\n" for text, topic in rows)
    examples = read(tmp_path_factory.mktemp("tsv"), content, format="tsv", id=None, quoted=False)
    assert [(e.text, e.labels["topic"]) for e in examples] == [
        (text, topic.strip()) for text, topic in rows
    ]


def test_a_row_has_the_line_that_it_begins_on(tmp_path: Path):
    examples = read(tmp_path, HEADER + '1,"a\n\nb",x\n\n2,c,y\n')
    assert [(e.line, e.text) for e in examples] == [(2, "a\n\nb"), (6, "c")]


def test_a_table_without_a_header_has_its_columns_in_the_settings(tmp_path: Path):
    examples = read(tmp_path, "x,1,,a\ny,2,,b\n", columns=["topic", "id", "_", "text"])
    assert [(e.id, e.text, e.labels["topic"]) for e in examples] == [
        ("1", "a", "x"),
        ("2", "b", "y"),
    ]


def test_a_table_is_read_in_its_encoding_with_its_byte_order_mark(tmp_path: Path):
    content = HEADER + "1,é,x\n2,b,y\n"
    assert read(tmp_path, content.encode("latin-1"), encoding="latin-1")[0].text == "é"
    assert read(tmp_path, content.encode("utf-8-sig"))[0].id == "1"
    assert read(tmp_path, content.encode("utf-16"), encoding="utf-16")[0].text == "é"


def test_cells_hold_numbers_classes_words_and_tags(tmp_path: Path):
    content = "words,tags,n,all\nice  age,B-x E-x, -1.5e1 ,b | a|b\nno,O,2,\n"
    kinds = {"tags": "bioes", "n": "number", "all": "classes"}
    first, second = read(
        tmp_path, content, id=None, text=None, words="words", labels=kinds, separator="|"
    )
    assert first.text == ("ice", "age")
    assert first.labels == {"tags": ("B-x", "I-x"), "n": -15.0, "all": ("a", "b")}
    assert second.labels == {"tags": ("O",), "n": 2.0, "all": ()}


def test_cells_hold_pairs_splits_and_groups(tmp_path: Path):
    content = "a,b,topic,part,who\nIce.,Cold.,x,validation,7\n"
    split = {"column": "part", "names": {"validation": "dev"}}
    (row,) = read(tmp_path, content, id=None, text="a", text_b="b", split=split, seed=None)
    assert (row.text, row.split) == (TextPair("Ice.", "Cold."), "dev")
    (row,) = read(tmp_path, content, id=None, text="a", group="who")
    assert row.group == "7"


@pytest.mark.parametrize(
    "value", ["../../etc/passwd", "<script>alert(1)</script>", "{a: &b [*b]}", "1e5", "__proto__"]
)
def test_ids_texts_and_labels_are_data_and_nothing_else(tmp_path: Path, value: str):
    file = io.StringIO(newline="")
    csv.writer(file).writerows([("id", "text", "topic"), (value, value, value)])
    (row,) = read(tmp_path, file.getvalue())
    assert (row.id, row.text, row.labels["topic"]) == (value, value, value)
