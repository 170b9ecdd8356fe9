"""kill -9 at every moment of a training: no half of a model, and the same bytes in the end."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch
from interrupted import MOMENTS, start_training
from pipelines import extracted, head_settings, prepared
from tracked import digests

from pipeline.heads.checkpoint import load_head

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("ICEHOUSE_KILLS", "3"))
OUTPUTS = ("model", "history.csv", "scores.csv", "layers.csv")
Outputs = dict[str, str]


@pytest.fixture(scope="module")
def project(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = prepared(tmp_path_factory.mktemp("killed"))
    extracted(folder, tiny_encoder)
    settings = head_settings(
        "token_classification", crf=True, scheme="bioes", training={"seeds": (1, 2)}
    )
    params = {"heads": {"h": settings.model_dump(mode="json")}}
    (folder / "params.yaml").write_text(json.dumps(params), encoding="utf-8")
    return folder


def outputs(project: Path) -> Outputs:
    """Digests of what a training has written."""
    found = digests(project)
    return {name: digest for name, digest in found.items() if name.split("/")[0] in OUTPUTS}


def remove_outputs(project: Path) -> None:
    """As DVC does before it runs a stage."""
    for path in sorted(project.rglob("*"), reverse=True):
        if path.relative_to(project).parts[0] in OUTPUTS:
            path.rmdir() if path.is_dir() else path.unlink()


@pytest.fixture(scope="module")
def whole(project: Path) -> tuple[Outputs, float]:
    """What an undisturbed training writes, and the seconds that one takes."""
    start_training(project).join()  # the fork server starts here
    remove_outputs(project)
    begin = time.monotonic()
    process = start_training(project)
    process.join()
    seconds = time.monotonic() - begin
    assert process.exitcode == 0
    found = outputs(project)
    predictions = {f"model/predictions/seed_{seed}.jsonl" for seed in (1, 2)}
    model = {"model/head.json", "model/head.safetensors"}
    assert set(found) == {"history.csv", "scores.csv", "layers.csv"} | model | predictions
    remove_outputs(project)
    return found, seconds


def ends_in_the_same_bytes(project: Path, expected: Outputs) -> None:
    killed = outputs(project)
    model = {name for name in expected if name.startswith("model/")}
    assert model <= set(killed) or not (project / "model").exists(), "half a model"
    assert killed.items() <= expected.items(), "what is there is complete"
    if (project / "model").exists():
        load_head(project / "model", device=torch.device("cpu"))
    remove_outputs(project)
    again = start_training(project)
    again.join()
    assert again.exitcode == 0
    assert outputs(project) == expected
    assert list(project.glob(".*.tmp")) == [], "half-written files are swept by the next run"
    remove_outputs(project)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_training_killed_with_so_much_done_leaves_no_half_of_a_model(
    project: Path, whole: tuple[Outputs, float], moment: str
) -> None:
    process = start_training(project, moment=moment)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    written = MOMENTS.index(moment) >= MOMENTS.index("model")
    assert (project / "model").exists() == written
    ends_in_the_same_bytes(project, whole[0])


def test_a_training_killed_at_any_time_ends_in_the_same_bytes(
    project: Path, whole: tuple[Outputs, float]
) -> None:
    expected, seconds = whole
    chance = random.Random(3)  # noqa: S311
    for _ in range(KILLS):
        process = start_training(project)
        process.join(chance.uniform(0, seconds))
        process.kill()
        process.join()
        ends_in_the_same_bytes(project, expected)
