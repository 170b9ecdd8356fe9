"""What the stages before the report write, for two small corpora and a head of each kind of label.

Texts try to break out of the page, and hold what JavaScript would count wrongly.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any

from pipeline.core.files import md5_file
from pipeline.corpus.folds import Run
from pipeline.corpus.storage import Labels, read_labels, read_texts
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.predictions import by_id
from pipeline.evaluation.rivals import Rival
from pipeline.report.artefacts import Inputs, Places, read_inputs
from pipeline.tasks.registry import default_label_type

SCRIPT = "<script>document.title = 'broken'</script>"
HOSTILE = (
    f"{SCRIPT}</script><img src=x onerror=\"document.title='broken'\"> & \u2028 \U0001f9ca ice"
)
ARABIC = "الجليد في الشمال"
ROWS = 60
SPLITS = ["train", "dev", "test"]
WORDS = [
    ("\U0001f9ca\U0001f9ca", SCRIPT, "New", "York", "</script>"),
    ("الجليد", "في", "Oslo", "today"),
    ("no", "names", "here"),
]
BIO = [
    ("O", "O", "B-place", "I-place", "O"),
    ("O", "O", "B-place", "O"),
    ("O", "O", "O"),
]
SAID = [
    ("O", "B-<b>thing", "B-place", "I-place", None),
    ("O", "O", "O", "B-person"),
    ("O", "O", "O"),
]
KINDS = {"topic": "class", "flags": "classes", "stars": "number", "names": "bio", "pos": "tags"}
CORPUS = {"topic": "mail", "flags": "mail", "stars": "mail", "names": "chat", "pos": "chat"}


def gold(head: str, row: int) -> Any:
    return {
        "topic": ["ice", "<b>fire"][row % 2],
        "flags": [[], ["cold"], ["cold", "wet"]][row % 3],
        "stars": float(row % 7),
        "names": list(BIO[row % 3]),
        "pos": [tag[-1] for tag in BIO[row % 3]],
    }[head]


def said(head: str, row: int) -> dict[str, Any]:
    """Wrong in a few rows of dev and test, as sure as the row is late."""
    sure = round(min(0.5 + row / 200, 1.0), 6)
    wrong = row % 8 == 0
    if head == "topic":
        label = gold(head, row + wrong)
        other = gold(head, row + wrong + 1)
        return {"label": label, "probabilities": {label: sure, other: round(1 - sure, 6)}}
    if head == "flags":
        return {
            "labels": gold(head, row + wrong),
            "probabilities": {"cold": sure, "wet": 1 - sure},
        }
    if head == "stars":
        return {"value": row % 7 + (row % 4) / 4}
    tags = list(SAID[row % 3]) if head == "names" else gold(head, row)
    return {"tags": tags, "probabilities": [None if tag is None else sure for tag in tags]}


def write_all(folder: Path, heads: Iterable[str] = tuple(KINDS), *, rows: int = ROWS) -> Places:
    """Writes the files of these heads and of their corpora below a folder."""
    places = Places(*(folder / name for name in ("text", "labels", "models", "reports", "studies")))
    names = list(heads)
    for corpus in dict.fromkeys(CORPUS[head] for head in names):
        _write_corpus(places, corpus, rows)
    for head in names:
        _write_head(places, head, rows)
    (places.studies / "widths").mkdir(parents=True)
    _write_csv(
        places.studies / "widths" / "trials.csv",
        ["trial", "state", "score", "recurrent.hidden_size"],
        [[0, "complete", 0.4, 64], [1, "pruned", 0.5, 128], [2, "failed", "", 256]],
    )
    _write_csv(
        places.studies / "widths" / "layers.csv",
        ["reading", "layers", "head_score", "head_low", "head_high", "head_floor", "probe_score"],
        [["layer 0", "0", 0.3, 0.2, 0.4, 0.1, 0.2], ["mix", "0 1", 0.6, 0.5, 0.7, "", ""]],
    )
    return places


def read_all(places: Places, *, heads: Iterable[str] = tuple(KINDS), texts: bool = True) -> Inputs:
    names = list(heads)
    corpora = {CORPUS[head] for head in names}
    return read_inputs(places, corpora=corpora, features=corpora, heads=names, texts=texts)


def _split(row: int) -> str:
    return SPLITS[row // 4 % 3]


def _write_corpus(places: Places, corpus: str, rows: int) -> None:
    columns = [head for head in KINDS if CORPUS[head] == corpus]
    texts = [
        {"id": f"r{row}", "words": WORDS[row % 3]}
        if corpus == "chat"
        else {"id": f"r{row}", "text": f"{[HOSTILE, ARABIC][row % 2]} {row}"}
        for row in range(rows)
    ]
    labels = [
        {
            "id": f"r{row}",
            "split": _split(row),
            "labels": {name: gold(name, row) for name in columns},
        }
        for row in range(rows)
    ]
    kinds = {name: KINDS[name] for name in columns}
    _write_lines(places.texts / corpus / "texts.jsonl", texts)
    _write_lines(places.labels / corpus / "labels.jsonl", labels)
    _write_json(places.labels / corpus / "labels.json", {"texts_sha256": "ab12", "kinds": kinds})
    count = {name: sum(_split(row) == name for row in range(rows)) for name in SPLITS}
    _write_json(
        places.reports / "corpora" / f"{corpus}.json",
        {
            "rows": rows,
            "splits": count,
            "repeated_inputs": {"inputs": 3},
            "labels": {
                "topic": {name: {"ice": 1, "<b>fire": number} for name, number in count.items()},
                "stars": {name: {"count": number, "mean": 2.5} for name, number in count.items()},
            },
            "warnings": ["label 'topic': <i>odd</i>"],
        },
    )
    _write_json(places.reports / "features" / f"{corpus}.json", {"layers": [4, 6], "tokens": 12345})


def _write_head(places: Places, head: str, rows: int) -> None:
    corpus = CORPUS[head]
    labels = read_labels(places.labels / corpus, head)
    predictions = [
        {"id": f"r{row}", "split": _split(row), **said(head, row)}
        for row in range(rows)
        if _split(row) != "train"
    ]
    model, reports = places.models / head, places.reports / "heads" / head
    for seed in (13, 14):
        _write_lines(model / "predictions" / f"seed_{seed}.jsonl", predictions)
    _write_json(model / "head.json", _description(head))
    _write_evaluation(
        places, head, labels, by_id(predictions, labels, default_label_type(labels.kind))
    )
    epochs = [[1, 0.5, 0.6], [2, 0.25, 0.4]]
    _write_csv(reports / "history.csv", ["epoch", "train_loss", "dev_loss"], epochs)
    _write_csv(reports / "scores.csv", ["epoch", "dev_score"], [[1, 0.3], [2, 0.5]])
    _write_csv(reports / "layers.csv", ["layer", "share"], [[4, 0.75], [6, 0.25]])


def _write_evaluation(
    places: Places, head: str, labels: Labels, predictions: Mapping[str, Any]
) -> None:
    texts = [text for _, text in read_texts(places.texts / CORPUS[head])]
    runs = {Run(None, seed): dict(predictions) for seed in (13, 14)}
    label_type = default_label_type(labels.kind)
    found = evaluate(
        label_type,
        labels,
        texts,
        runs,
        kept=Run(None, 13),
        rivals={"probe": Rival("linear probe", {None: dict(predictions)})},
    )
    reports = places.reports / "heads" / head
    write_metrics(places, head, found.metrics)
    _write_csv(reports / "confusion.csv", ["actual", "predicted"], found.confusion)
    _write_csv(
        reports / "calibration.csv",
        ["confidence", "accuracy", "texts"],
        [astuple(row) for row in found.calibration],
    )


def write_metrics(places: Places, head: str, metrics: Mapping[str, Any]) -> None:
    """As ``evaluate`` does: with digests of what was scored."""
    model, corpus = places.models / head, CORPUS[head]
    sources = {
        "texts": places.texts / corpus / "texts.jsonl",
        "labels": places.labels / corpus / "labels.jsonl",
        "head": model / "head.json",
        **{path.name: path for path in (model / "predictions").iterdir()},
    }
    inputs = [{"file": what, "md5": md5_file(path)} for what, path in sources.items()]
    path = places.reports / "heads" / head / "metrics.json"
    _write_json(path, {**metrics, "inputs": inputs})


def _description(head: str) -> dict[str, Any]:
    return {
        "settings": {
            "corpus": CORPUS[head],
            "features": CORPUS[head],
            "label": head,
            "task": "token_classification",
            "combine": "mix",
            "recurrent": {"cell": "gru", "hidden_size": 8, "num_layers": 2, "bidirectional": True},
            "training": {"metric": "macro_f1", "seeds": [13, 14]},
        },
        "label_type": default_label_type(KINDS[head]).name,
        "layers": [4, 6],
        "fold": None,
        "seed": 13,
        "best_epoch": 2,
        "parameters": 1234,
        "texts_sha256": "ab12",
        "recipe": {"encoder": {"weights": {"model.safetensors": "cd34"}}, "extractor": 2},
        "torch": "2.13.0",
    }


def _write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    path.write_text("".join(lines), encoding="utf-8", newline="\n")


def _write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def _write_csv(path: Path, columns: list[str], rows: Iterable[Iterable[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
