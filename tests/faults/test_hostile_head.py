"""Heads, predictions, metrics and studies that were made to harm: one line, and no time or memory.

Whoever hands over a folder of ``models/``, ``reports/`` or ``studies/`` chose every byte of it.
"""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hostile import at_most, refused, refused_in_little_memory
from import_graph import ROOT
from pipelines import head_settings, new_head
from safetensors.torch import load, save

from pipeline.core.files import csv_text
from pipeline.heads.checkpoint import DESCRIPTION, WEIGHTS, save_head
from pipeline.layer_study.study_tables import latex
from stages import evaluate, predict, report, results, sweep

sys.path.insert(0, str(ROOT / "tests" / "report"))

from written import HOSTILE, write_all

DEEP = "[" * 100_000
NAMES = ["B-x", "I-x", "O"]
Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def head(tmp_path: Path) -> Path:
    """A folder of a head that tags entities."""
    settings = head_settings("token_classification", crf=True)
    folder = tmp_path / "models" / "h"
    folder.mkdir(parents=True)
    module = new_head(settings, NAMES, width=8)
    save_head(folder, module, description(settings.model_dump(mode="json"), module.label_type.name))
    (tmp_path / "texts.txt").write_text("ice\n", encoding="utf-8")
    return folder


def description(settings: dict[str, Any], label_type: str) -> dict[str, Any]:
    return {
        "settings": settings,
        "label_type": label_type,
        "labels": NAMES,
        "thresholds": None,
        "width": 8,
        "layers": [2],
        "fold": None,
        "seed": 5,
        "recipe": {},
    }


def predicted(head: Path) -> str:
    """The line of ``predict`` with this head."""
    folder = head.parents[1]
    (line,) = refused(
        predict.main,
        *("h", str(folder / "texts.txt"), "--models", str(head.parent)),
        *("--encoder", str(folder / "encoder")),
        folder=folder,
    )
    return line


def change(head: Path, edit: Change) -> None:
    path = head / DESCRIPTION
    content = json.loads(path.read_text(encoding="utf-8"))
    edit(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def put(*keys: str, value: Any) -> Change:
    def edit(content: dict[str, Any]) -> None:
        *parents, last = keys
        for key in parents:
            content = content[key]
        content[last] = value

    return edit


CHANGES: dict[str, Change] = {
    "ten million layers": put("settings", "recurrent", "num_layers", value=10_000_000),
    "layers without an end": put("settings", "recurrent", "num_layers", value=10**400),
    "wide": put("settings", "recurrent", "hidden_size", value=10**9),
    "wider than numbers": put("settings", "recurrent", "hidden_size", value=10**400),
    "wide states": put("width", value=10**9),
    "no width": put("width", value=0),
    "width in words": put("width", value="8"),
    "settings are a list": put("settings", value=[]),
    "recurrent is a list": put("settings", "recurrent", value=[]),
    "labels are a word": put("labels", value="BIO"),
    "labels are numbers": put("labels", value=[1, 2, 3]),
    "labels are one": put("labels", value=["O", "O", "O"]),
    "no labels": put("labels", value=[]),
    "a million labels": put("labels", value=[f"B-{n}" for n in range(1_000_000)]),
    "labels are no tags": put("labels", value=["x", "y", "O"]),
    "layers are words": put("layers", value=["2"]),
    "layers are below": put("layers", value=[-2]),
    "layers are others": put("layers", value=[1, 2]),
    "layer is none": put("layers", value=[None]),
    "thresholds are a list": put("thresholds", value=[0.5]),
    "thresholds are of others": put("thresholds", value={"x": 0.5}),
    "thresholds are words": put("thresholds", value=dict.fromkeys(NAMES, "high")),
    "recipe is a list": put("recipe", value=[]),
    "no recipe": lambda content: content.pop("recipe"),
    "label type is a list": put("label_type", value=["tags"]),
    "label type of nobody": put("label_type", value="evil"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_forged_description_is_damaged_and_costs_nothing(head: Path, name: str) -> None:
    change(head, CHANGES[name])
    assert "is damaged, or made by another version" in predicted(head)


TEXTS = {
    "deep": f'{{"settings": {DEEP}',
    "nan": '{"width": NaN}',
    "surrogate": '{"labels": ["\\ud800"]}',
    "number": f'{{"width": {"9" * 5000}}}',
    "list": "[1]",
    "nothing": "",
    "no text": b"\xff\xfe",
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("reader", ["predict", "evaluate"])
def test_a_description_that_is_no_json_of_ours_is_damaged(
    head: Path, name: str, reader: str
) -> None:
    text = TEXTS[name]
    (head / DESCRIPTION).write_bytes(text if isinstance(text, bytes) else text.encode())
    line = predicted(head) if reader == "predict" else evaluated(head)
    assert "is damaged, or" in line


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
@pytest.mark.parametrize("file", [DESCRIPTION, WEIGHTS])
def test_a_head_that_is_no_file_is_named(
    head: Path, make: Callable[[Path], object], file: str
) -> None:
    (head / file).unlink()
    make(head / file)
    line = predicted(head)
    assert str(head / file) in line
    assert ", not a file" in line


def weights(head: Path, edit: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load((head / WEIGHTS).read_bytes())
    edit(tensors)
    (head / WEIGHTS).write_bytes(save(tensors))


@pytest.mark.parametrize(
    "edit",
    [
        lambda tensors: tensors["output.bias"].fill_(float("nan")),
        lambda tensors: tensors["crf.start"].fill_(float("inf")),
        lambda tensors: tensors.update({"output.bias": torch.zeros(3, dtype=torch.float64)}),
        lambda tensors: tensors.update({"output.bias": torch.zeros(3, dtype=torch.int32)}),
        lambda tensors: tensors.update({"more": torch.zeros(3)}),
        lambda tensors: tensors.pop("output.bias"),
        lambda tensors: tensors.update({"output.bias": torch.zeros(4)}),
    ],
)
def test_other_weights_than_the_description_says_are_damaged(
    head: Path, edit: Callable[[dict[str, torch.Tensor]], object]
) -> None:
    weights(head, edit)
    assert "is damaged, or made by another version" in predicted(head)


def header(**entries: Any) -> bytes:
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text


HEADERS = {
    "length beyond the file": (10**15).to_bytes(8, "little") + b"{}",
    "length of the largest number": b"\xff" * 8,
    "short": b"\x08\x00",
    "deep": (100_000).to_bytes(8, "little") + DEEP.encode(),
    "list": (2).to_bytes(8, "little") + b"[]",
    "huge": header(x={"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4 * 10**12]}),
    "below": header(x={"dtype": "F32", "shape": [-1], "data_offsets": [0, -4]}),
    "words": header(x={"dtype": 3, "shape": "all", "data_offsets": None}),
    "none": b"",
}


@pytest.mark.parametrize("name", HEADERS)
def test_weights_with_a_forged_header_are_damaged(head: Path, name: str) -> None:
    (head / WEIGHTS).write_bytes(HEADERS[name])
    assert "is damaged, or made by another version" in predicted(head)


def test_offsets_that_overlap_are_damaged(head: Path) -> None:
    data = (head / WEIGHTS).read_bytes()
    length = int.from_bytes(data[:8], "little")
    entries = json.loads(data[8 : 8 + length])
    for entry in entries.values():
        size = entry["data_offsets"][1] - entry["data_offsets"][0]
        entry["data_offsets"] = [0, size]
    text = json.dumps(entries, separators=(",", ":")).encode()
    (head / WEIGHTS).write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])
    assert "is damaged, or made by another version" in predicted(head)


def test_truncated_weights_are_damaged(head: Path) -> None:
    data = (head / WEIGHTS).read_bytes()
    for size in (len(data) - 4, len(data) // 2, 8, 9):
        (head / WEIGHTS).write_bytes(data[:size])
        assert "is damaged, or made by another version" in predicted(head)


@pytest.mark.slow
def test_a_head_of_ten_million_layers_takes_no_memory(head: Path) -> None:
    change(head, CHANGES["ten million layers"])
    (line,) = refused_in_little_memory(
        *("stages.predict", "h", "texts.txt", "--encoder", "encoder"), folder=head.parents[1]
    )
    assert "is damaged" in line


def evaluated(head: Path) -> str:
    """The line of ``evaluate`` with this head."""
    folder = head.parents[1]
    outputs = ("metrics", "confusion", "calibration", "mistakes")
    (line,) = refused(
        evaluate.main,
        *("h", "--texts", str(folder), "--labels", str(folder), "--head", str(head / DESCRIPTION)),
        *("--predictions", str(head)),
        *(part for name in outputs for part in (f"--{name}", str(folder / "out" / name))),
        folder=folder,
    )
    return line


@pytest.mark.parametrize(
    "edit",
    [
        put("settings", "training", "seeds", value=5),
        put("settings", "training", "seeds", value=[]),
        put("settings", "training", "seeds", value=[-1]),
        put("settings", "label", value=None),
        put("seed", value=[5]),
        put("fold", value="1"),
        put("label_type", value={}),
    ],
)
def test_evaluation_of_a_forged_description_is_one_line(head: Path, edit: Change) -> None:
    change(head, edit)
    assert "is damaged, or of another version" in evaluated(head)


@pytest.fixture
def page(tmp_path: Path) -> Callable[..., str]:
    """Runs the report on a project; the line that refuses it."""
    places = write_all(tmp_path, ("topic", "names"))
    params = {
        "corpora": {"mail": {}, "chat": {}},
        "features": {"mail": {}},
        "heads": {"topic": {}, "names": {}},
        "report": {"texts": True},
    }
    (tmp_path / "params.yaml").write_text(json.dumps(params), encoding="utf-8")

    def run(path: str, content: str | bytes) -> str:
        target = tmp_path / path
        assert target.is_file()
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        folders = [
            word
            for name in ("texts", "labels", "models", "reports", "studies")
            for word in (f"--{name}", str(getattr(places, name)))
        ]
        out = str(tmp_path / "out" / "index.html")
        arguments = [*folders, "--out", out, "--params", str(tmp_path / "params.yaml")]
        (line,) = refused(report.main, *arguments, folder=tmp_path)
        return line

    return run


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("reports/heads/topic/metrics.json", DEEP),
        ("reports/heads/topic/metrics.json", '{"dev": 1, "test": []}'),
        ("reports/heads/topic/metrics.json", "[]"),
        ("reports/corpora/mail.json", DEEP),
        ("reports/corpora/mail.json", "{}"),
        ("reports/corpora/mail.json", '{"rows": "many", "splits": []}'),
        ("reports/corpora/mail.json", '{"rows": 1, "splits": {}, "labels": {"a": {"b": [1]}}}'),
        ("reports/features/mail.json", DEEP),
        ("reports/heads/topic/history.csv", "a,b\n1,2\n"),
        ("reports/heads/topic/history.csv", b"\xff\xfe"),
        ("reports/heads/topic/history.csv", 'epoch,train_loss,dev_loss\n"' + "x" * 200_000),
        ("reports/heads/topic/history.csv", ""),
        ("models/topic/head.json", DEEP),
        ("models/topic/predictions/seed_13.jsonl", DEEP),
    ],
)
def test_a_report_of_what_was_forged_is_one_line(
    page: Callable[..., str], path: str, content: str | bytes
) -> None:
    assert path in page(path, content)


@pytest.mark.parametrize("corpus", ["../mail", "/etc", "", "a\u202eb"])
def test_a_corpus_that_a_head_names_is_no_path(
    page: Callable[..., str], tmp_path: Path, corpus: str
) -> None:
    path = tmp_path / "models" / "topic" / "head.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["settings"]["corpus"] = corpus
    line = page("models/topic/head.json", json.dumps(content))
    assert "models/topic/head.json: the corpus" in line


@pytest.mark.parametrize(
    "text",
    [
        DEEP,
        "[]",
        '{"dev": 3, "test": 3}',
        '{"dev": {}, "test": {"accuracy": {}, "accuracy_low": 1, "accuracy_high": 1}}',
        '{"dev": {"f1": 1, "f1_low": "a", "f1_high": 2}, "test": {"f1": 1, "f1_low": 1}}',
        '{"dev": {"f1": NaN}, "test": {}}',
        f'{{"dev": {{"f1": {"9" * 400}, "f1_low": 1, "f1_high": 1}}, "test": {{}}}}',
    ],
)
def test_results_of_forged_metrics_are_one_line(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "reports" / "h"
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(text, encoding="utf-8")
    (line,) = refused(results.main, "--reports", str(folder.parent), folder=tmp_path)
    assert "run `dvc repro`" in line


SWEEP = {
    "heads": {
        "h": {
            "corpus": "c",
            "features": "f",
            "label": "kind",
            "task": "sequence_classification",
            "layers": [-1],
            "recurrent": {"hidden_size": 8},
        }
    },
    "sweeps": {
        "s": {
            "head": "h",
            "trials": 2,
            "seed": 1,
            "sampler": "random",
            "pruner": None,
            "space": {"recurrent.hidden_size": {"choices": [8, 16]}},
        }
    },
}


def study(folder: Path, text: str) -> str:
    """The line of ``sweep --apply`` with a study."""
    (folder / "params.yaml").write_text(json.dumps(SWEEP), encoding="utf-8")
    (folder / "studies" / "s").mkdir(parents=True)
    (folder / "studies" / "s" / "study.json").write_text(text, encoding="utf-8")
    (line,) = refused(
        sweep.main,
        *("s", "--apply", "0", "--studies-root", str(folder / "studies")),
        *("--params", str(folder / "params.yaml")),
        folder=folder,
    )
    return line


def trial(**changes: Any) -> dict[str, Any]:
    return {
        "trial": 0,
        "state": "complete",
        "score": 0.5,
        "values": {"recurrent.hidden_size": 16},
        "drawn": {},
        "seeds": {"13": {"dev_score": 0.5, "best_epoch": 1, "epochs": 1}},
        "curve": [0.5],
        "parameters": 10,
        "threads": 1,
        **changes,
    }


def basis() -> dict[str, Any]:
    from pipeline.sweeps.fingerprint import chosen
    from pipeline.sweeps.settings import SweepSettings

    settings = SweepSettings.model_validate_json(json.dumps(SWEEP["sweeps"]["s"]))
    return chosen(settings, SWEEP["heads"]["h"])


@pytest.mark.parametrize(
    "text",
    [
        DEEP,
        "[]",
        '{"basis": {"x": NaN}, "trials": []}',
        json.dumps({"basis": {}, "trials": [trial(score=None)]}),
        json.dumps({"basis": {}, "trials": [trial(), trial()]}),
        json.dumps({"basis": {}, "trials": [trial(trial=-1)]}),
        json.dumps({"basis": {}, "trials": [trial(threads="all")]}),
    ],
)
def test_a_forged_study_is_one_line(tmp_path: Path, text: str) -> None:
    assert "cannot be read as a sweep" in study(tmp_path, text)


@pytest.mark.parametrize(
    "values",
    [
        {"corpus": "evil"},
        {"recurrent.hidden_size": "'16',encoders.e.trust_remote_code=true"},
        {"recurrent.hidden_size": 16, "training.seeds": [1]},
        {"a.b.c": 1},
    ],
)
def test_a_study_does_not_set_what_its_sweep_does_not_search(
    tmp_path: Path, values: dict[str, Any]
) -> None:
    line = study(tmp_path, json.dumps({"basis": basis(), "trials": [trial(values=values)]}))
    assert "trial 0 is not one of this sweep" in line


FORMULAS = ["=HYPERLINK(1)", "+cmd", "-cmd", "@SUM(1)", "\t=1", "\r=1", "\uff1d1"]


@pytest.mark.parametrize("label", FORMULAS)
def test_tables_hold_no_formulas(label: str) -> None:
    text = csv_text([label], [[label, -1.5, -2, "-3", "+0.5", "B-x", "O", "(none)"]])
    columns, row = csv.reader(io.StringIO(text, newline=""))
    assert columns == [f"'{label}"]
    assert row == [f"'{label}", "-1.5", "-2", "-3", "+0.5", "B-x", "O", "(none)"]


def test_a_table_for_latex_runs_no_command() -> None:
    name = "\\input{x}$&#_%~^\n"
    scores = {"score": 0.5, "deviation": None, "control": 0.1, "selectivity": 0.4}
    row = {"head": scores, "probe": scores}
    study = {
        "dev": {name: row},
        "test": row,
        "chosen": "x",
        "metric": "f1",
        "control_metric": "f1",
        "seeds": [1],
    }
    text = latex(study, title="a\nb")
    shown = "\\textbackslash{}input\\{x\\}\\$\\&\\#\\_\\%\\textasciitilde{}\\textasciicircum{}"
    assert f"{shown}\\textbackslash{{}}n & " in text
    assert "% a\\nb: f1" in text


@pytest.mark.parametrize(
    "label", ["</script><script>alert(1)</script>", "\u2028", HOSTILE, "javascript:alert(1)"]
)
def test_a_study_of_any_name_and_label_brings_no_markup_into_the_page(
    tmp_path: Path, label: str
) -> None:
    from pipeline.report.artefacts import Inputs, StudyInput
    from pipeline.report.page import render_page
    from pipeline.report.view import make_view

    rows = [{"label": label, "reading": label, "head_score": "0.5"}]
    inputs = Inputs(studies=[StudyInput(label, {"labels.csv": rows, "layers.csv": rows})])
    with at_most():
        text = render_page(make_view(inputs, texts=False))
        none = render_page(make_view(Inputs(), texts=False))
    for mark in ("<script", "</script", "<img", 'href="javascript'):
        assert text.count(mark) == none.count(mark)
    data = text.split('<script type="application/json" id="data">')[1].split("</script>")[0]
    assert not {"<", ">", "&", "\u2028"} & set(data)
