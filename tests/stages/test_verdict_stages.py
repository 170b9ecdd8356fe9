"""Heads that are not worth their training: evaluate, results and the page say so.

Their predictions are planted; the rivals are those that the stage fits, on real texts and features.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from click import Command
from click.testing import CliRunner
from conftest import random_sentences
from pipelines import extracted, labelled, prepared

from pipeline.core.files import csv_text, write_text
from pipeline.corpus.storage import read_labels
from stages.evaluate import main as evaluate
from stages.probe import main as probe
from stages.report import main as report
from stages.results import main as results

HEADS = ("trivial", "wordless", "overfitted", "fine")
EPOCHS = {
    "overfitted": ([1.0, 0.5, 0.2, 0.1, 0.05], [1.0, 0.6, 0.7, 0.8, 0.9]),
    "fine": ([1.0, 0.5, 0.2, 0.1, 0.05], [1.0, 0.6, 0.5, 0.4, 0.3]),
}
ROW = {"label": "kind", "task": "sequence_classification", "layers": [-1]}


def predicted(head: str, gold: str, number: int) -> str:
    """The n-th prediction: worse than the majority class, worse than words are, or right."""
    other = {"cold": "other", "other": "cold"}[gold]
    if head == "trivial":
        return other if number % 4 else gold
    if head == "wordless":
        return other if number % 8 == 0 else gold
    return gold


def invoke(command: Command, *words: str | Path) -> str:
    result = CliRunner().invoke(command, list(map(str, words)))
    assert result.exit_code == 0, result.output
    return result.output


def write_lines(path: Path, rows: Sequence[Any]) -> None:
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))


def write_model(folder: Path, head: str) -> None:
    """What train leaves of a head."""
    labels = read_labels(folder / "labels" / "mail", "kind")
    rows = [
        (row_id, split, gold)
        for row_id, split, gold in zip(labels.ids, labels.splits, labels.values, strict=True)
        if split != "train"
    ]
    said = [predicted(head, gold, number) for number, (_, _, gold) in enumerate(rows)]
    write_lines(
        folder / "models" / head / "predictions" / "seed_13.jsonl",
        [
            {"id": i, "split": split, "label": label, "probabilities": {label: 1.0}}
            for (i, split, _), label in zip(rows, said, strict=True)
        ],
    )
    train, dev = EPOCHS.get(head, ([1.0], [1.0]))
    described = {
        "settings": {
            **ROW,
            "corpus": "mail",
            "features": "mail",
            "combine": "concat",
            "training": {"seeds": [13], "metric": "accuracy"},
        },
        "label_type": "single_label",
        "layers": [3],
        "fold": None,
        "seed": 13,
        "best_epoch": 1,
        "parameters": 1,
        "losses": {"train": train, "dev": dev},
        "texts_sha256": labels.texts_sha256,
        "recipe": {},
        "torch": "0",
    }
    write_lines(folder / "models" / head / "head.json", [described])
    reports = folder / "reports" / "heads" / head
    epochs = list(zip(range(1, 9), train, dev, strict=False))
    write_text(reports / "history.csv", csv_text(["epoch", "train_loss", "dev_loss"], epochs))
    write_text(reports / "scores.csv", csv_text(["epoch", "dev_score"], [[1, 0.5]]))
    write_text(reports / "layers.csv", csv_text(["layer", "share"], [[3, 1.0]]))


@pytest.fixture(scope="module")
def folder(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose heads are done, up to and without the page."""
    where = tmp_path_factory.mktemp("verdicts")
    prepared(where, labelled(random_sentences(300)))
    extracted(where, tiny_encoder)
    for name in ("texts", "labels", "features"):
        (where / name).rename(where / f"{name} of mail")
        (where / name).mkdir()
        (where / f"{name} of mail").rename(where / name / "mail")
    params = {
        "corpora": {"mail": {}},
        "features": {"mail": {}},
        "heads": dict.fromkeys(HEADS, ROW),
        "report": {"texts": False},
    }
    write_lines(where / "params.yaml", [params])
    splits = {"train": 180, "dev": 60, "test": 60}
    write_lines(where / "reports/corpora/mail.json", [{"rows": 300, "splits": splits}])
    write_lines(where / "reports/features/mail.json", [{"layers": [2, 3]}])
    for head in HEADS:
        write_model(where, head)
    return where


@pytest.fixture(scope="module")
def last_lines(folder: Path) -> dict[str, str]:
    """The last line of evaluate, by head."""
    patch = pytest.MonkeyPatch()
    patch.setenv("FEATURE_STORE", str(folder / "store"))
    found = {}
    for head in HEADS:
        of_mail = [f"--{name}" for name in ("texts", "labels")]
        inputs = [word for name in of_mail for word in (name, folder / name[2:] / "mail")]
        rivals, reports = folder / "models/linear-probes" / head, folder / "reports/heads" / head
        features = ("--features", folder / "features/mail", "--params", folder / "params.yaml")
        invoke(probe, head, *inputs, *features, "--out", rivals)
        model = folder / "models" / head
        output = invoke(
            evaluate,
            head,
            *inputs,
            *("--head", model / "head.json", "--predictions", model / "predictions"),
            *("--rivals", rivals, "--metrics", reports / "metrics.json"),
            *("--confusion", reports / "confusion.csv"),
            *("--calibration", reports / "calibration.csv"),
            *("--mistakes", folder / "reports/mistakes" / f"{head}.jsonl"),
        )
        found[head] = output.splitlines()[-1].removeprefix(f"head {head}: ")
    patch.undo()
    return found


def test_a_head_that_the_majority_class_beats_is_told(last_lines: dict[str, str]) -> None:
    said = last_lines["trivial"]
    assert said.startswith("on dev majority class (0.")
    assert "TF-IDF and logistic regression (" in said
    assert " are as good as this head or better: accuracy 0." in said


def test_a_head_that_words_beat_is_told(last_lines: dict[str, str]) -> None:
    said = last_lines["wordless"]
    assert "TF-IDF and logistic regression (" in said
    assert "as good as this head or better: accuracy 0." in said
    assert "majority class" not in said


def test_a_head_that_overfits_is_told(last_lines: dict[str, str]) -> None:
    said = last_lines["overfitted"]
    assert "it overfits: after epoch 2 of 5 the loss on dev rose from 0.600 to 0.900" in said
    for head in set(HEADS) - {"overfitted"}:
        assert "overfits" not in last_lines[head]


def test_a_head_that_is_worth_its_training_is_told(last_lines: dict[str, str]) -> None:
    assert "majority class" not in last_lines["fine"]


def test_results_and_the_page_say_what_evaluate_said(
    folder: Path, last_lines: dict[str, str]
) -> None:
    table = invoke(results, "--reports", folder / "reports/heads").splitlines()
    assert "TF-IDF" in table[0]
    names = ("labels", "models", "reports", "studies")
    places = [word for name in names for word in (f"--{name}", folder / name)]
    out = folder / "index.html"
    texts = ("--texts", folder / "texts", "--params", folder / "params.yaml")
    invoke(report, *places, *texts, "--out", out)
    page = unescape(out.read_text(encoding="utf-8"))
    for head, said in last_lines.items():
        assert f"- `{head}`: {said}." in table
        assert f'<a href="#head-{head}">{head}</a>: {said}.' in page
    overfits = last_lines["overfitted"].partition("; it overfits")[2].partition(";")[0]
    assert f'<p class="warning">It overfits{overfits}' in page
