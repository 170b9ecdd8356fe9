"""All steps of the GPU's benchmark on the CPU, tiny."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu import __main__ as command
from benchmarks.gpu.__main__ import all_steps
from benchmarks.gpu.runner import Progress

ROOT = Path(__file__).parents[2]


def rehearse(*arguments: str) -> list[dict[str, Any]]:
    line = [sys.executable, "-m", "benchmarks.gpu", "--rehearse", *arguments]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def named(figures: Any, name: str, place: str = "") -> Iterator[str]:
    """Yields the places of a name in a tree of figures, with its value."""
    if isinstance(figures, dict):
        for key, figure in figures.items():
            if key == name:
                yield f"{place}: {figure}"
            yield from named(figure, name, f"{place}.{key}")


@pytest.mark.slow
def test_every_step_runs_and_finds_what_a_cpu_promises() -> None:
    lines = rehearse()
    found = {line["step"]: line for line in lines}
    assert list(found) == [*(step.name for step in all_steps()), "summary"]
    assert not [place for line in lines for place in named(line, "error", line["step"])]
    assert not [place for line in lines for place in named(line, "stopped", line["step"])]
    for shape in ("minilm", "bert_base"):
        exact = found[f"equality_{shape}"]["float32"]
        assert max(layer["relative_rms"] for layer in exact.values()) < 1e-6
        rounded = found[f"equality_{shape}"]["bfloat16"]
        assert all(layer["relative_rms"] > 1e-4 for layer in rounded.values())
        pure = [found[f"purity_{shape}"][part] for part in ("float32", "float32_packs")]
        assert {place[-3:] for one in pure for place in named(one, "differ")} == {": 0"}
    assert max(found["head_equality"]["ours"].values()) < 1e-5
    assert found["cache"]["tagger_streamed"]["same"]
    for kind in ("tweets", "news"):
        assert found["extraction_minilm"][f"{kind}_over_padded_loop"]["apart"] < 1e-5
    stages = found["stages"]
    assert all(stages[name]["rc"] == 0 for name in ("extract", "train", "train_again", "predict"))
    assert all(stages["same_files"].values())
    assert "head.safetensors" in stages["same_files"]
    assert not found["memory"]["extract_in_256_mb"]["as_promised"]  # nothing limits a CPU
    assert {"cache.bert_base_news_topic.ratio", "head_steps.tagger.ratio"} <= {
        *found["summary"]["bars"]
    }


@pytest.mark.slow
def test_without_time_every_step_says_so() -> None:
    lines = rehearse("--deadline", "0", "--only", "machine,cache")
    assert [line["step"] for line in lines] == ["machine", "cache", "summary"]
    assert all("deadline" in line["skipped"] for line in lines[:2])


def test_a_process_takes_over_from_one_whose_device_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr("os.execv", lambda _, command: commands.append(command))
    done = [step.name for step in all_steps() if step.name != "machine"]
    bars = {"memory.extract": {"value": 1.0, "bound": 1.0, "met": True}}
    folder = tmp_path / "run"
    folder.mkdir()
    arguments = argparse.Namespace(only="", deadline=60.0, rehearse=True)
    command._go_on(arguments, Progress(done=done, bars=bars), folder / command._STATE)
    ended = subprocess.run(commands[0], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [line["step"] for line in lines] == ["machine", "summary"]
    assert lines[1]["bars"] == bars
    assert not folder.exists()
