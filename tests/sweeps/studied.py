"""A small project with a sweep in it, whose trials take a moment each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from pipelines import extracted, head_settings, prepared, prepared_pairs
from ruamel.yaml import YAML

yaml = YAML(typ="rt")

SWEEP: dict[str, Any] = {
    "head": "beasts",
    "trials": 6,
    "seed": 7,
    "sampler": "tpe",
    "pruner": {"kind": "median", "startup_trials": 2, "warmup_epochs": 1},
    "space": {
        "layers": {"subsets": [2, -1], "sizes": [1, 2]},
        "recurrent.hidden_size": {"choices": [8, 16]},
        "training.learning_rate": {"low": 0.001, "high": 0.05, "log": True},
        "training.epochs": {"choices": [4]},
    },
}


def make_study_project(
    folder: Path, encoder: Path, *, pairs_apart: bool = False, **changes: Any
) -> Path:
    """A project with labels and features of one corpus, a head and a sweep."""
    if pairs_apart:
        extracted(prepared_pairs(folder / "made"), encoder, pairs="apart")
    else:
        extracted(prepared(folder / "made"), encoder)
    for kind, name in (("labels", "labels"), ("features", "features"), ("text", "texts")):
        (folder / "data" / kind).mkdir(parents=True)
        target = "f" if kind == "features" else "c"
        (folder / "made" / name).rename(folder / "data" / kind / target)
    task = "regression" if pairs_apart else "token_classification"
    write_params(folder, task=task, **changes)
    return folder


def write_params(folder: Path, *, task: str = "token_classification", **changes: Any) -> None:
    """Writes the parameters, the sweep's row changed."""
    head = head_settings(task).model_dump(mode="json")
    if head["pooling"] is None:
        head["training"]["metric"] = "word_accuracy"
    head = {name: value for name, value in head.items() if value is not None or name == "training"}
    content = {
        "encoders": {},
        "corpora": {},
        "features": {},
        "heads": {"beasts": head},
        "sweeps": {"search": SWEEP | changes},
    }
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        yaml.dump(content, file)
    text = (folder / "params.yaml").read_text(encoding="utf-8")
    text = text.replace("cell: lstm", "cell: lstm # or gru")
    (folder / "params.yaml").write_text(text, encoding="utf-8")


def run_sweep(*arguments: str) -> Result:
    """Runs the stage in the current folder."""
    from stages.sweep import main

    return CliRunner().invoke(main, ["search", *arguments], catch_exceptions=False)


def study(folder: Path) -> dict[str, Any]:
    """What ``study.json`` holds."""
    content: dict[str, Any] = json.loads(
        (folder / "studies" / "search" / "study.json").read_text(encoding="utf-8")
    )
    return content
