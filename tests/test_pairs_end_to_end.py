"""A corpus of pairs through DVC, apart and together, beside a corpus of single texts."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import random_sentences
from dvc_project import Project, computed, copy_code, ran
from import_graph import ROOT

pytestmark = pytest.mark.slow

TRAINING = {"epochs": 2, "batch_size": 8, "learning_rate": 0.01}
READ = {
    "encoder": "tiny",
    "layers": [-1],
    "max_length": 48,
    "long_texts": "truncate",
    "storage_dtype": "float16",
    "shard_tokens": 512,
}


def head(features: str, label: str, task: str) -> dict[str, Any]:
    return {
        "corpus": "pairs",
        "features": features,
        "label": label,
        "task": task,
        "layers": [-1],
        "pooling": "mean",
        "recurrent": {"hidden_size": 16},
        "training": TRAINING,
    }


def params(tiny_bert: Path) -> dict[str, Any]:
    pairs = {"path": "data/raw/pairs.jsonl", "format": "jsonl", "id": "id", "text": "a"}
    drawn = {"split": {"train": 0.6, "dev": 0.2, "test": 0.2}, "seed": 1}
    return {
        "encoders": {"tiny": {"source": str(tiny_bert), "revision": None}},
        "corpora": {
            "pairs": {**pairs, "text_b": "b", "labels": {"k": "class", "n": "number"}, **drawn},
            "singles": {
                **pairs,
                "path": "data/raw/singles.jsonl",
                "labels": {"k": "class"},
                **drawn,
            },
        },
        "features": {
            "apart": {"corpus": "pairs", **READ, "pairs": "apart"},
            "together": {"corpus": "pairs", **READ},
            "singles": {"corpus": "singles", **READ},
        },
        "heads": {
            "apart_k": head("apart", "k", "sequence_classification"),
            "apart_n": head("apart", "n", "regression"),
            "together_k": head("together", "k", "sequence_classification"),
            "together_n": head("together", "n", "regression"),
        },
        "report": {"texts": True},
    }


@pytest.fixture(scope="module")
def sentences() -> list[str]:
    return list(dict.fromkeys(" ".join(words) for words in random_sentences(40)))


@pytest.fixture(scope="module")
def project(
    tiny_bert: Path, sentences: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Project:
    folder = tmp_path_factory.mktemp("pairs")
    made = copy_code(folder)
    shutil.copytree(ROOT / "studies", folder / "studies")
    raw = folder / "data" / "raw"
    raw.mkdir(parents=True)
    draw = random.Random(1)  # noqa: S311
    with (raw / "pairs.jsonl").open("w", encoding="utf-8") as file:
        for number in range(100):
            a, b = draw.choice(sentences), draw.choice(sentences)
            row = {"id": f"p{number}", "a": a, "b": b, "n": len(a) - len(b)}
            file.write(json.dumps({**row, "k": "longer" if len(a) > len(b) else "other"}) + "\n")
    with (raw / "singles.jsonl").open("w", encoding="utf-8") as file:
        for number, text in enumerate(sentences):
            file.write(json.dumps({"id": f"s{number}", "a": text, "k": f"k{number % 2}"}) + "\n")
    made.write_params(params(tiny_bert))
    return made


def test_pairs_go_through_all_stages_and_back(project: Project, sentences: list[str]) -> None:
    output = project.dvc("repro")
    assert len(ran(output)) == 1 + 2 + 3 + 4 * 3 + 1
    raw = project.folder / "data" / "raw" / "pairs.jsonl"
    rows = [json.loads(line) for line in raw.read_text(encoding="utf-8").splitlines()]
    texts = {text for row in rows for text in (row["a"], row["b"])}
    pairs = {(row["a"], row["b"]) for row in rows}
    # Whichever of the two comes first computes what they share, and the other one the rest.
    assert max(computed(output)) == len(pairs)
    assert sum(computed(output)) == len(pairs) + len(sentences)
    assert texts <= set(sentences)
    report = json.loads((project.folder / "reports/features/apart.json").read_text())
    assert (report["examples"], report["texts"], report["rows"]) == (100, 200, len(texts))

    for name in ("apart_k", "apart_n", "together_k", "together_n"):
        project.run(
            *("python", "-m", "stages.predict", name, "data/text/pairs/texts.jsonl"),
            *("--out", f"{name}.jsonl"),
        )
        said = (project.folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        answers = {row["id"]: row for row in map(json.loads, said)}
        path = project.folder / "models" / name / "predictions" / "seed_13.jsonl"
        kept = [json.loads(line) for line in path.read_text().splitlines()]
        assert len(kept) > 30
        for row in kept:
            assert {**answers[row["id"]], "split": row["split"]} == row
        metrics = json.loads((project.folder / f"reports/heads/{name}/metrics.json").read_text())
        assert metrics["test"]["probe"]["name"] == "linear probe"

    assert "intact: " in project.run("python", "-m", "stages.store", "verify", "--recompute", "9")
    page = (project.folder / "reports" / "index.html").read_text(encoding="utf-8")
    assert "apart_k" in page
    assert project.repro() == []


def test_reading_pairs_otherwise_reruns_what_reads_them_alone(project: Project) -> None:
    changed = project.params()
    changed["features"]["together"]["pairs"] = "apart"
    project.write_params(changed)
    output = project.dvc("repro")
    assert computed(output) == [0], "all rows are there already"
    stages = {name for name in ran(output) if name != "report"}
    assert stages == {"extract@together"} | {
        f"{stage}@together_{label}" for stage in ("train", "probe", "evaluate") for label in "kn"
    }
    one, other = (
        project.folder / "models" / f"{name}_k" / "head.safetensors"
        for name in ("apart", "together")
    )
    assert one.read_bytes() == other.read_bytes(), "the same rows, read by the same head"


def test_pairs_of_a_corpus_of_single_texts_are_told(project: Project) -> None:
    changed = project.params()
    changed["features"]["singles"]["pairs"] = "apart"
    project.write_params(changed)
    for command in (
        ("stages.check",),
        (
            *("stages.extract", "singles", "--texts", "data/text/singles"),
            *(
                "--encoder",
                "data/encoders/tiny",
                "--out",
                "again/singles",
                "--report",
                "again/r.json",
            ),
        ),
    ):
        result = project.try_("python", "-m", *command)
        assert result.returncode == 2
        (line,) = (one for one in result.stderr.splitlines() if one.startswith("error: "))
        assert "pairs" in line
    assert not (project.folder / "again" / "singles").exists()
