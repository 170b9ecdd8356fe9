"""Files as people have them: a table of cases, each with its right value; the name says the kind.

What must be a problem has the words that its line begins with.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import example_settings
import pytest
from example_settings import CONLL, JSONL, TABLE

from pipeline.ingest.counts import LabelCounts

TAGS: dict[str, Any] = {**CONLL, "labels": {"tag": "tags"}}
REMARKS: dict[str, Any] = {**CONLL, "skip_lines": ["-DOCSTART-", "# "]}
CSV: dict[str, Any] = {**TABLE, "id": None}
TSV: dict[str, Any] = {**CSV, "format": "tsv"}
ALL: dict[str, Any] = {**CSV, "labels": {"all": "classes"}, "separator": "|"}
BIOES: dict[str, Any] = {**CONLL, "labels": {"tag": "bioes"}}
WORDS: dict[str, Any] = {**CSV, "text": None, "words": "words", "labels": {"tags": "tags"}}


class Case(NamedTuple):
    """A file, and the ``(input, first label)`` of its rows, or the begins of its problems."""

    kind: str
    what: str
    settings: dict[str, Any]
    content: str | bytes
    rows: Sequence[tuple[Any, Any]] = ()
    problems: Sequence[str] = ()


CASES = [
    Case("mark", "a hash with a tag", REMARKS, "# O\n1 B-x\n", [(("#", "1"), ("O", "B-x"))]),
    Case(
        "mark",
        "a hash between tabs",
        REMARKS,
        "a\tO\n# remark\n# \tO\n",
        [(("a", "# "), ("O", "O"))],
    ),
    Case("mark", "a remark of two words", REMARKS, "# newdoc\na O\n", [(("a",), ("O",))]),
    Case("mark", "a remark of many words", REMARKS, "# id = 1\na O\n", [(("a",), ("O",))]),
    Case("mark", "a document", REMARKS, "-DOCSTART- O\n\na O\n", [(("a",), ("O",))]),
    Case(
        "mark",
        "hashtags where every hash is a mark",
        {**REMARKS, "skip_lines": ["#"]},
        "#id 7\n#ice B-x\n",
        [(("#ice",), ("B-x",))],
    ),
    Case(
        "mark",
        "a hash with a plain tag",
        {**TAGS, "skip_lines": ["# "]},
        "# SYM\n1 NUM\n",
        [(("#", "1"), ("SYM", "NUM"))],
    ),
    Case("mark", "sep=", CSV, "sep=;\ntext;topic\na,b;x\n", [("a,b", "x")]),
    Case("mark", "sep= in quotes", CSV, '"sep=;"\r\ntext;topic\r\na;x\r\n', [("a", "x")]),
    Case("mark", "sep= a tab", CSV, "SEP=\t\ntext\ttopic\na\tx\n", [("a", "x")]),
    Case(
        "mark",
        "the line after sep=",
        CSV,
        "sep=;\ntext;topic\na;\n",
        problems=["corpus:3: field 'topic': must be a class"],
    ),
    Case("mark", "sep= is a text", CSV, "text,topic\nsep=;,x\n", [("sep=;", "x")]),
    Case("mark", "empty last rows", CSV, "text,topic\na,x\n,\n , \n", [("a", "x")]),
    Case("mark", "empty rows of another width", CSV, "text,topic\na,x\n,,,\n", [("a", "x")]),
    Case(
        "odd row",
        "a word with U+00A0",
        CONLL,
        "New\u00a0York B-x\nis O\n",
        [(("New\u00a0York", "is"), ("B-x", "O"))],
    ),
    Case(
        "odd row",
        "a word that is U+00A0",
        CONLL,
        "a O\n\u00a0 O\nb O\n",
        [(("a", "\u00a0", "b"), ("O", "O", "O"))],
    ),
    Case("odd row", "other separators", CONLL, "a\u2028b\x0bc O\n", [(("a\u2028b\x0bc",), ("O",))]),
    Case(
        "odd row",
        "U+00A0 in a cell of words",
        WORDS,
        "words,tags\na\u00a0b c,X Y\n",
        [(("a\u00a0b", "c"), ("X", "Y"))],
    ),
    Case(
        "odd row",
        "one line too wide",
        CONLL,
        "a O\nb O\nNew York O\n",
        [],
        ["corpus:3: 3 columns where 2 are expected"],
    ),
    Case(
        "odd row",
        "columns that only one line has",
        {**CONLL, "columns": ["word", "_", "tag"]},
        "a O\nb O\nNew York O\n",
        [],
        [
            "corpus: 2 of 3 lines have 2 columns, and 'columns' names 3; name the 2 columns in",
            "corpus:1: 2 columns",
            "corpus:2: 2 columns",
        ],
    ),
    Case(
        "odd row",
        "a row without the label",
        {**JSONL, "id": None},
        '{"text": "a", "topic": "x"}\n{"text": "b"}\n{"text": "c", "topic": null}\n',
        [],
        [
            "corpus:2: field 'topic' is missing; this row has 'text'",
            "corpus:3: field 'topic': must be a class, not None",
        ],
    ),
    Case(
        "array",
        "with indents",
        {**JSONL, "id": None},
        '[\n  {\n    "text": "a]}",\n    "topic": "x"\n  },\n  {"text": "b", "topic": "y"}\n]\n',
        [("a]}", "x"), ("b", "y")],
    ),
    Case(
        "array",
        "on one line",
        {**JSONL, "id": None},
        '[{"text": "a", "topic": "x", "n": [[1], {}]}, {"text": "\\"[", "topic": "y"}]',
        [("a", "x"), ('"[', "y")],
    ),
    Case(
        "array",
        "of rows and other things",
        {**JSONL, "id": None},
        '[{"text": "a", "topic": "x"}, null,\n"b"]\n7\n',
        [],
        [
            "corpus:1: must be a JSON object, not None",
            "corpus:2: must be a JSON object, not 'b'",
            "corpus:3: must be a JSON object, not 7",
        ],
    ),
    Case("space", "around a class", CSV, "text,topic\n a, x \u00a0\n", [(" a", "x")]),
    Case(
        "space",
        "around a class of JSON",
        JSONL,
        '{"id": 1, "text": "a", "topic": "x "}',
        [("a", "x")],
    ),
    Case("space", "around classes", ALL, "text,all\na,x | y|x \n", [("a", ("x", "y"))]),
    Case("space", "around a tag", TAGS, "a\tX \nb\tX\n", [(("a", "b"), ("X", "X"))]),
    Case(
        "space",
        "a class of spaces",
        CSV,
        "text,topic\na,  \n",
        [],
        ["corpus:2: field 'topic': must"],
    ),
    Case(
        "space",
        "around a split",
        {**CSV, "split": {"column": "part"}, "seed": None},
        "text,topic,part\na,x, train\n",
        [("a", "x")],
    ),
    Case(
        "quotes",
        "a header in quotes",
        TSV,
        '"text"\t"topic"\n"a, b"\t"x"\n',
        [("a, b", "x")],
    ),
    Case(
        "quotes",
        "doubled inside",
        TSV,
        'text\ttopic\n"He said ""no""."\tx\nb\ty\n',
        [('He said "no".', "x"), ("b", "y")],
    ),
    Case("quotes", "speech", TSV, 'text\ttopic\n"No."\tx\n', [('"No."', "x")]),
    Case(
        "quotes",
        "one that opens nothing",
        TSV,
        'text\ttopic\n"No", he said.\tx\n"A ""b"""\ty\n',
        [('"No", he said.', "x"), ('"A ""b"""', "y")],
    ),
    Case(
        "quotes",
        "kept where the settings say so",
        {**TSV, "quoted": False},
        'text\ttopic\n"He said ""no""."\tx\n',
        [('"He said ""no""."', "x")],
    ),
    Case(
        "list",
        "as Python writes it",
        WORDS,
        """words,tags\n"['See', ""it's""]","['A', 'B']"\n""",
        [(("See", "it's"), ("A", "B"))],
    ),
    Case(
        "list",
        "as numpy writes it",
        WORDS,
        """words,tags\n"['See' 'Oslo'\n 'now']",['A' 'B' 'C']\n""",
        [(("See", "Oslo", "now"), ("A", "B", "C"))],
    ),
    Case(
        "list",
        "as JSON writes it",
        {**WORDS, "format": "tsv", "quoted": False},
        'words\ttags\n["a b", "c\\"d"]\t["A", "B"]\n',
        [(("a b", 'c"d'), ("A", "B"))],
    ),
    Case(
        "list",
        "of numbers as tags",
        WORDS,
        "words,tags\n\"['a', 'b']\",\"[0, 3]\"\na b,[0 3]\n",
        [(("a", "b"), ("0", "3")), (("a", "b"), ("0", "3"))],
    ),
    Case("list", "of classes", ALL, "text,all\na,\"['y', 'x']\"\n", [("a", ("x", "y"))]),
    Case(
        "list",
        "that was cut off",
        WORDS,
        "words,tags\n['a' 'b' ... 'z'],A B Z\n",
        [],
        ["corpus:2: field 'words': must be a list of strings that can be read, not"],
    ),
    Case(
        "list",
        "of strings and a number",
        WORDS,
        """words,tags\n"['a', 7, 'b']",A B C\n""",
        [],
        ["corpus:2: field 'words': must be a list of strings that can be read, not"],
    ),
    Case(
        "list",
        "words in brackets",
        WORDS,
        "words,tags\n[ ' a ' ],A B C D E\n[1],A\n",
        [(("[", "'", "a", "'", "]"), ("A", "B", "C", "D", "E")), (("[1]",), ("A",))],
    ),
    Case(
        "tags",
        "BILOU",
        BIOES,
        "a B-x\nb I-x\nc L-x\nd U-y\ne O\n",
        [(("a", "b", "c", "d", "e"), ("B-x", "I-x", "I-x", "B-y", "O"))],
    ),
    Case(
        "tags",
        "BMEWO",
        BIOES,
        "a B-x\nb M-x\nc E-x\nd W-y\ne O\n",
        [(("a", "b", "c", "d", "e"), ("B-x", "I-x", "I-x", "B-y", "O"))],
    ),
    Case("tags", "the type first", CONLL, "a LOC-B\nb LOC-I\n", [(("a", "b"), ("B-LOC", "I-LOC"))]),
    Case("tags", "underscores", CONLL, "a B_x_y\nb I_x_y\n", [(("a", "b"), ("B-x_y", "I-x_y"))]),
    Case("tags", "both ways to read", CONLL, "a B-I\n", [(("a",), ("B-I",))]),
    Case(
        "tags",
        "of another scheme",
        CONLL,
        "a U-x\n",
        [],
        ["corpus:1: field 'tag': word 1 ('a'): 'U-x' is no tag of iob2"],
    ),
    Case(
        "tags",
        "without a type",
        CONLL,
        "a B\n",
        [],
        ["corpus:1: field 'tag': word 1 ('a'): 'B' is no"],
    ),
]


@pytest.mark.parametrize(
    "case", CASES, ids=[f"{case.kind}: {case.what}".replace(" ", "_") for case in CASES]
)
def test_what_people_have_is_read_or_named(case: Case, tmp_path: Path):
    path = tmp_path / "corpus"
    if case.problems:
        found = example_settings.problems(path, case.content, case.settings)
        assert len(found) == len(case.problems), found
        for line, begin in zip(found, case.problems, strict=True):
            assert line.startswith(begin)
        return
    examples = example_settings.read(path, case.content, case.settings)
    label = next(iter(case.settings["labels"]))
    assert [(example.text, example.labels[label]) for example in examples] == list(case.rows)


WARNINGS: list[tuple[str, dict[str, str], list[tuple[str, Any]], str]] = [
    (
        "case: class",
        {"l": "class"},
        [("train", "spam"), ("dev", "Spam")],
        "'Spam', 'spam' differ in",
    ),
    (
        "case: tags",
        {"l": "bio"},
        [("train", ("B-geo-loc", "B-GEO_loc"))],
        "'B-GEO_loc', 'B-geo-loc' differ in case or spacing only: are they one?",
    ),
    (
        "case: spaces",
        {"l": "classes"},
        [("train", ("top ic", "top_ic"))],
        "'top ic', 'top_ic' differ in case or spacing only",
    ),
    (
        "measured: no entity",
        {"l": "bio"},
        [("train", ("B-x",)), ("dev", ("O", "O")), ("test", ("B-x",))],
        "no entity is in dev: F1 there is not defined",
    ),
    (
        "measured: only in train",
        {"l": "class"},
        [("train", "x"), ("train", "y"), ("train", "z"), ("test", "y"), ("test", "z")],
        "'x' is in train and not in test: not measured there",
    ),
    (
        "measured: one class",
        {"l": "class"},
        [("train", "x"), ("train", "y"), ("dev", "y")],
        "every row of dev is 'y': a score there says nothing",
    ),
    (
        "measured: one number",
        {"l": "number"},
        [("train", 1.0), ("train", 2.0), ("dev", 2.5), ("dev", 2.5)],
        "every row of dev is 2.5: a correlation there is not defined",
    ),
    ("tags: BIO", {"l": "tags"}, [("train", ("B-x", "I-x", "O"))], "is its kind iob2?"),
    ("tags: BILOU", {"l": "tags"}, [("train", ("U-x", "O"))], "is its kind bioes?"),
    ("tags: the type first", {"l": "tags"}, [("train", ("x-B", "O"))], "is its kind iob2?"),
    ("tags: bare", {"l": "tags"}, [("train", ("B", "I", "O"))], "entity tags without types"),
    ("tags: types", {"l": "tags"}, [("train", ("x", "O", "O", "O"))], "most tags are 'O'"),
]


@pytest.mark.parametrize(
    ("kinds", "rows", "warning"),
    [case[1:] for case in WARNINGS],
    ids=[case[0].replace(" ", "_") for case in WARNINGS],
)
def test_what_looks_wrong_is_warned_of(
    kinds: dict[str, str], rows: list[tuple[str, Any]], warning: str
):
    counts = LabelCounts(kinds, ("train", "dev", "test"))
    for split, label in rows:
        counts.add({"l": label}, split)
    assert any(warning in line for line in counts.warnings()), counts.warnings()


def test_good_labels_are_not_warned_of():
    counts = LabelCounts({"l": "class", "n": "number", "e": "bio", "t": "tags"}, ("train", "dev"))
    for split in ("train", "dev"):
        for name, number in (("-1", 1.0), ("1", 2.0)) * 2:
            counts.add({"l": name, "n": number, "e": ("B-x", "O"), "t": ("X", "Y")}, split)
    assert counts.warnings() == []


def test_no_two_cases_are_alike():
    assert len({case[:2] for case in CASES}) == len(CASES)
