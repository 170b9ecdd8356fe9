"""A head on a corpus in folds, through its three stages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pipelines import extracted, head_settings, prepared
from ruamel.yaml import YAML

from stages.evaluate import main as evaluate
from stages.probe import main as probe
from stages.train import main as train

SETTINGS = head_settings("token_classification", training={"epochs": 2, "seeds": (5, 6)})


@pytest.fixture(scope="module")
def folder(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = prepared(tmp_path_factory.mktemp("stages"), folds=3)
    extracted(where, tiny_encoder)
    with (where / "params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump({"heads": {"beasts": SETTINGS.model_dump(mode="json")}}, file)
    return where


def run(folder: Path, stage: Any, **options: str) -> str:
    given = [word for name, path in options.items() for word in (f"--{name}", str(folder / path))]
    arguments = ["beasts", *given]
    result = CliRunner().invoke(stage, arguments, env={"FEATURE_STORE": str(folder / "store")})
    assert result.exit_code == 0, result.output
    return result.output


def run_all(folder: Path, out: str) -> tuple[dict[str, bytes], list[str]]:
    """What the stages write, and what evaluate and the probe say."""
    reports = {name: f"{out}/{name}.csv" for name in ("history", "scores", "layers")}
    data = {"labels": "labels", "features": "features"}
    params = {"params": "params.yaml"}
    run(folder, train, **data, **reports, **params, out=f"{out}/model")
    said = run(folder, probe, texts="texts", **data, **params, out=f"{out}/probe")
    said += run(
        folder,
        evaluate,
        texts="texts",
        labels="labels",
        head=f"{out}/model/head.json",
        predictions=f"{out}/model/predictions",
        rivals=f"{out}/probe",
        metrics=f"{out}/metrics.json",
        confusion=f"{out}/confusion.csv",
        calibration=f"{out}/calibration.csv",
        mistakes=f"{out}/mistakes.jsonl",
    )
    files = (path for path in (folder / out).rglob("*") if path.is_file())
    written = {str(path.relative_to(folder / out)): path.read_bytes() for path in files}
    return written, said.splitlines()


def test_all_rows_are_scored_and_the_same_files_come_out_again(folder: Path) -> None:
    files, said = run_all(folder, "one")
    runs = [f"fold_{fold}_seed_{seed}" for fold in (1, 2, 3) for seed in (5, 6)]
    predictions = {Path(name).stem for name in files if name.startswith("model/predictions/")}
    assert predictions == set(runs)
    head, metrics = (json.loads(files[name]) for name in ("model/head.json", "metrics.json"))
    assert (metrics["fold"], metrics["seed"]) == (head["fold"], head["seed"])
    assert head["fold"] in (1, 2, 3)
    assert metrics["test"]["examples"] == metrics["dev"]["examples"] == 120
    assert list(metrics["runs"]) == [*runs, "mean", "deviation", "deviation_of_seeds"]
    assert metrics["test"]["probe"]["name"] == "linear probe"
    chosen = [line for line in said if "linear probe: fold" in line]
    assert [line.split(",")[0] for line in chosen] == [
        f"head beasts: linear probe: fold {n}" for n in "123"
    ]
    (line,) = (line for line in said if "mean and deviation" in line)
    assert line.startswith("head beasts: test, mean and deviation of 3 folds with 2 seeds each: ")
    assert line.endswith(f"; kept: fold {head['fold']}, seed {head['seed']}")
    assert run_all(folder, "two")[0] == files
