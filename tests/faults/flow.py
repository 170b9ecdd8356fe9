"""The whole flow on a small corpus, a command per stage: what faults are done to."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conftest import random_sentences
from dvc_project import Project, copy_code
from interrupted import Running, begin
from pipelines import head_settings, labels_of
from tracked import digests

from pipeline.corpus.texts import Label

ROWS = 80
SHARD_TOKENS = 256


@dataclass(frozen=True)
class Stage:
    """A command of the flow.

    Attributes:
        command: the module's name and its arguments.
        outputs: files and folders that it writes, each of them whole or not at all.
    """

    command: tuple[str, ...]
    outputs: tuple[str, ...]

    def begin(self, folder: Path, **options: Any) -> Running:
        """Starts it in a flow's folder; see ``interrupted.begin``."""
        return begin(folder, *self.command, **options)

    def written(self, folder: Path) -> dict[str, dict[str, str]]:
        """Digests of the files of each output that is there, by its path; no temporary ones."""
        found = {
            name: digest
            for name, digest in digests(folder).items()
            if not any(part.endswith(".tmp") for part in Path(name).parts)
        }
        parts = {
            output: {
                name: digest
                for name, digest in found.items()
                if name == output or name.startswith(f"{output}/")
            }
            for output in self.outputs
        }
        return {output: files for output, files in parts.items() if files}

    def remove_outputs(self, folder: Path) -> None:
        """Removes them, as DVC does before it runs a stage."""
        for output in self.outputs:
            path = folder / output
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


_DATA = ("--labels", "data/labels/small", "--features", "data/features/small")
STAGES = {
    "prepare": Stage(
        (
            *("prepare", "small", "--texts", "data/text/small", "--labels", "data/labels/small"),
            *("--report", "reports/corpora/small.json"),
        ),
        ("data/text/small", "data/labels/small", "reports/corpora/small.json"),
    ),
    "encoder": Stage(
        ("encoder", "tiny", "--out", "data/encoders/tiny"),
        ("data/encoders/tiny",),
    ),
    "extract": Stage(
        (
            *("extract", "small", "--texts", "data/text/small", "--encoder", "data/encoders/tiny"),
            *("--out", "data/features/small", "--report", "reports/features/small.json"),
        ),
        ("data/features/small", "reports/features/small.json"),
    ),
    "train": Stage(
        (
            *("train", "beasts", *_DATA, "--out", "models/beasts"),
            *("--history", "reports/heads/beasts/history.csv"),
            *("--scores", "reports/heads/beasts/scores.csv"),
            *("--layers", "reports/heads/beasts/layers.csv"),
        ),
        (
            "models/beasts",
            "reports/heads/beasts/history.csv",
            "reports/heads/beasts/scores.csv",
            "reports/heads/beasts/layers.csv",
        ),
    ),
    "probe": Stage(
        (
            *("probe", "beasts", "--texts", "data/text/small", *_DATA),
            *("--out", "models/linear-probes/beasts"),
        ),
        ("models/linear-probes/beasts",),
    ),
    "evaluate": Stage(
        (
            *("evaluate", "beasts", "--texts", "data/text/small", "--labels", "data/labels/small"),
            *("--head", "models/beasts/head.json", "--predictions", "models/beasts/predictions"),
            *("--rivals", "models/linear-probes/beasts"),
            *("--metrics", "reports/heads/beasts/metrics.json"),
            *("--confusion", "reports/heads/beasts/confusion.csv"),
            *("--calibration", "reports/heads/beasts/calibration.csv"),
            *("--mistakes", "reports/mistakes/beasts.jsonl"),
        ),
        (
            "reports/heads/beasts/metrics.json",
            "reports/heads/beasts/confusion.csv",
            "reports/heads/beasts/calibration.csv",
            "reports/mistakes/beasts.jsonl",
        ),
    ),
    "predict": Stage(
        (
            *("predict", "beasts", "data/raw/small.jsonl", "--out", "answers.jsonl"),
            *("--encoder", "data/encoders/tiny"),
        ),
        ("answers.jsonl",),
    ),
    "sweep": Stage(
        ("sweep", "search"),
        ("studies/search/study.json", "studies/search/trials.csv"),
    ),
    "layers": Stage(("layers", "beasts"), ("studies/beasts_layers",)),
    "report": Stage(
        (
            *("report", "--texts", "data/text", "--labels", "data/labels", "--models", "models"),
            *("--reports", "reports", "--studies", "studies", "--out", "reports/index.html"),
        ),
        ("reports/index.html",),
    ),
}
"""In an order in which they can run."""

_HEAD = head_settings(
    "token_classification", training={"epochs": 2, "seeds": (5, 6), "metric": "word_accuracy"}
).model_dump(mode="json", exclude={"pooling"}) | {"corpus": "small", "features": "small"}

PARAMS: dict[str, Any] = {
    "encoders": {"tiny": {"source": None, "revision": None}},
    "corpora": {
        "small": {
            "path": "data/raw/small.jsonl",
            "format": "jsonl",
            "id": "id",
            "words": "words",
            "labels": {"kind": "class", "tags": "iob2"},
            "split": {"train": 0.6, "dev": 0.2, "test": 0.2},
            "stratify": None,
            "seed": 1,
        }
    },
    "features": {
        "small": {
            "corpus": "small",
            "encoder": "tiny",
            "layers": [2, -1],
            "max_length": 48,
            "long_texts": "truncate",
            "storage_dtype": "float32",
            "shard_tokens": SHARD_TOKENS,
        }
    },
    "heads": {"beasts": _HEAD},
    "report": {"texts": True},
    "sweeps": {
        "search": {
            "head": "beasts",
            "trials": 2,
            "seed": 7,
            "sampler": "random",
            "pruner": None,
            "space": {"recurrent.hidden_size": {"choices": [8, 16]}},
        }
    },
}


def make_flow(folder: Path, bert: Path, *, rows: int = ROWS) -> Path:
    """Writes the raw corpus and the parameters; nothing has run yet.

    Args:
        folder: of the flow; the tiny encoder's source is copied into it.
        bert: a folder as ``save_pretrained`` writes it.
    """
    (folder / "data" / "raw").mkdir(parents=True)
    (folder / "studies").mkdir()
    (folder / ".dvc").mkdir()
    shutil.copytree(bert, folder / "bert")
    with (folder / "data" / "raw" / "small.jsonl").open("w", encoding="utf-8") as file:
        for number, words in enumerate(random_sentences(rows)):
            labels = labels_of(words)
            row = {"id": f"s{number}", "words": words, **_only(labels, "kind", "tags")}
            file.write(json.dumps(row) + "\n")
    write_params(folder, {"encoders": {"tiny": {"source": "./bert", "revision": None}}})
    return folder


def write_params(folder: Path, changes: Mapping[str, Any] | None = None) -> None:
    """Writes the parameters, some tables changed."""
    content = json.dumps(PARAMS | dict(changes or {}))
    (folder / "params.yaml").write_text(content, encoding="utf-8")


def make_whole_flow(folder: Path, bert: Path) -> Path:
    """As ``make_flow``, with all that the stages write."""
    make_flow(folder, bert)
    for stage in STAGES.values():
        stage.begin(folder).end().well()
    return folder


def make_dvc_flow(folder: Path, bert: Path) -> Project:
    """As ``make_flow``, for DVC: with the code and ``dvc.yaml``, in git."""
    make_flow(folder, bert)
    (folder / ".dvc").rmdir()
    return copy_code(folder)


def _only(labels: Mapping[str, Label], *names: str) -> dict[str, Label]:
    return {name: labels[name] for name in names}
