"""What commands print: text from data is shown and not obeyed, on a terminal of any encoding."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import click
import pytest
import torch
from click.testing import CliRunner
from import_graph import ROOT

from pipeline.core.command import StageCommand, echo, explain
from pipeline.core.environment import choose_device, gpu_tokens, use_threads
from pipeline.core.errors import MachineError
from pipeline.layer_study.study_tables import text
from pipeline.sweeps.reporter import LineReporter, TableReporter
from pipeline.sweeps.results import SeedScore, TrialRecord
from stages import evaluate, lineage, probe, report, results, train

ESCAPES = "\x1b[2J\x1b]0;owned\x07\r\n\u202eevil\x9b"
ENCODINGS = ("ascii", "latin-1", "cp1252")


def python(code: str, *arguments: str, encoding: str, folder: Path) -> tuple[int, str]:
    """Runs Python with a terminal of an encoding; returns the exit code and all that it said."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONIOENCODING": encoding,
            "PYTHONPATH": os.environ.get("PYTHONPATH", str(ROOT)),
        },
        capture_output=True,
        check=False,
        timeout=60,
    )
    return done.returncode, (done.stdout + done.stderr).decode("latin-1")


HELP = """
import importlib, sys
from functools import partial
from pathlib import Path
from click.testing import CliRunner
import stages
from icehouse.cli import main
main.main(["--help"], standalone_mode=False)
for path in sorted(Path(stages.__file__).parent.glob("[a-z]*.py")):
    command = importlib.import_module(f"stages.{path.stem}").main
    command.main(["--help"], standalone_mode=False)
"""


def test_every_commands_help_is_plain_text(tmp_path: Path) -> None:
    code, said = python(HELP, encoding="ascii:strict", folder=tmp_path)
    assert code == 0, said[-2000:]


@pytest.fixture
def scored(tmp_path: Path) -> Path:
    """Files that ``evaluate`` reads, with labels that a terminal would obey."""
    labels = [ESCAPES, "=1+1", ESCAPES, "=1+1", ESCAPES, "\u96ea"]
    splits = ["train", "train", "dev", "dev", "test", "test"]
    rows = [
        {"id": f"r{number}", "split": split, "labels": {"topic": label}}
        for number, (label, split) in enumerate(zip(labels, splits, strict=True))
    ]
    said = [
        {
            "id": row["id"],
            "split": row["split"],
            "label": ESCAPES,
            "probabilities": {ESCAPES: 0.9, "=1+1": 0.1},
        }
        for row in rows[2:]
    ]
    write_lines(tmp_path / "texts.jsonl", [{"id": row["id"], "text": "ice"} for row in rows])
    write_lines(tmp_path / "labels.jsonl", rows)
    write_lines(tmp_path / "seed_1.jsonl", said)
    meta = {"texts_sha256": "digest", "kinds": {"topic": "class"}}
    (tmp_path / "labels.json").write_text(json.dumps(meta), encoding="utf-8")
    settings = {"label": "topic", "training": {"seeds": [1]}}
    head = {"fold": None, "seed": 1, "label_type": "single_label", "settings": settings}
    (tmp_path / "head.json").write_text(json.dumps(head), encoding="utf-8")
    return tmp_path


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


EVALUATE = (
    *("h", "--texts", ".", "--labels", ".", "--head", "head.json", "--predictions", "."),
    *("--metrics", "out/h/metrics.json", "--confusion", "out/confusion.csv"),
    *("--calibration", "out/calibration.csv", "--mistakes", "out/mistakes.jsonl"),
)


def is_shown(said: str) -> bool:
    """Whether nothing in a text is obeyed by a terminal, but the ends of its lines."""
    return all(line.isprintable() for line in said.split("\n"))


def test_labels_are_shown_and_run_by_no_spreadsheet(
    scored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(scored)
    result = CliRunner().invoke(evaluate.main, EVALUATE)
    assert result.exit_code == 0, result.output
    assert is_shown(result.output)
    assert "\\x1b[2J\\x1b]0;owned\\x07\\r\\n\\u202eevil\\x9b" in result.output
    table = (scored / "out" / "confusion.csv").read_text(encoding="utf-8")
    assert "\n=" not in table
    assert "\n'=" not in table  # no pair of test begins with it


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("quiet", [(), ("--quiet",)], ids=["loud", "quiet"])
def test_scores_are_printed_on_a_terminal_that_has_no_such_characters(
    scored: Path, encoding: str, quiet: tuple[str, ...]
) -> None:
    code = "import sys; from stages.evaluate import main; main(sys.argv[1:])"
    status, said = python(code, *EVALUATE, *quiet, encoding=encoding, folder=scored)
    assert status == 0, said
    if not quiet:  # then there are labels in what it says
        assert "\\u96ea" in said or encoding == "ascii"  # where click writes UTF-8
    code = "import sys; from stages.results import main; main(sys.argv[1:])"
    status, said = python(code, "--reports", "out", encoding=encoding, folder=scored)
    assert status == 0, said
    assert "accuracy" in said


def test_a_name_of_a_head_is_shown(tmp_path: Path) -> None:
    folder = tmp_path / "\x1b[2J"
    folder.mkdir()
    scores = {"accuracy": 0.5, "accuracy_low": 0.4, "accuracy_high": 0.6}
    metrics = {"dev": scores, "test": scores}
    (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    result = CliRunner().invoke(results.main, ["--reports", str(tmp_path)])
    assert result.exit_code == 0
    assert is_shown(result.output)
    assert "\\x1b[2J" in result.output


def test_trials_are_shown() -> None:
    said: list[str] = []
    record = TrialRecord(
        trial=0,
        state="complete",
        score=0.5,
        values={"a": ESCAPES},
        drawn={},
        seeds={1: SeedScore(dev_score=0.5, best_epoch=1, epochs=1)},
        curve=[0.5],
        parameters=1,
        threads=1,
    )
    shared: dict[str, Any] = {"metric": "f1", "most": 2, "workers": 1, "write": said.append}
    TableReporter(columns=lambda: 300, known=[record], **shared)
    drawn = said[-1].replace("\x1b[K\n", "\n").removesuffix("\x1b[J")
    assert is_shown(drawn)
    assert "owned" in drawn

    @click.command(cls=StageCommand)
    def stage() -> None:
        LineReporter(known=[], **{**shared, "write": echo}).ended(record)

    assert is_shown(CliRunner().invoke(stage).output)


def test_a_bar_is_drawn_on_a_terminal_of_ascii(tmp_path: Path) -> None:
    code = """
import io, sys
from tqdm import tqdm
class Terminal(io.TextIOWrapper):
    def isatty(self): return True
sys.stderr = Terminal(sys.stderr.buffer, encoding="ascii")
with tqdm(unit=" texts", disable=None, desc="predicting", total=3, mininterval=0) as bar:
    bar.update(2)
"""
    status, said = python(code, encoding="ascii", folder=tmp_path)
    assert (status, "67%" in said) == (0, True), said


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is full")
def test_standard_output_on_a_full_disk_is_one_line(scored: Path) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "stages.evaluate", *EVALUATE],
            cwd=scored,
            env={**os.environ, "PYTHONPATH": os.environ.get("PYTHONPATH", str(ROOT))},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2, done.stderr
    assert done.stderr == (
        "error: No space left on device; free some space, and run it again to go on\n"
    )


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "not enough memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "a machine with"),
        (RuntimeError("CUDA error: out of memory"), "a GPU with more"),
        (RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"), "a GPU with more"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"), "a GPU with more"),
        (OSError(errno.ENOSPC, "No space left on device"), "device; free some space"),
        (OSError(errno.ENOSPC, "No space left on device", "x"), "x: No space left on device; noth"),
        (OSError(errno.EISDIR, "Is a directory", ".x.tmp", None, "x"), "x: Is a directory; there"),
        (OSError(errno.ENAMETOOLONG, "File name too long", b"x"), "x: File name too long; use a"),
        (
            FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"),
            "let TMPDIR name one",
        ),
    ],
)
def test_an_end_of_the_machine_is_a_line(error: Exception, words: str) -> None:
    line = explain(error)
    assert line is not None
    assert words in line


def test_memory_that_torch_and_numpy_do_not_get_is_a_line() -> None:
    import numpy as np
    import torch

    for ask in (lambda: np.empty(1 << 60, np.int8), lambda: torch.empty(1 << 60)):
        with pytest.raises((MemoryError, RuntimeError)) as caught:
            ask()
        assert "not enough memory" in str(explain(caught.value))
    assert "a GPU with more" in str(explain(torch.OutOfMemoryError("CUDA out of memory.")))


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (train, ("h", "--labels", "{}/no", "--features", "{}/no", "--history", "h")),
        (probe, ("h", "--labels", "{}/no", "--features", "{}/no")),
        (lineage, ("{}/no",)),
        (report, ("--texts", "{}/no", "--labels", "{}/no", "--models", "{}/no")),
    ],
)
@pytest.mark.parametrize("kind", ["absent", "file", "long", "pipe"])
def test_a_path_that_leads_to_nothing_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Any, arguments: Any, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    row = {"corpus": "c", "features": "f", "label": "l", "task": "regression", "layers": [-1]}
    params = {"corpora": {"c": {}}, "features": {}, "heads": {"h": row}, "report": {"texts": True}}
    (tmp_path / "params.yaml").write_text(json.dumps(params), encoding="utf-8")
    place = tmp_path / ("x" * 300 if kind == "long" else "place")
    if kind == "file":
        place.write_text("", encoding="utf-8")
    elif kind == "pipe":
        place.mkdir()
        os.mkfifo(place / "no")
    given = [word.format(place) for word in arguments]
    for option in command.main.params:
        name = f"--{option.name}"
        if isinstance(option, click.Option) and option.required and name not in given:
            given += [name, str(tmp_path / "other")]
    result = CliRunner().invoke(command.main, given)
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")


@pytest.mark.parametrize(
    "value", ["9" * 5000, "\u0663\u0662", "-5", "1e3", " 32", "0x20", "9" * 10]
)
def test_a_variable_of_the_environment_is_a_number_or_a_line(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("ICEHOUSE_GPU_TOKENS", value)
    monkeypatch.setenv("ICEHOUSE_THREADS", value)
    for ask in (partial(gpu_tokens, torch.device("cuda")), use_threads):
        with pytest.raises(MachineError, match="must be a whole number") as caught:
            ask()
        assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "value", ["cuda:" + "9" * 5000, "cuda:-1", "meta", "cuda:\u0663", "x" * 9999, " "]
)
def test_a_device_is_one_or_a_line(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("ICEHOUSE_DEVICE", value)
    with pytest.raises(MachineError, match="ICEHOUSE_DEVICE=") as caught:
        choose_device()
    assert len(str(caught.value)) < 200


def test_a_layer_study_is_shown() -> None:
    scores = {
        "score": 0.5,
        "low": None,
        "high": None,
        "control": 0.1,
        "selectivity": 0.4,
        "behind_chosen": None,
    }
    study = {"dev": {"layer 1": {"head": scores, "probe": scores}}, "metric": ESCAPES}

    @click.command(cls=StageCommand)
    def stage() -> None:
        for line in text(study):
            echo(line)

    assert is_shown(CliRunner().invoke(stage).output)
