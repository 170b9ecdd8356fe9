"""``params.yaml`` made to harm, and names from data that ``init`` writes into it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
from click.testing import CliRunner
from hostile import PREPARE, SPECIAL, at_most, refused, refused_in_little_memory, snapshot
from hypothesis import given, settings
from hypothesis import strategies as st
from import_graph import ROOT

from pipeline.core.params import ParamsFile
from pipeline.core.printing import printable
from pipeline.core.yaml_reading import load_yaml
from pipeline.setup.params_editing import add_rows, set_values
from stages.check import main as check
from stages.fetch import main as fetch
from stages.init import main as init
from stages.prepare import main as prepare
from stages.validate import main as validate

COMMANDS: list[tuple[click.Command, tuple[str, ...]]] = [
    (check, ()),
    (validate, ()),
    (prepare, PREPARE),
    (init, ("new.jsonl", "--no-ask")),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that is the current folder, with a raw file to take in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "raw").mkdir(parents=True)
    for name in ("news.jsonl", "tweets.conll"):
        (tmp_path / "data" / "raw" / name).touch()
    shutil.copy(ROOT / "tests" / "params.yaml", tmp_path)
    rows = [{"text": f"a text of words {n}", "topic": "ab"[n % 2]} for n in range(40)]
    (tmp_path / "new.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


@pytest.mark.parametrize("kind", SPECIAL)
def test_params_that_are_no_regular_file_are_refused_at_once(folder: Path, kind: str) -> None:
    (folder / "params.yaml").unlink()
    SPECIAL[kind][0](folder / "params.yaml")
    for command, arguments in COMMANDS:
        lines = refused(command, *arguments, folder=folder)
        assert len(lines) == 1
        assert lines[0].startswith("error: params.yaml: ")


def _bomb(pattern: str, first: str) -> str:
    lines = [f"a0: &a0 {first}"]
    for n in range(1, 10):
        nine = ", ".join([f"*a{n - 1}"] * 9)
        lines += [f"a{n}: &a{n} {pattern.format(nine, n=n)}"]
    return "\n".join(lines)


HOSTILE: dict[str, tuple[str | bytes, str]] = {
    "aliases": (_bomb("[{}]", "[lol, lol]"), "aliases that stand for too much"),
    "aliases in maps": (_bomb("{{x: [{}]}}", "{y: lol}"), "aliases that stand for too much"),
    "merge keys": (_bomb("{{<<: [{}], k{n}: 1}}", "{x: 1}"), "aliases that stand for too much"),
    "itself": ("a: &x [*x]", "found undefined alias"),
    "flow 20,000": ("a: " + "[" * 20_000 + "]" * 20_000, "nested more than 50 deep"),
    "flow 1,000,000": ("a: " + "[" * 1_000_000, "nested more than 50 deep"),
    "maps 20,000": ("a: " + "{a: " * 20_000, "nested more than 50 deep"),
    "dashes 1,000,000": ("- " * 1_000_000, "nested more than 50 deep"),
    "keys 1,000,000": ("? " * 1_000_000, "a key must be text"),
    "lines 3,000": ("".join(" " * n + "a:\n" for n in range(3000)), "nested more than 50 deep"),
    "tag of Python": ("a: !!python/object/apply:os.mkdir [evil]", "not one of plain data"),
    "tag of bytes": ("a: !!binary aGk=", "not one of plain data"),
    "tag of a set": ("a: !!set {x, y}", "not one of plain data"),
    "empty number": ("a: !!int ''", "is no int"),
    "no boolean": ("a: !!bool maybe", "is no bool"),
    "no date": ("a: 2024-99-99", "is no timestamp"),
    "huge integer": ("a: " + "9" * 100_000, "int of more than 1000 characters"),
    "huge hexadecimal": ("a: 0x" + "f" * 100_000, "int of more than 1000 characters"),
    "huge float": ("a: 1." + "9" * 100_000, "float of more than 1000 characters"),
    "duplicate": ("corpora: {}\ncorpora: {}", "params.yaml:2: .*duplicate key 'corpora'"),
    "duplicate merge": ("a: {<<: {b: 1}, <<: {c: 1}}", "duplicate key '<<'"),
    "number as key": ("corpora: {}\n1: 2", "params.yaml:2: .*a key must be text"),
    "list as key": ("[a]: 2", "a key must be text"),
    "NUL": ("a: \0", "unacceptable character"),
    "escape": ("a: \x1b[2J", "unacceptable character"),
    "UTF-16": ("a: 1".encode("utf-16"), "not UTF-8"),
    "half a character": ("a: 1\nb: \ud83d", "params.yaml:2: .*not UTF-8"),
    "half an escape": ('a: "\\ud83d"', "not valid YAML"),
    "two documents": ("a: 1\n--- \nb: 1", "single document"),
    "17 MB": (b"#" * (17 << 20), "has more than 16 MiB"),
    "only a list": ("- a", "must be a mapping"),
    "an unknown section": ('"\\e[2J\\nerror: forged": 1\nreport: {texts: true}', "unknown section"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_params_are_one_line(folder: Path, name: str) -> None:
    content, problem = HOSTILE[name]
    data = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    (folder / "params.yaml").write_bytes(data)
    lines = refused(check, folder=folder)
    assert len(lines) == 1
    assert re.search(problem, lines[0])


ROWS = {
    "a number as text": ("path: 1", "path: input should be a valid string"),
    "a date as text": ("path: 2024-01-01, format: {}", "corpora.x"),
    "infinity": ("seed: .inf", "corpora.x"),
    "not a number": ("seed: .nan", "corpora.x"),
    "a large number": ("seed: " + "9" * 900, "corpora.x"),
    "a list": ("labels: [[[[[[]]]]]]", "corpora.x"),
    "a long name": (f"{'x' * 1000}: 1", "unknown key"),
    "a name with an escape": ('"\\e[2J": 1', "unknown key"),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_row_with_odd_values_is_one_line(folder: Path, name: str) -> None:
    row, problem = ROWS[name]
    (folder / "params.yaml").write_text(f"corpora: {{x: {{{row}}}}}\n")
    for command, arguments in ((validate, ()), (prepare, ("x", *PREPARE[1:]))):
        lines = refused(command, *arguments, folder=folder)
        assert len(lines) == 1
        assert problem in lines[0]


@pytest.mark.parametrize("text", ["x" * 3_000_000, "[" + "1, " * 300_000 + "]"])
def test_values_that_aliases_repeat_take_bounded_memory(folder: Path, text: str) -> None:
    (folder / "params.yaml").write_text(f"a: &a {text}\ncorpora: [{', '.join(['*a'] * 5)}]\n")
    refused_in_little_memory("stages.check", folder=folder)


def test_a_file_that_is_as_deep_as_it_may_be_is_edited(folder: Path) -> None:
    deep = "{a: " * 46 + "1" + "}" * 46
    (folder / "params.yaml").write_text(f"corpora: {{}}\nheads:\n  x: {{y: 1, z: {deep}}}\n")
    set_values(folder / "params.yaml", ("heads", "x"), {"y": 2})
    add_rows(folder / "params.yaml", {"corpora": {"new": {"path": "a"}}})
    data = ParamsFile(folder / "params.yaml").data
    assert data["heads"]["x"]["y"] == 2
    assert data["corpora"] == {"new": {"path": "a"}}


# What init writes.

NASTY = [
    *("a: b", '"x"', "'", "a\nb: c", "#", "- a", "? a", "{a}", "[a", "*a", "&a", "!a", "%a", "|"),
    *("${heads}", "${", "$HOME", "{{x}}", "`id`", "<<", "=", "~", "null", "true", "1", "1e5", "@a"),
    *("2024-01-01", " a ", "\t", "\x1b[2J", "\x7f", "\u2028", "\u202e", "\x85", "\xa0", "\ufeff"),
    *("é", "\U0001f600", "../../x", "x" * 10_000, "\\", "a.b", "_", "-", "0x1F", "yes", "..."),
]
TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1)


@given(names=st.lists(st.sampled_from(NASTY) | TEXT, min_size=1, max_size=4, unique=True))
@settings(max_examples=150, deadline=None)
def test_what_is_added_reads_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    path = tmp_path_factory.mktemp("project") / "params.yaml"
    path.write_text("encoders: {}\ncorpora:\n  # a remark\n  old: {path: x}\nheads: {}\n", "utf-8")
    row = {"path": names[0], "labels": dict.fromkeys(names, "class"), "columns": names}
    add_rows(path, {"corpora": {"new": row}, "heads": {"new": {"label": names[-1]}}})
    assert load_yaml(path.read_bytes()) == {
        "encoders": {},
        "corpora": {"old": {"path": "x"}, "new": row},
        "heads": {"new": {"label": names[-1]}},
    }
    assert "# a remark" in path.read_text("utf-8")


@pytest.mark.parametrize("name", [name for name in NASTY if name != "_"])
def test_init_takes_in_a_field_that_is_called_anything(folder: Path, name: str) -> None:
    rows = [{"text": f"a text of words {n}", name: "ab"[n % 2]} for n in range(40)]
    (folder / "new.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with at_most():
        result = CliRunner().invoke(init, ["new.jsonl", "--no-ask"])
    assert result.exit_code == 0, result.output
    assert all(printable(line) == line for line in result.output.split("\n"))
    assert load_yaml(Path("params.yaml").read_bytes())["corpora"]["new"]["labels"] == {
        name: "class"
    }
    assert CliRunner().invoke(check).exit_code == 0, CliRunner().invoke(check).output


def test_two_fields_of_nearly_one_name_have_a_head_each(folder: Path) -> None:
    rows = [{"text": f"words {n}", "a b": "xy"[n % 2], "a_b": "yx"[n % 2]} for n in range(40)]
    (folder / "new.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert CliRunner().invoke(init, ["new.jsonl", "--no-ask"]).exit_code == 0
    heads = load_yaml(Path("params.yaml").read_bytes())["heads"]
    assert {heads[name]["label"] for name in ("new_a_b", "new_a_b_2")} == {"a b", "a_b"}


@pytest.mark.slow
def test_dvc_puts_names_from_data_into_no_command(folder: Path) -> None:
    """``dvc.yaml`` is a template, in which names of params.yaml are values and no templates."""
    row = {
        "path": "data/${heads}/$(touch evil)",
        "labels": dict.fromkeys(["${heads}", "${", "%"], "class"),
    }
    (folder / "params.yaml").write_text(json.dumps({"corpora": {"x": row}, "heads": {}}))
    (folder / "dvc.yaml").write_text(
        "stages:\n  prepare:\n    foreach: ${corpora}\n    do:\n      cmd: echo ${key}\n"
        "      params: ['corpora.${key}']\n      deps: ['${item.path}']\n"
    )
    environment = {**os.environ, "DVC_SITE_CACHE_DIR": str(folder / ".site")}
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run([*dvc, "init", "--no-scm", "-q"], check=True, env=environment)
    done = subprocess.run(
        [*dvc, "stage", "list"], check=True, env=environment, capture_output=True, text=True
    )
    assert "data/${heads}/$(touch evil)" in done.stdout
    assert not (folder / "evil").exists()


@pytest.mark.parametrize("answers", ["", "new\n", "new\ntext\n"])
def test_an_end_of_input_at_a_question_writes_nothing(folder: Path, answers: str) -> None:
    before = snapshot(folder)
    result = CliRunner().invoke(init, ["new.jsonl", "--ask"], input=answers)
    assert isinstance(result.exception, SystemExit)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].endswith(": Aborted!")
    assert "Traceback" not in result.stderr
    assert snapshot(folder) == before


def test_a_terminal_that_is_not_utf_8_is_asked_and_answers(folder: Path) -> None:
    rows = [{"text": f"words {n}", "é": "ab"[n % 2]} for n in range(40)]
    (folder / "new.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = [sys.executable, "-m", "stages.init", "new.jsonl", "--ask", "--no-quick"]
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    environment.setdefault("PYTHONPATH", str(ROOT))
    done = subprocess.run(
        command, input=b"\n" * 5, capture_output=True, env=environment, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert load_yaml(Path("params.yaml").read_bytes())["corpora"]["new"]["labels"] == {"é": "class"}


@pytest.mark.parametrize("answer", [b"\xff", b"{\xff: class}", b"{a: [", b"[" * 100_000, b"1"])
def test_an_answer_that_is_none_is_one_line(folder: Path, answer: bytes) -> None:
    before = snapshot(folder)
    command = [sys.executable, "-m", "stages.init", "new.jsonl", "--ask", "--no-quick"]
    environment = {**os.environ, "PYTHONPATH": os.environ.get("PYTHONPATH", str(ROOT))}
    done = subprocess.run(
        command,
        input=b"new\n\n" + answer + b"\n\n",
        capture_output=True,
        env=environment,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2, done.stderr[-1000:]
    assert done.stderr.splitlines()[-1].split(b"error: ")[-1].startswith(b"labels: ")
    assert snapshot(folder) == before


# A data set of the Hub names its splits.


class _Rows(list[dict[str, Any]]):
    class features:  # noqa: N801
        to_dict = dict


def stand_in(monkeypatch: pytest.MonkeyPatch, splits: dict[str, _Rows]) -> None:
    """Stands in for ``datasets``; takes no argument that would let code of a data set run."""

    def load_dataset(_: str, __: str | None, *, revision: str) -> dict[str, _Rows]:
        assert len(revision) == 40
        return splits

    fake = ModuleType("datasets")
    fake.load_dataset = load_dataset  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", fake)


@pytest.mark.parametrize(
    "split", ["../evil", "/evil", "a/b", "../..", "a\nb", "\udcff", "x" * 300, "a\\b", "\0"]
)
def test_a_split_is_called_as_a_file_or_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, split: str
) -> None:
    stand_in(monkeypatch, {split: _Rows([{"a": 1}])})
    arguments = ("some/set", "--revision", "0" * 40, "--out", "data/raw/set")
    lines = refused(fetch, *arguments, folder=folder)
    assert len(lines) == 1
    assert "a split is called so that it is no file" in lines[0]


@pytest.mark.parametrize("value", ["\ud83d", {"a": {1, 2}}, b"bytes"])
def test_a_row_that_json_cannot_hold_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, value: Any
) -> None:
    stand_in(monkeypatch, {"train": _Rows([{"a": value}])})
    arguments = ("some/set", "--revision", "0" * 40, "--out", "data/raw/set")
    assert "holds what JSON cannot" in refused(fetch, *arguments, folder=folder)[0]
