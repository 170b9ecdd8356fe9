"""A label type that nobody knows is trained, probed, scored, shown and used as any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ordinal import OrdinalRegression
from pipelines import extracted, fit, head_settings, prepared

from pipeline.core.files import canonical_json
from pipeline.corpus.folds import Run
from pipeline.corpus.storage import read_labels, read_texts
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.predictions import by_id
from pipeline.evaluation.rivals import Rival
from pipeline.evaluation.table import summary
from pipeline.features.hash_cache import HashCache
from pipeline.features.reader import open_features
from pipeline.heads.checkpoint import load_head, save_head
from pipeline.prediction.predict import Predictor
from pipeline.probes.probe import fit_probe
from pipeline.probes.settings import ProbeSettings
from pipeline.report.examples import examples
from pipeline.tasks import registry

TASK = "ordinal_regression"


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "LABEL_TYPES", [*registry.LABEL_TYPES, OrdinalRegression()])


@pytest.fixture(scope="module")
def folder(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = prepared(tmp_path_factory.mktemp("ordinal"))
    extracted(where, tiny_encoder)
    return where


def test_a_head_learns_is_saved_scored_shown_and_asked(
    folder: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    settings = head_settings(TASK, label="size", training={"epochs": 4}, pooling="mean")
    fitted = fit(folder, settings)
    assert fitted.description["label_type"] == "ordinal"
    assert fitted.history[-1].train_loss < fitted.history[0].train_loss
    labels = read_labels(folder / "labels", "size")
    label_type = fitted.head.label_type
    rows = by_id(fitted.predictions["seed_5"], labels, label_type)
    learnt = {float(name) for name in fitted.head.names}
    assert {row["value"] for row in rows.values()} <= learnt

    probe = fit_probe(
        ProbeSettings(label="size", task=TASK, layers=(-1,)),
        labels,
        open_features(folder / "features"),
        hash_cache=HashCache(),
    )
    texts = dict(read_texts(folder / "texts"))
    evaluation = evaluate(
        label_type,
        labels,
        list(texts.values()),
        {Run(None, 5): rows},
        kept=Run(None, 5),
        rivals={
            "probe": Rival("linear probe", {None: by_id(probe.predictions, labels, label_type)})
        },
    )
    assert evaluation.metrics["test"]["spearman"] > 0.5
    assert evaluation.metrics["test"]["probe"]["spearman"] > 0.5
    assert any("Spearman" in line for line in summary(evaluation.metrics))
    assert canonical_json(evaluation.mistakes)
    shown, total = examples(label_type, labels, rows, None, texts)
    assert len(shown) == total == len(rows)

    save_head(tmp_path, fitted.head, fitted.description)
    loaded, _ = load_head(tmp_path, device=torch.device("cpu"))
    assert loaded.names == fitted.head.names
    answers = Predictor.of_folder(tmp_path, tiny_encoder, device=torch.device("cpu"))(
        list(texts.values())
    )
    found = dict(zip(texts, answers.rows, strict=True))
    assert {row_id: {"value": rows[row_id]["value"]} for row_id in rows} == {
        row_id: found[row_id] for row_id in rows
    }


@pytest.mark.parametrize("changes", [{"training": {"metric": "accuracy"}}, {"crf": True}])
def test_its_settings_are_checked_as_any_others(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"of {TASK} is one of|are for token_classification"):
        head_settings(TASK, label="size", **changes)
