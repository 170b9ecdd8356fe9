"""The stage, and what it says of raw files that are not as they must be.

Each malformed input ends in exit code 2 with its file and line, and nothing is written.
"""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from import_graph import ROOT

from pipeline.corpus.storage import read_labels, read_texts
from stages.prepare import main
from stages.validate import main as validate

SPLIT = {"train": 0.5, "dev": 0.25, "test": 0.25}
JSONL: dict[str, Any] = {
    "path": "data/raw/file",
    "format": "jsonl",
    "id": "id",
    "text": "text",
    "labels": {"topic": "class"},
    "split": SPLIT,
    "seed": 1,
}
WORDS = {**JSONL, "text": None, "words": "words", "labels": {"tags": "iob2"}}
PAIRS = {**JSONL, "text": "a", "text_b": "b"}
NUMBERS = {**JSONL, "labels": {"score": "number"}}
CLASSES = {**JSONL, "labels": {"topics": "classes"}}
COLUMN = {**JSONL, "split": {"column": "part"}, "seed": None}
CSV = {**JSONL, "format": "csv"}
TSV = {**JSONL, "format": "tsv"}
CSV_NUMBERS = {**CSV, "labels": {"score": "number"}}
CONLL = {
    **JSONL,
    "format": "conll",
    "columns": ["word", "tag"],
    "id": None,
    "text": None,
    "words": "word",
    "labels": {"tag": "iob2"},
}
BIOES = {**CONLL, "labels": {"tag": "bioes"}}
IOB1 = {**CONLL, "labels": {"tag": "iob1"}}
CONLLU = {
    **CONLL,
    "format": "conllu",
    "columns": None,
    "id": "sent_id",
    "words": "form",
    "labels": {"upos": "tags"},
}
FOLDER = {**JSONL, "format": "folder", "id": None}
LINES = {
    **JSONL,
    "format": "lines",
    "id": None,
    "text": None,
    "words": "in",
    "labels": {"out": "iob2"},
}
FILES = {**JSONL, "split": {"files": {"train": "a", "dev": "b", "test": "c"}}, "seed": None}

Files = dict[str, str | bytes]
Prepare = Callable[[dict[str, Any], Files], Result]


@pytest.fixture
def prepare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prepare:
    """Runs the stage on a corpus of these settings and files, below ``data/raw``."""
    monkeypatch.chdir(tmp_path)
    Path("data/raw").mkdir(parents=True)

    def run(settings: dict[str, Any], files: Files) -> Result:
        for name, content in files.items():
            path = Path("data/raw") / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        Path("params.yaml").write_text(json.dumps({"corpora": {"c": settings}}), encoding="utf-8")
        options = ("--texts", "data/text/c", "--labels", "data/labels/c", "--report", "reports/c")
        return CliRunner().invoke(main, ["c", *options], catch_exceptions=False)

    return run


def tree(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def row(**changes: Any) -> str:
    values = {"id": 1, "text": "ice", "topic": "x", "part": "train", "score": 1, "topics": ["x"]}
    values |= {"a": "ice", "b": "snow", "words": ["ice", "age"], "tags": ["B-x", "I-x"]}
    return json.dumps({k: v for k, v in {**values, **changes}.items() if v is not ...}) + "\n"


def good(count: int = 20, first: int = 100) -> str:
    """Rows with which nothing is wrong, in one file."""
    return "".join(
        row(
            id=n,
            text=f"text {n}",
            topic="xy"[n % 2],
            part=("train", "dev", "test")[n % 3],
            score=n,
            topics=[["x"], ["x", "y"]][n % 2],
        )
        for n in range(first, first + count)
    )


TABLE = "id,text,topic,score\n"
CSV_GOOD = "".join(f"{n},text {n},{'xy'[n % 2]},{n}\n" for n in range(100, 120))
SENTENCES = "".join(f"ice{n} B-x\nage I-x\nnow O\n\n" for n in range(10))
UD = "1\tice\tice\tNOUN\tN\t_\t0\troot\t_\t_\n"

MALFORMED: list[tuple[str, dict[str, Any], Files, str]] = [
    ("no file", JSONL, {}, "data/raw/file: no such file; `make setup` writes the samples"),
    ("a folder", JSONL, {"file/x": ""}, "data/raw/file: is no file; format jsonl reads a file"),
    ("empty", JSONL, {"file": ""}, "data/raw/file: holds no row"),
    ("blank lines", JSONL, {"file": "\n \n"}, "data/raw/file: holds no row"),
    ("no JSON", JSONL, {"file": good() + '{"id": 1, text}\n'}, "file:21: not JSON: Expecting"),
    ("cut off", JSONL, {"file": good() + row()[:30]}, "file:21: not JSON: "),
    (
        "open array",
        JSONL,
        {"file": "[\n" + row()},
        "file:2: the array, or the row that begins here",
    ),
    ("a number in an array", JSONL, {"file": "[\n" + row() + ", 7]"}, "file:3: must be a JSON obj"),
    ("no JSON in an array", JSONL, {"file": "[\n{\n'id': 1}]"}, "file:3: not JSON: Expecting"),
    ("a list", JSONL, {"file": good() + "[1]\n"}, "file:21: must be a JSON object, not [1]"),
    ("deep", JSONL, {"file": good() + "[" * 100_000}, "file:21: cannot be read: "),
    ("long number", JSONL, {"file": '{"id": ' + "9" * 5000 + "}"}, "file:1: cannot be read: "),
    (
        "a field twice",
        JSONL,
        {"file": good() + '{"text": "a", "text": "b"}'},
        "file:21: cannot be read: field 'text' is given twice",
    ),
    ("no text", JSONL, {"file": good() + row(text=...)}, "file:21: field 'text' is missing"),
    (
        "misspelt field",
        JSONL,
        {"file": good() + row(topic=..., topik="x")},
        "file:21: field 'topic' is missing; this row has 'id', 'text', 'part', 'score', 'topi",
    ),
    ("null text", JSONL, {"file": good() + row(text=None)}, "file:21: field 'text': must be a str"),
    ("text a list", JSONL, {"file": good() + row(text=["a"])}, "a string of text, not ['a']"),
    ("empty text", JSONL, {"file": good() + row(text=" \n")}, "file:21: field 'text': the text is"),
    (
        "empty id",
        JSONL,
        {"file": good() + row(id="")},
        "file:21: field 'id': must be an id, not ''",
    ),
    ("id a float", JSONL, {"file": good() + row(id=1.5)}, "file:21: field 'id': must be an id: a"),
    ("id with NUL", JSONL, {"file": good() + row(id="a\0")}, "file:21: field 'id': the id holds"),
    (
        "id twice",
        JSONL,
        {"file": row(id="a") + good() + row(id="a", text="b")},
        "file:22: field 'id': id 'a' is already used on line 1; ids must be unique",
    ),
    (
        "empty class",
        JSONL,
        {"file": good() + row(topic="")},
        "file:21: field 'topic': must be a cl",
    ),
    (
        "null class",
        JSONL,
        {"file": good() + row(topic=None)},
        "must be a class, not None; give the",
    ),
    ("class a list", JSONL, {"file": good() + row(topic=["x"])}, "a whole number, not ['x']"),
    ("one class", JSONL, {"file": good().replace('"y"', '"x"')}, "every label is 'x': nothing to"),
    (
        "classes a string",
        CLASSES,
        {"file": good() + row(topics="x")},
        "file:21: field 'topics': must be a list of classes, not 'x'; one class alone is",
    ),
    ("classes empty", CLASSES, {"file": good() + row(topics=[""])}, "field 'topics': must be a cl"),
    ("NaN", NUMBERS, {"file": good() + row(score=float("nan"))}, "a finite number, not nan"),
    ("infinite", NUMBERS, {"file": good() + row(score=1e999)}, "a finite number, not inf"),
    ("quoted number", NUMBERS, {"file": good() + row(score="1")}, "not '1'; remove the quotes"),
    ("boolean number", NUMBERS, {"file": good() + row(score=True)}, "must be a number, not True"),
    ("large number", NUMBERS, {"file": good() + row(score=1e39)}, "a number of up to 3.4e+38, not"),
    ("huge number", NUMBERS, {"file": good() + row(score=10**400)}, "a finite number, not 1000"),
    ("words a string", WORDS, {"file": row(words="ice age")}, "split the words, or read raw text"),
    ("no words", WORDS, {"file": row(words=[], tags=[])}, "file:1: field 'words': the text is em"),
    ("too few tags", WORDS, {"file": row(tags=["O"])}, "file:1: field 'tags': 1 tags for 2 words"),
    ("tags with null", WORDS, {"file": row(tags=["O", None])}, "field 'tags': must be a list of"),
    ("half a pair", PAIRS, {"file": good() + row(b="")}, "file:21: field 'b': the text is empty"),
    (
        "lone surrogate",
        JSONL,
        {"file": good() + row(text="a\ud800")},
        "file:21: a lone surrogate, which is no character: 'a\\ud800'",
    ),
    (
        "not UTF-8",
        JSONL,
        {"file": good().encode() + b'{"\xe9": 1}'},
        "file:21: not UTF-8 at byte 3",
    ),
    ("NUL bytes", JSONL, {"file": good() + '{"a": "\0"}'}, "file:21: a NUL character at column 8"),
    ("UTF-16", JSONL, {"file": good().encode("utf-16")}, "file:1: not UTF-8 at byte 1; set 'enco"),
    ("bad gzip", JSONL, {"file": gzip.compress(good().encode())[:-9]}, "the gzip file is damaged"),
    (
        "unknown split",
        COLUMN,
        {"file": good() + row(part="valid")},
        "file:21: field 'part': 'valid' is no split; known are 'train', 'dev', 'test'; say what",
    ),
    ("no split", COLUMN, {"file": good() + row(part=None)}, "field 'part': must be a split, not"),
    (
        "no dev rows",
        COLUMN,
        {"file": good().replace('"dev"', '"test"')},
        "data/raw/file: no row is in split dev; 'dev: 0.1' in split takes a share of the training",
    ),
    ("no such file", FILES, {"file/a": good(), "file/b": good(first=200)}, "raw/file/c: no such f"),
    ("no such folder", FILES, {}, "data/raw/file: no such folder; 'path' is the folder that holds"),
    (
        "one of the files is bad",
        FILES,
        {"file/a": good(), "file/b": good(first=200) + "{", "file/c": good(first=300)},
        "data/raw/file/b:21: not JSON",
    ),
    (
        "an id in two files",
        FILES,
        {"file/a": good(), "file/b": good(first=200) + row(id=100), "file/c": good(first=300)},
        "data/raw/file/b:21: field 'id': id '100' is already used on data/raw/file/a:1",
    ),
    ("no header", CSV, {"file": CSV_GOOD}, "file:1: there is no column 'text'; there is '100', 't"),
    (
        "misspelt header",
        CSV,
        {"file": TABLE.replace("topic", "Topic") + CSV_GOOD},
        "file:1: there is no column 'topic'; there is 'id', 'text', 'Topic', 'score'; did you mean",
    ),
    ("delimiter", CSV, {"file": (TABLE + CSV_GOOD).replace(",", ";")}, "is 'delimiter' right?"),
    (
        "column twice",
        CSV,
        {"file": "id,text,topic,text\n"},
        "file:1: two columns are called 'text'",
    ),
    ("only a header", CSV, {"file": TABLE}, "data/raw/file: holds no row"),
    (
        "too many cells",
        CSV,
        {"file": TABLE + CSV_GOOD + "1,a,b,x,1\n"},
        "file:22: 5 cells where 4 are expected (id, text, topic, score); a cell that holds the",
    ),
    ("too few cells", CSV, {"file": TABLE + CSV_GOOD + "1,a\n"}, "file:22: 2 cells where 4 are"),
    ("open quote", CSV, {"file": TABLE + CSV_GOOD + '1,"a,x,1\n'}, "file:22: a double quote opens"),
    ("bad quote", CSV, {"file": TABLE + CSV_GOOD + '1,"a"b,x,1\n'}, "file:22: text follows the do"),
    ("bare return", CSV, {"file": TABLE + CSV_GOOD + "1,a\rb,x,1\n"}, "file:22: a carriage return"),
    ("tsv cells", TSV, {"file": "id\ttext\ttopic\n1\ta\n"}, "file:2: 2 cells where 3 are expected"),
    (
        "decimal comma",
        CSV_NUMBERS,
        {"file": TABLE + CSV_GOOD + '1,a,x,"3,5"\n'},
        "file:22: field 'score': must be a number, not '3,5'; write a decimal point",
    ),
    ("no number", CSV_NUMBERS, {"file": TABLE + "1,a,x,\n"}, "file:2: field 'score': must be a nu"),
    (
        "word",
        CSV_NUMBERS,
        {"file": TABLE + "1,a,x,1_0\n"},
        "field 'score': must be a number, not '1",
    ),
    (
        "CSV NaN",
        CSV_NUMBERS,
        {"file": TABLE + "1,a,x,nan\n"},
        "field 'score': must be a number, no",
    ),
    (
        "columns",
        CONLL,
        {"file": SENTENCES + "a B-x O\n"},
        "file:41: 3 columns where 2 are expected",
    ),
    ("one column", CONLL, {"file": SENTENCES + "a\n"}, "file:41: 1 columns where 2 are expected"),
    ("empty column", CONLL, {"file": SENTENCES + "a\t\n"}, "file:41: column 2 (tag) is empty"),
    (
        "broken BIO",
        CONLL,
        {"file": SENTENCES + "a O\nb I-x\n"},
        "file:42: field 'tag': word 2 ('b'): 'I-x' continues no entity",
    ),
    (
        "no BIO",
        CONLL,
        {"file": SENTENCES + "a NN\n"},
        "file:41: field 'tag': word 1 ('a'): 'NN' is",
    ),
    (
        "broken IOB1",
        IOB1,
        {"file": SENTENCES},
        "file:1: field 'tag': word 1 ('ice0'): 'B-x' follow",
    ),
    (
        "broken BIOES",
        BIOES,
        {"file": SENTENCES},
        "file:3: field 'tag': word 3 ('now'): the en",
    ),
    ("no entity", CONLL, {"file": "a O\nb O\n\n" * 20}, "field 'tag': every label is 'O': nothing"),
    ("conll blank", CONLL, {"file": "\n\n"}, "data/raw/file: holds no row"),
    ("conllu columns", CONLLU, {"file": UD + "2\tage\n"}, "file:2: 2 columns where CoNLL-U has 10"),
    ("conllu number", CONLLU, {"file": UD.replace("1", "x", 1)}, "file:1: 'x' is no number of a w"),
    (
        "conllu id",
        CONLLU,
        {"file": UD},
        "file:1: field 'sent_id' is missing; this row has 'number'",
    ),
    ("conllu empty", CONLLU, {"file": UD.replace("ice", "", 1)}, "file:1: column form is empty"),
    (
        "no class folder",
        FOLDER,
        {"file/a.txt": "a"},
        "raw/file/a.txt: is no folder; texts are in a",
    ),
    ("no txt", FOLDER, {"file/x/a.pdf": "a"}, "data/raw/file/x/a.pdf: is no .txt file; move it"),
    ("empty txt", FOLDER, {"file/x/a.txt": ""}, "data/raw/file/x/a.txt:1: field 'text': the text"),
    ("empty folder", FOLDER, {"file/x/.keep": ""}, "data/raw/file: holds no row"),
    ("folder a file", FOLDER, {"file": ""}, "data/raw/file: is no folder; format folder reads a"),
    ("no field's file", LINES, {"file/in": "a\n"}, "raw/file/out: no such file for field 'out'"),
    (
        "shorter",
        LINES,
        {"file/in": "a\nb\n", "file/out": "O\n"},
        "raw/file/out:2: ends here, where",
    ),
    (
        "lines tags",
        LINES,
        {"file/in": "a\nb\n", "file/out": "O\nO O\n"},
        "file/in:2: field 'out': 2 ",
    ),
]


@pytest.mark.parametrize(
    ("settings", "files", "message"),
    [case[1:] for case in MALFORMED],
    ids=[case[0].replace(" ", "_") for case in MALFORMED],
)
def test_a_malformed_corpus_is_refused_with_its_place_and_nothing_is_written(
    prepare: Prepare, tmp_path: Path, settings: dict[str, Any], files: Files, message: str
) -> None:
    prepare(settings, {})  # what fails for lack of a file writes the parameters
    result = prepare(settings, files)
    before = {f"raw/{name}" for name in files}
    assert result.exit_code == 2, result.output
    *problems, last = result.output.splitlines()
    assert any(message in line for line in problems), result.output
    assert all(line.startswith("data/raw/file") for line in problems)
    assert last.startswith("error: data/raw/file: ")
    assert last.endswith("nothing was written")
    assert "Traceback" not in result.output
    written = {name for name, content in tree(tmp_path / "data").items() if content is not None}
    assert written == before
    assert not (tmp_path / "reports").exists()


def test_what_was_there_stays_where_a_corpus_is_refused(prepare: Prepare, tmp_path: Path) -> None:
    assert prepare(JSONL, {"file": good()}).exit_code == 0
    before = {**tree(tmp_path / "data" / "text"), **tree(tmp_path / "data" / "labels")}
    report = Path("reports/c").read_bytes()
    for broken in (good() + "{", good() + row(id=100), good().replace('"y"', '"x"')):
        assert prepare(JSONL, {"file": broken}).exit_code == 2
        assert {**tree(tmp_path / "data" / "text"), **tree(tmp_path / "data" / "labels")} == before
        assert Path("reports/c").read_bytes() == report


def test_validate_says_the_same_and_writes_nothing(prepare: Prepare, tmp_path: Path) -> None:
    expected = prepare(COLUMN, {"file": good()}).output
    before = tree(tmp_path)
    result = CliRunner().invoke(validate, ["c"], catch_exceptions=False)
    assert (result.exit_code, result.output) == (0, expected)
    assert tree(tmp_path) == before
    Path("data/raw/file").write_text(good() + "{", encoding="utf-8")
    result = CliRunner().invoke(validate, catch_exceptions=False)
    assert result.exit_code == 2
    assert result.output.startswith("data/raw/file:21: not JSON")
    assert "nothing was written" in result.output


def test_there_are_forty_malformed_inputs_at_least_no_two_alike() -> None:
    assert len({case[0] for case in MALFORMED}) == len(MALFORMED) >= 40


def test_all_problems_are_counted_and_twenty_shown(prepare: Prepare) -> None:
    result = prepare(JSONL, {"file": good() + row(text="", topic=None) * 30 + "{\n" * 5})
    lines = result.output.splitlines()
    assert len(lines) == 21
    assert [line.split(":")[1] for line in lines[:3]] == ["21", "22", "23"]
    assert lines[-1] == (
        "error: data/raw/file: 35 problems, the first 20 above; nothing was written"
    )


@pytest.mark.parametrize(
    "content",
    [
        good(),
        "\ufeff" + good(),
        good().replace("\n", "\r\n"),
        good().rstrip("\n"),
        "\n" + good().replace("\n", "\n\n"),
    ],
    ids=["plain", "byte order mark", "Windows line ends", "no last line end", "blank lines"],
)
def test_what_editors_do_to_a_file_changes_nothing(
    prepare: Prepare, tmp_path: Path, content: str
) -> None:
    reference = prepare(JSONL, {"file": good()})
    assert reference.exit_code == 0, reference.output
    expected = tree(tmp_path / "data" / "text") | tree(tmp_path / "data" / "labels")
    assert prepare(JSONL, {"file": content}).exit_code == 0
    assert tree(tmp_path / "data" / "text") | tree(tmp_path / "data" / "labels") == expected


def test_what_looks_wrong_is_printed_and_in_the_report(prepare: Prepare) -> None:
    rows = good() + row(id=1, part="test", topic="rare", text="text 102")
    result = prepare(COLUMN | {"empty_text": "drop"}, {"file": rows + row(id=2, text="")})
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[:3] == [
        "corpus c: 21 rows (6 train, 7 dev, 8 test)",
        "corpus c: 1 rows repeat the text of an earlier one",
        "corpus c: 1 rows dropped for lack of text",
    ]
    warnings = [
        "1 rows of test have a text that is also in train",
        "label 'topic': 1 texts occur more than once with different labels",
        "label 'topic': 'rare' is in test and not in train: a head cannot learn that",
        "label 'topic': 'rare' is with one example only",
    ]
    assert lines[3:] == [f"corpus c: warning: {warning}" for warning in warnings]
    report = json.loads(Path("reports/c").read_text(encoding="utf-8"))
    assert report["warnings"] == warnings
    assert report["rows_dropped_for_lack_of_text"] == 1


@pytest.mark.parametrize(
    "value",
    ["../../etc/passwd", "/etc/passwd", "<b>&amp;", "- a: [b", "1e5", "null", "__proto__", "${x}"],
)
def test_ids_texts_labels_and_fields_are_data_and_nothing_else(
    prepare: Prepare, value: str
) -> None:
    settings = {**JSONL, "id": value + "i", "text": value, "labels": {value + "l": "class"}}
    rows = good().replace('"id"', json.dumps(value + "i")).replace('"text"', json.dumps(value))
    rows = rows.replace('"topic"', json.dumps(value + "l"))
    same = {value + "i": value, value: value, value + "l": value}
    result = prepare(settings, {"file": rows + json.dumps(same) + "\n"})
    assert result.exit_code == 0, result.output
    assert (value, value) in list(read_texts(Path("data/text/c")))
    labels = read_labels(Path("data/labels/c"), value + "l")
    assert labels.values[labels.ids.index(value)] == value
    assert {path.name for path in Path("data").iterdir()} == {"raw", "text", "labels"}


def test_progress_is_shown_on_a_terminal_and_nowhere_else(prepare: Prepare, tmp_path: Path) -> None:
    assert "%" not in prepare(JSONL, {"file": good(3000)}).output
    terminal, its_end = pty.openpty()
    fcntl.ioctl(its_end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    options = ("--texts", "data/text/d", "--labels", "data/labels/d", "--report", "reports/d")
    subprocess.run(
        [sys.executable, "-m", "stages.prepare", "c", *options],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=its_end,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    os.close(its_end)
    assert "c:   0%" in os.read(terminal, 1000).decode()
    os.close(terminal)
