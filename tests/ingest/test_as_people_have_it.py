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

TAGS: dict[str, Any] = {**CONLL, "labels": {"tag": "tags"}}
REMARKS: dict[str, Any] = {**CONLL, "skip_lines": ["-DOCSTART-", "# "]}
CSV: dict[str, Any] = {**TABLE, "id": None}
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


def test_no_two_cases_are_alike():
    assert len({case[:2] for case in CASES}) == len(CASES)
