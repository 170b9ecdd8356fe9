"""What ``predict`` is given, and where its answers go: one line, bounded memory, true words.

Promise: a text, a pipe, a disk or a terminal that is not what it should be ends in one line;
answers are UTF-8 whatever the terminal is; a file is written whole or not at all, and nothing
temporary of it stays.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from import_graph import ROOT
from pipelines import extracted, fit, head_settings, prepared

from pipeline.heads.checkpoint import save_head
from stages.predict import main

DEEP = "[" * 100_000 + "]" * 100_000
TERMINAL = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
"""A terminal that knows ASCII and nothing else."""


@pytest.fixture(scope="module")
def project(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = prepared(tmp_path_factory.mktemp("project"))
    extracted(folder, tiny_encoder, max_length=16)
    for name, task in (("topic", "sequence_classification"), ("beasts", "token_classification")):
        fitted = fit(folder, head_settings(task, training={"epochs": 1}))
        (folder / "models" / name).mkdir(parents=True)
        save_head(folder / "models" / name, fitted.head, fitted.description)
    return folder


@pytest.fixture
def options(project: Path, tiny_encoder: Path) -> list[str]:
    return ["--models", str(project / "models"), "--encoder", str(tiny_encoder)]


def one_line(result: Result, problem: str) -> None:
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code == 2, result.output
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    assert problem in lines[0]
    assert len(lines[0]) < 1000


def start(options: list[str], *arguments: str, **streams: Any) -> subprocess.Popen[bytes]:
    """Starts ``predict topic`` in a process of its own."""
    environment = {**os.environ, **streams.pop("environment", {}), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "stages.predict", "topic", *arguments, *options]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    return subprocess.Popen(command, env=environment, **streams)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (DEEP.encode(), "not JSON"),
        (b'{"text": ' + DEEP.encode() + b"}", "not JSON"),
        (b'{"text": "\\ud800"}', "lone surrogate"),
        (b'{"id": "\\udfff", "text": "snow"}', "lone surrogate"),
        (b'{"words": ["a", "\\ud83d"]}', "lone surrogate"),
        (b'{"text": "a", "text_b": "\\ud800"}', "lone surrogate"),
        (b'{"text": "caf\xe9"}', "not UTF-8"),
        (b"\xff\xfe{\x00", "not UTF-8"),
        (b'{"words": ["a", 1]}', "'words' must be a list of strings"),
        (b'{"words": [["a"]]}', "'words' must be a list of strings"),
        (b'{"words": {"a": 1}}', "'words' must be a list of strings"),
        (b'{"id": 1.5, "text": "a"}', "'id' must be"),
        (b'{"id": ["a"], "text": "a"}', "'id' must be"),
        (b'{"id": null, "text": "a"}', "'id' must be"),
        (b'{"id": ' + b"9" * 10_000 + b', "text": "a"}', "not JSON"),
        (b'{"text": null}', "must be strings"),
        (b'{"' + b"x" * 100_000 + b'": 1}', "has neither 'text' nor 'words'"),
        (b"\0", "not JSON"),
        (b"7", "must be a JSON object"),
    ],
)
def test_a_row_that_is_none_is_one_line(
    options: list[str], tmp_path: Path, line: bytes, problem: str
) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(b'{"text": "snow"}\n' + line + b"\n")
    result = CliRunner().invoke(main, ["topic", str(source), "--out", str(out), *options])
    one_line(result, f"{source}:2: ")
    assert problem in result.stderr
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize("name", ["topic", "beasts"])
def test_odd_texts_are_texts(options: list[str], tmp_path: Path, name: str) -> None:
    texts = ["", " ", "\0", "\x1b[2J", "\u202e", "\ud83d\ude00".encode("utf-16", "surrogatepass")]
    texts = [text.decode("utf-16") if isinstance(text, bytes) else text for text in texts]
    texts += ["\ufdfa" * 50, "e\u0301" * 50, "a" * 5000]
    source = tmp_path / "in.jsonl"
    rows = [{"text": text} for text in texts] + [{"words": []}, {"words": ["", "\0"]}]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    result = CliRunner().invoke(main, [name, str(source), *options])
    assert result.exit_code == 0, result.output
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == [
        str(number) for number in range(1, len(rows) + 1)
    ]


@pytest.mark.parametrize("form", ["jsonl", "lines"])
def test_a_line_without_an_end_does_not_fill_the_memory(
    options: list[str], form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.prediction.texts.LONGEST_LINE", 1 << 20)
    result = CliRunner().invoke(main, ["topic", "/dev/zero", "--format", form, *options])
    one_line(result, "/dev/zero:1: the line has more than 1 MiB")


def test_texts_are_answered_a_few_at_a_time_where_they_are_long(
    options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.prediction.predict._BLOCK_CHARACTERS", 100)
    given = b"snow\n" * 30 + b"ice " * 100 + b"\n" + b"sun\n"
    whole = CliRunner().invoke(main, ["topic", *options], input=given)
    monkeypatch.undo()
    assert whole.exit_code == 0
    assert whole.stdout == CliRunner().invoke(main, ["topic", *options], input=given).stdout


def test_a_folder_is_no_source(options: list[str], tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["topic", str(tmp_path), *options])
    one_line(result, f"{tmp_path}: cannot be read: Is a directory")


def test_a_pipe_to_which_nobody_writes_is_one_line(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.prediction.streams._PATIENCE", 0.2)
    os.mkfifo(tmp_path / "pipe")
    result = CliRunner().invoke(main, ["topic", str(tmp_path / "pipe"), *options])
    one_line(result, "is a pipe, and in 0 s nobody began to write to it")
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL


def test_a_pipe_to_which_somebody_writes_is_read(options: list[str], tmp_path: Path) -> None:
    """Also where the writer comes late, and where it is slow."""
    os.mkfifo(tmp_path / "pipe")

    def write() -> None:
        time.sleep(0.2)
        with (tmp_path / "pipe").open("wb") as pipe:
            time.sleep(0.2)
            pipe.write(b"snow\n")

    writer = threading.Thread(target=write)
    writer.start()
    result = CliRunner().invoke(main, ["topic", str(tmp_path / "pipe"), *options])
    writer.join()
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("topic/head.json", "Not a directory"),
        ("/etc", "/etc/head.json: no such file"),
        ("../..", "head.json: no such file"),
        ("\x1b[2J", r"\x1b[2J/head.json: no such file"),
        ("a" * 300, "File name too long"),
    ],
)
def test_a_head_that_is_none_is_one_line(options: list[str], name: str, problem: str) -> None:
    one_line(CliRunner().invoke(main, [name, *options], input=b"snow\n"), problem)


@pytest.mark.parametrize("features", ["../../etc", "/etc/passwd", "f\x1b[2J", "no such row"])
def test_the_features_of_a_head_are_a_name_and_no_path(
    project: Path, tmp_path: Path, features: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models" / "h").mkdir(parents=True)
    for path in (project / "models" / "topic").iterdir():
        (tmp_path / "models" / "h" / path.name).write_bytes(path.read_bytes())
    head = tmp_path / "models" / "h" / "head.json"
    content = json.loads(head.read_text(encoding="utf-8"))
    content["settings"]["features"] = features
    head.write_text(json.dumps(content), encoding="utf-8")
    (tmp_path / "params.yaml").write_text("features: {}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["h"], input=b"snow\n")
    one_line(result, "has no row")


def test_answers_are_utf_8_on_any_terminal(project: Path, tiny_encoder: Path) -> None:
    options = ["--models", str(project / "models"), "--encoder", str(tiny_encoder)]
    given = '{"id": "caf\u00e9 \u5317", "text": "snow"}\n'.encode()
    environment = {**os.environ, **TERMINAL, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "stages.predict", "topic", "--format", "jsonl", *options]
    done = subprocess.run(command, env=environment, input=given, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.decode("utf-8"))["id"] == "caf\u00e9 \u5317"


def test_what_is_wrong_with_a_row_is_told_on_any_terminal(options: list[str]) -> None:
    given = '{"id": "caf\u00e9", "caf\u00e9": "snow"}\n'.encode()
    process = start(options, "--format", "jsonl", stdin=subprocess.PIPE, environment=TERMINAL)
    _, errors = process.communicate(given, timeout=60)
    assert process.returncode == 2
    assert errors.splitlines() == [errors.strip()]
    assert b"has neither 'text' nor 'words'" in errors


def _small_files() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, most))


@pytest.mark.parametrize("target", ["file", "/dev/full"])
def test_a_full_disk_is_told_of_standard_output_as_it_is(
    options: list[str], tmp_path: Path, target: str
) -> None:
    source = tmp_path / "in.txt"
    source.write_text("snow\n" * 2000, encoding="utf-8")
    path = tmp_path / "out.jsonl" if target == "file" else Path(target)
    with path.open("wb") as out:
        limit: dict[str, Callable[[], None]] = (
            {"preexec_fn": _small_files} if target == "file" else {}
        )
        process = start(options, str(source), stdout=out, **limit)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2, errors
    (line,) = errors.decode().splitlines()
    assert line.startswith("error: standard output: ")
    assert "what is there ends where that happened" in line
    assert "nothing half-written" not in line


def test_a_full_disk_leaves_no_file_of_out(options: list[str], tmp_path: Path) -> None:
    source, out = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_text("snow\n" * 2000, encoding="utf-8")
    process = start(options, str(source), "--out", str(out), preexec_fn=_small_files)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2, errors
    (line,) = errors.decode().splitlines()
    assert line.startswith(f"error: {out}: File too large; nothing half-written was left")
    assert list(tmp_path.iterdir()) == [source]


def test_a_reader_that_has_enough_ends_it_quietly(options: list[str], tmp_path: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_text("snow\n" * 5000, encoding="utf-8")
    process = start(options, str(source))
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 1
    assert errors == b""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_no_temporary(
    options: list[str], tmp_path: Path, number: signal.Signals, request: pytest.FixtureRequest
) -> None:
    """While it waits for more of a slow input."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # shells ignore it behind &
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    out = tmp_path / "out.jsonl"
    process = start(options, "--out", str(out), stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(b"snow\n")
    process.stdin.flush()
    begin = time.monotonic()
    while not list(tmp_path.glob("*.tmp")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() - begin < 60
        time.sleep(0.05)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert b"Traceback" not in errors
    assert list(tmp_path.iterdir()) == []


def test_a_killed_run_is_swept_up_after_and_others_are_left(
    options: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "out[1].jsonl"
    left, other = tmp_path / ".out[1].jsonl.abc.tmp", tmp_path / ".out1.jsonl.abc.tmp"
    for path in (left, other):
        path.write_text("half", encoding="utf-8")
    result = CliRunner().invoke(main, ["topic", "--out", str(out), *options], input=b"snow\n")
    assert result.exit_code == 0, result.output
    assert sorted(tmp_path.iterdir()) == sorted([out, other])
