"""`icehouse layers --quick`: a table from a raw corpus and an encoder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from conftest import random_sentences, write_tiny_bert
from pipelines import labels_of

from stages.layers import main

PARAMS = {
    "encoders": {"tiny": {"source": "./bert", "revision": None}},
    "corpora": {
        "c": {
            "path": "raw.jsonl",
            "format": "jsonl",
            "id": None,
            "words": "words",
            "labels": {"kind": "class", "tags": "iob2"},
            "split": {"train": 0.6, "dev": 0.2, "test": 0.2},
            "stratify": "kind",
            "seed": 1,
        }
    },
}
LAYERS = ["layer 0", "layer 1", "layer 2", "layer 3", "layers 1, 2, 3"]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny BERT, with positions enough for the lengths that `init` writes."""
    return write_tiny_bert(tmp_path_factory.mktemp("bert"), max_position_embeddings=160)


@pytest.fixture
def project(bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(bert, tmp_path / "bert")
    with (tmp_path / "raw.jsonl").open("w", encoding="utf-8") as file:
        for words in random_sentences(120):
            labels = labels_of(words)
            file.write(
                json.dumps({"words": words, "kind": labels["kind"], "tags": labels["tags"]}) + "\n"
            )
    write(tmp_path, PARAMS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEATURE_STORE", str(tmp_path / ".features"))
    return tmp_path


def write(folder: Path, content: object) -> None:
    (folder / "params.yaml").write_text(json.dumps(content), encoding="utf-8")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


def test_every_label_has_a_table_and_nothing_is_written_but_the_store(
    project: Path, encoded: list[int]
) -> None:
    result = run("--quick", "c", "tiny")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("c, tiny: 72 of 72 training rows, ")
    starts = [number for number, line in enumerate(lines) if " on dev, linear probes" in line]
    assert [lines[start].split()[:2] for start in starts] == [
        ["kind:", "macro_f1"],
        ["tags:", "entity_f1"],
    ]
    for start, end in zip(starts, [*starts[1:], None], strict=True):
        *table, last = lines[start + 1 : end]
        for line, name in zip(table[:5], LAYERS, strict=True):
            assert line.startswith(f"{name} ")
        assert {len(line) for line in table} == {len(table[0])}
        assert all(0 <= float(line.split()[-1]) <= 1 for line in table), "no bars in a pipe"
        assert last.startswith("best: layer")
    assert "rows (" in result.stderr
    assert {path.name for path in project.iterdir()} == {
        "bert",
        "raw.jsonl",
        "params.yaml",
        ".features",
        "data",
    }
    assert (project / "data" / "encoders" / "tiny" / "encoder.json").is_file()
    assert [path.name for path in (project / "data").iterdir()] == ["encoders"]
    encoded.clear()
    assert run("--quick", "c").stdout == result.stdout, "the first encoder is the default"
    assert encoded == []


def test_one_label_may_be_asked_for(project: Path) -> None:
    result = run("c", "tiny", "--quick", "--label", "tags", "--quiet")
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) == 1
    assert result.stdout.startswith("best: layer")


def test_texts_are_read_as_a_features_row_reads_them(project: Path) -> None:
    row = {
        "corpus": "c",
        "encoder": "tiny",
        "layers": [-1],
        "max_length": 6,
        "long_texts": "error",
        "storage_dtype": "float16",
        "shard_tokens": 256,
    }
    other = row | {"encoder": "big", "max_length": 9}
    write(project, PARAMS | {"features": {"other": other, "f": row}})
    result = run("--quick", "c", "tiny")
    assert result.exit_code == 2
    assert "max_length is 6" in result.stderr.splitlines()[-1]


def test_a_label_that_the_sample_does_not_tell_is_left_out(project: Path) -> None:
    rows = [json.loads(line) for line in (project / "raw.jsonl").read_text("utf-8").splitlines()]
    corpus = PARAMS["corpora"]["c"] | {
        "split": {"column": "split"},
        "stratify": None,
        "seed": None,
    }
    with (project / "raw.jsonl").open("w", encoding="utf-8") as file:
        for number, row in enumerate(rows):
            split = ("train", "dev", "test")[number % 3]
            kind = "a" if split == "train" else "b"
            file.write(json.dumps({**row, "kind": kind, "split": split}) + "\n")
    write(project, PARAMS | {"corpora": {"c": corpus}})
    result = run("--quick", "c")
    assert result.exit_code == 0, result.output
    assert "left out: kind, in a sample of the corpus: training has one label only" in result.stderr
    assert "kind: " not in result.stdout
    alone = run("--quick", "c", "--label", "kind")
    assert alone.exit_code == 2
    assert alone.stderr.splitlines()[-1].startswith("error: kind, in a sample of the corpus")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--quick", "d"), "error: params.yaml:1: corpora: has no row 'd'"),
        (("--quick", "c", "big"), "error: params.yaml:1: encoders: has no row 'big'"),
        (("--quick", "c", "--label", "x"), "corpora.c.labels: has no 'x'; it has: kind, tags"),
        (("--quick", "c", "--seeds", "1"), "Error: --seeds does not go with --quick"),
        (("--quick", "c", "--floor"), "Error: --random-init does not go with --quick"),
        (("--quick", "c", "--control", "words"), "Error: --control does not go with --quick"),
        (("head", "tiny"), "Error: ENCODER goes with --quick"),
        (("head", "--label", "tags"), "Error: --label goes with --quick"),
    ],
)
def test_what_cannot_be_looked_at_is_one_line(
    project: Path, arguments: tuple[str, ...], message: str
) -> None:
    before = set(project.iterdir())
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr.splitlines()[-1]
    assert set(project.iterdir()) == before


def test_problems_of_the_corpus_are_said(project: Path) -> None:
    with (project / "raw.jsonl").open("a", encoding="utf-8") as file:
        file.write("{}\n")
    result = run("--quick", "c")
    assert result.exit_code == 2
    assert "raw.jsonl:121: " in result.stderr
    assert result.stderr.splitlines()[-1].endswith("above; nothing was written")
