"""params.yaml with one mistake in its sweep: one line, exit code 2, the path of the field."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from import_graph import ROOT
from ruamel.yaml import YAML

from stages.check import main

yaml = YAML(typ="safe")
VALID: dict[str, Any] = yaml.load((ROOT / "tests" / "params.yaml").read_text(encoding="utf-8"))
SWEEP: dict[str, Any] = {
    "head": "tweet_entities",
    "trials": 40,
    "seed": 7,
    "sampler": "tpe",
    "pruner": {"kind": "median", "startup_trials": 5, "warmup_epochs": 2},
    "space": {
        "layers": {"subsets": [4, -1]},
        "recurrent.hidden_size": {"low": 64, "high": 256, "step": 64},
        "crf": {"choices": [True, False]},
    },
}


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Result]:
    monkeypatch.chdir(tmp_path)
    for corpus in VALID["corpora"].values():
        Path(corpus["path"]).parent.mkdir(parents=True, exist_ok=True)
        Path(corpus["path"]).write_text("data", encoding="utf-8")

    def run(sweeps: Any) -> Result:
        params = {**copy.deepcopy(VALID), "sweeps": sweeps}
        with Path("params.yaml").open("w", encoding="utf-8") as file:
            yaml.dump(params, file)
        return CliRunner().invoke(main, catch_exceptions=False)

    return run


def test_a_sweep_is_valid_and_counted(check: Callable[[Any], Result]) -> None:
    result = check({"search": SWEEP})
    assert (
        result.output
        == "params.yaml: valid (encoders 1, corpora 2, features 2, heads 4, sweeps 1)\n"
    )
    halving = {"kind": "halving", "first_epoch": 1, "factor": 3}
    assert check({"search": SWEEP | {"pruner": halving}}).exit_code == 0
    assert check({"search": SWEEP | {"pruner": None}}).exit_code == 0
    assert check({}).exit_code == 0


def space(path: str, **values: Any) -> dict[str, Any]:
    return {"space": {path: values}}


MISTAKES = [
    ({"head": "tweet"}, "sweeps.search.head: there is no heads.tweet; known are: news_topic"),
    ({"trials": 0}, "sweeps.search.trials: input should be greater"),
    ({"sampler": "grid"}, "sweeps.search.sampler: input should be 'tpe' or 'random'"),
    ({"trails": 3}, "sweeps.search.trails: unknown key; did you mean 'trials'?"),
    ({"pruner": {"kind": "median"}}, "sweeps.search.pruner: pruner median needs 'startup_trials'"),
    (
        {"pruner": {"kind": "halving", "first_epoch": 1, "factor": 2, "warmup_epochs": 1}},
        "sweeps.search.pruner: pruner halving has no 'warmup_epochs'",
    ),
    ({"space": {}}, "sweeps.search.space: "),
    (space("crf"), "space.crf: give either 'choices', or 'low' and 'high', or 'subsets'"),
    (space("crf", low=1), "space.crf: give either 'choices', or 'low' and 'high'"),
    (space("crf", choices=[1], subsets=[1]), "space.crf: give either 'choices'"),
    (space("crf", choices=[True], log=True), "'log' and 'step' are for 'low' and 'high'"),
    (space("crf", choices=[True], sizes=[1]), "'sizes' is for 'subsets'"),
    (space("recurrent.dropout", low=0.5, high=0.5), "'low' must be less than 'high'"),
    (space("recurrent.dropout", low=0, high=0.5, log=True), "'low' must be above 0 where"),
    (space("recurrent.hidden_size", low=8, high=16, step=0.5), "'step' of whole numbers is a"),
    (space("layers", subsets=[4, 4]), "'subsets' names a layer twice"),
    (space("layers", subsets=[4, -1], sizes=[3]), "'sizes' are from 1 to 2, not 3"),
    (space("layers", subsets=[4, 5]), "space.layers: layer 5 is not kept by features.tweets"),
    (space("layers", choices=[[4], [7]]), "space.layers: encoders.minilm has no layer 7"),
    (space("recurrent.hiden", choices=[1]), "recurrent.hiden 1: recurrent.hiden: Extra inputs"),
    (space("recurent.hidden_size", choices=[1]), "heads.tweet_entities has no such setting"),
    (space("recurrent.dropout", low=0.5, high=1.5), "dropout 1.5: recurrent.dropout: Input should"),
    (space("training.epochs", low=0.5, high=9.5), "training.epochs 0.5: training.epochs: Input"),
    (space("pooling", choices=["cls"]), "with pooling 'cls': 'pooling' must be null"),
    (space("training.seeds", choices=[[1], [2]]), "space.training.seeds: is not searched"),
    (space("features", choices=["news"]), "space.features: is not searched: trials are compared"),
    (
        {
            "space": {
                "crf": {"choices": [False, True]},
                "training.class_weights": {"choices": [None, "balanced"]},
            }
        },
        "with crf True and training.class_weights 'balanced': 'training.class_weights' must be",
    ),
]


@pytest.mark.parametrize(("change", "message"), MISTAKES)
def test_a_mistake_is_one_line_with_the_field(
    check: Callable[[Any], Result], change: dict[str, Any], message: str
) -> None:
    result = check({"search": SWEEP | change})
    assert result.exit_code == 2
    assert result.output.startswith("error: params.yaml:")
    assert message in result.output
    assert result.output.count("\n") == 1


def test_a_table_that_is_no_mapping_is_one_line(check: Callable[[Any], Result]) -> None:
    result = check(["search"])
    assert result.exit_code == 2
    assert "sweeps: must be a mapping of rows" in result.output
