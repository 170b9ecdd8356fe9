"""A small project that is right: every kind of file that comes from outside, made by the stages."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from conftest import random_sentences, write_tiny_bert
from import_graph import ROOT
from pipelines import head_settings, labels_of
from ruamel.yaml import YAML
from tracked import track

from pipeline.core.files import md5_file

ARCHIVE = ROOT / "tests" / "features" / "archive" / "v1" / "features"
"""Features of which every byte is in the repository, so that cases fit them on any machine."""

DRAWN = {"split": {"train": 0.6, "dev": 0.2, "test": 0.2}, "seed": 1}
CONLLU = """\
# newdoc
# sent_id = a-1
# text = vámonos al mar
1-2\tvámonos\t_\t_\t_\t_\t_\t_\t_\t_
1\tvamos\tir\tVERB\tV\t_\t0\troot\t_\t_
2\tnos\tnosotros\tPRON\tP\t_\t1\tobj\t_\t_
3\tmar\tmar\tNOUN\tN\t_\t1\tobl\t_\t_
3.1\tnada\tnada\tNOUN\tN\t_\t_\t_\t_\t_

# sent_id = a-2
1\tNew York\tNew York\tPROPN\tN\t_\t0\troot\t_\t_

"""
CONLL = """\
-DOCSTART- -X- O

the DET O
wolf NOUN B-beast
runs VERB O

grey ADJ B-beast
fox NOUN I-beast

"""
HEADS = {
    "topic": ("sequence_classification", {}),
    "beasts": ("token_classification", {"crf": True}),
    "kinds": ("multilabel_classification", {}),
    "size": ("regression", {}),
}


def _corpora() -> dict[str, dict[str, Any]]:
    """Rows of corpora: each format with the settings that it has."""
    pair = {"id": "id", "text": "a", "text_b": "b", "labels": {"y": "class", "z": "classes"}}
    words = {"id": None, "words": "words"}
    table = {**pair, "separator": ";", "stratify": "y", **DRAWN}
    c = {
        "path": "data/raw/c.jsonl",
        "format": "jsonl",
        "id": "id",
        "words": "words",
        "labels": {"kind": "class", "kinds": "classes", "size": "number", "tags": "iob2"},
        "stratify": "kind",
        **DRAWN,
    }
    rows: dict[str, dict[str, Any]] = {
        "c": c,
        "jsonl": {**c, "path": "data/raw/few.jsonl", "labels": {**c["labels"], "pos": "tags"}},
        "jsonl_group": {
            "path": "data/raw/pairs.jsonl",
            "format": "jsonl",
            **pair,
            "id": None,
            "labels": {"n": "number"},
            "group": "id",
            "empty_text": "drop",
            **DRAWN,
        },
        "csv": {"path": "data/raw/pairs.csv", "format": "csv", **table},
        "csv_column": {
            "path": "data/raw/pairs.csv",
            "format": "csv",
            **pair,
            "separator": ";",
            "empty_text": "keep",
            "split": {"column": "part", "names": {"tr": "train", "te": "test"}, "dev": 0.2},
            "seed": 1,
        },
        "tsv": {
            "path": "data/raw/pairs.tsv",
            "format": "tsv",
            **table,
            "columns": ["id", "a", "b", "y", "z", "_", "_"],
        },
        "conll": {
            "path": "data/raw/few.conll",
            "format": "conll",
            "columns": ["words", "pos", "tags"],
            **words,
            "labels": {"pos": "tags", "tags": "iob2"},
            "skip_lines": ["-DOCSTART-"],
            **DRAWN,
        },
        "conll_repair": {
            "path": "data/raw/few.conll",
            "format": "conll",
            "columns": ["words", "_", "tags"],
            **words,
            "labels": {"tags": "bioes"},
            "broken_tags": "repair",
            "encoding": "latin-1",
            "split": {"folds": 3},
            "seed": 1,
        },
        "conllu": {
            "path": "data/raw/few.conllu",
            "format": "conllu",
            "id": "sent_id",
            "words": "form",
            "labels": {"upos": "tags", "xpos": "tags"},
            **DRAWN,
        },
        "lines": {
            "path": "data/raw/lines",
            "format": "lines",
            "id": None,
            "text": "text",
            "labels": {"y": "class", "z": "classes"},
            "separator": ";",
            **DRAWN,
        },
        "lines_files": {
            "path": "data/raw/splits",
            "format": "lines",
            "id": None,
            "words": "text",
            "labels": {"y": "tags"},
            "split": {"files": {"train": "train", "test": "test"}, "dev": 0.3},
            "seed": 1,
        },
        "folder": {
            "path": "data/raw/classes",
            "format": "folder",
            "id": None,
            "text": "text",
            "labels": {"y": "class"},
            "stratify": "y",
            **DRAWN,
        },
        "parquet": {"path": "data/raw/pairs.parquet", "format": "parquet", **pair, **DRAWN},
    }
    if not has_parquet():
        del rows["parquet"]
    return rows


def has_parquet() -> bool:
    """Whether the library for Parquet is there; it is an extra."""
    from importlib.util import find_spec

    return find_spec("pyarrow") is not None


def build(folder: Path, *, fast: bool = False) -> Path:
    """Makes the project; a few seconds.

    Args:
        folder: to be made.
        fast: without the sweep.
    """
    folder.mkdir(parents=True)
    _write_raw(folder / "data" / "raw")
    write_tiny_bert(
        folder / "source",
        hidden_size=16,
        intermediate_size=32,
        num_attention_heads=2,
        num_hidden_layers=2,
    )
    _write_params(folder / "params.yaml")
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config").touch()
    with inside(folder):
        _stage("encoder", "tiny", "--out", "data/encoders/tiny")
        _stage("prepare", "c", *PREPARED)
        _stage("extract", "f", *EXTRACTED)
        for head in HEADS:
            _stage("train", head, *trained(head))
            _stage("probe", head, *probed(head))
            _stage("evaluate", head, *evaluated(head))
        if not fast:
            _stage("sweep", "search")
            shutil.rmtree("studies/search/lock", ignore_errors=True)
        (Path("studies") / "topic_layers").mkdir(parents=True)
        for name in ("layers.csv", "labels.csv"):
            _write_study_table(Path("studies") / "topic_layers" / name)
        Path("in.txt").write_text("the snow is cold\n\na wolf , and a fox .\n", encoding="utf-8")
        rows = [{"text": "snow"}, {"words": ["a", "fox"]}, {"id": "p", "text": "a wolf"}]
        Path("in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    archive = folder / "data" / "features" / "archive"
    shutil.copytree(ARCHIVE, archive)
    track(folder, folder / "data" / "features" / "f", linked=False)
    committed(folder)
    return folder


PREPARED = (
    *("--texts", "data/text/c", "--labels", "data/labels/c", "--report", "reports/corpora/c.json"),
)
EXTRACTED = (
    *("--texts", "data/text/c", "--encoder", "data/encoders/tiny"),
    *("--out", "data/features/f", "--report", "reports/features/f.json"),
)


def trained(head: str, out: str = "") -> tuple[str, ...]:
    """Arguments of ``train``."""
    tables = f"{out}reports/heads/{head}"
    return (
        *("--labels", "data/labels/c", "--features", "data/features/f"),
        *("--out", f"{out}models/{head}", "--history", f"{tables}/history.csv"),
        *("--scores", f"{tables}/scores.csv", "--layers", f"{tables}/layers.csv"),
    )


def probed(head: str, out: str = "") -> tuple[str, ...]:
    """Arguments of ``probe``."""
    return (
        *("--texts", "data/text/c"),
        *("--labels", "data/labels/c", "--features", "data/features/f"),
        *("--out", f"{out}models/linear-probes/{head}"),
    )


def evaluated(head: str, out: str = "") -> tuple[str, ...]:
    """Arguments of ``evaluate``."""
    tables = f"{out}reports/heads/{head}"
    return (
        *("--texts", "data/text/c", "--labels", "data/labels/c"),
        *("--head", f"models/{head}/head.json", "--predictions", f"models/{head}/predictions"),
        *("--rivals", f"models/linear-probes/{head}"),
        *("--metrics", f"{tables}/metrics.json", "--confusion", f"{tables}/confusion.csv"),
        *("--calibration", f"{tables}/calibration.csv"),
        *("--mistakes", f"{out}reports/mistakes/{head}.jsonl"),
    )


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """The current folder, for a while, of a project with a store of its own."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def committed(folder: Path) -> None:
    """Makes a git repository of a project, with what DVC would have in it."""
    digest = md5_file(folder / "data" / "raw" / "c.jsonl")
    pointer = {"outs": [{"md5": digest, "size": 1, "path": "c.jsonl"}]}
    with (folder / "data" / "raw" / "c.jsonl.dvc").open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump(pointer, file)
    git(folder, "init", "--quiet")
    git(folder, "add", "dvc.lock", "params.yaml", "data/raw/c.jsonl.dvc")
    git(folder, "commit", "--quiet", "--message", "All of it")


def git(folder: Path, *arguments: str) -> None:
    """Runs git as nobody."""
    nobody = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.org")
    subprocess.run(["git", *nobody, *arguments], cwd=folder, check=True, capture_output=True)


def _stage(name: str, *arguments: str) -> None:
    from importlib import import_module

    result = CliRunner().invoke(import_module(f"stages.{name}").main, list(arguments))
    if result.exit_code != 0:
        raise AssertionError(f"{name} {arguments}: {result.output}") from result.exception


def _write_raw(folder: Path) -> None:
    folder.mkdir(parents=True)
    sentences = random_sentences(48, longest=12)
    rows = [
        {"id": f"s{number}", "words": words, **labels_of(words)}
        for number, words in enumerate(sentences)
    ]
    _write_lines(folder / "c.jsonl", rows)
    _write_lines(folder / "few.jsonl", rows[:8])
    pairs = [
        {
            "id": f"p{number}",
            "a": f"ice {number}",
            "b": "snow, and rain",
            "y": "ab"[number % 2],
            "z": ["u", "v"][: number % 3],
            "n": number / 2,
            "part": "te" if number % 4 == 0 else "tr",
        }
        for number in range(9)
    ]
    _write_lines(folder / "pairs.jsonl", pairs)
    for suffix, between in (("csv", ","), ("tsv", "\t")):
        cells = [[*pairs[0]]] if suffix == "csv" else []
        for row in pairs:
            values = [";".join(v) if isinstance(v, list) else str(v) for v in row.values()]
            cells.append([f'"{v}"' if between in v else v for v in values])
        text = "".join(between.join(line) + "\n" for line in cells)
        (folder / f"pairs.{suffix}").write_text(text, encoding="utf-8")
    (folder / "few.conll").write_text(
        "".join(
            CONLL.replace("the", f"the{number}").replace("grey", f"grey{number}")
            for number in range(5)
        ),
        encoding="utf-8",
    )
    conllu = "".join(
        CONLLU.replace("a-", f"{name}-").replace("mar", f"mar{name}").replace("York", f"York{name}")
        for name in "abcdef"
    )
    (folder / "few.conllu").write_text(conllu, encoding="utf-8")
    for name, lines in (("lines", 12), ("splits/train", 12), ("splits/test", 3)):
        (folder / name).mkdir(parents=True)
        (folder / name / "text").write_text(
            "".join(f"a wolf{n}\n" for n in range(lines)), encoding="utf-8"
        )
        (folder / name / "y").write_text(
            "".join(f"O {'NV'[n % 2]}\n" for n in range(lines)), encoding="utf-8"
        )
        (folder / name / "z").write_text(
            "".join(f"u{';v' * (n % 2)}\n" for n in range(lines)), encoding="utf-8"
        )
    for name in ("cold", "warm"):
        (folder / "classes" / name).mkdir(parents=True)
        for number in range(4):
            text = f"{name} {number}\nand more\n"
            (folder / "classes" / name / f"{number}.txt").write_text(text, encoding="utf-8")
    if has_parquet():
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_pylist([{**row, "z": row["z"] or ["u"]} for row in pairs])
        pq.write_table(table, folder / "pairs.parquet")


def _write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text("".join(lines), encoding="utf-8")


def _write_params(path: Path) -> None:
    heads = {}
    for name, (task, changes) in HEADS.items():
        settings = head_settings(
            task,
            **changes,
            recurrent={"hidden_size": 4},
            training={"epochs": 1, "patience": 1, "seeds": (5,)},
        )
        heads[name] = settings.model_dump(mode="json", exclude_none=True)
    sweep = {
        "head": "topic",
        "trials": 2,
        "seed": 7,
        "sampler": "tpe",
        "pruner": {"kind": "median", "startup_trials": 2, "warmup_epochs": 1},
        "space": {
            "layers": {"subsets": [2, 1]},
            "recurrent.hidden_size": {"choices": [2, 4]},
            "training.learning_rate": {"low": 0.001, "high": 0.05, "log": True},
            "training.epochs": {"choices": [1]},
        },
    }
    content = {
        "encoders": {"tiny": {"source": "./source", "revision": None}},
        "corpora": _corpora(),
        "features": {
            "f": {
                "corpus": "c",
                "encoder": "tiny",
                "layers": [2, -2],
                "max_length": 24,
                "long_texts": "truncate",
                "storage_dtype": "float16",
                "shard_tokens": 512,
            }
        },
        "heads": heads,
        "sweeps": {"search": sweep},
        "report": {"texts": True},
    }
    with path.open("w", encoding="utf-8") as file:
        YAML(typ="rt").dump(content, file)
    # The report wants the files of all corpora that it is told of: here those of one are made.
    with path.with_name("report.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="rt").dump({**content, "corpora": {"c": content["corpora"]["c"]}}, file)


def _write_study_table(path: Path) -> None:
    if path.name == "layers.csv":
        text = "selection,split,kind,score\nlayer 1,dev,head,0.5\nlayer 2,dev,head,0.75\n"
    else:
        text = "selection,label,score\nlayer 1,cold,0.5\n"
    path.write_text(text, encoding="utf-8")
