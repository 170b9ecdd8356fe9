"""The code in docs/guides runs, block after block, on a features row of its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from import_graph import ROOT
from pipelines import extracted, prepared

from pipeline.features.reader import open_features

GUIDE = ROOT / "docs" / "guides" / "notebook.md"


def test_the_notebook_guide_runs(
    minilm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = extracted(prepared(tmp_path / "made"), minilm, layers=(4, 6), storage_dtype="float16")
    (tmp_path / "data" / "features").mkdir(parents=True)
    made.rename(tmp_path / "data" / "features" / "tweets")
    (tmp_path / "data" / "labels").mkdir()
    (tmp_path / "made" / "labels").rename(tmp_path / "data" / "labels" / "tweets")
    (tmp_path / "data" / "encoders").mkdir()
    (tmp_path / "data" / "encoders" / "minilm").symlink_to(minilm)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    text = GUIDE.read_text(encoding="utf-8")
    # The corpus of tests calls its entities otherwise, and has no head of the default project.
    text = text.replace('"entities")', '"tags")').replace("models/tweet_entities", "models/mine")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 8
    names: dict[str, Any] = {}
    for block in blocks:
        exec(block, names)  # noqa: S102  (our own guide)
    assert (tmp_path / "models" / "mine" / "head.json").is_file()
    features = open_features("data/features/tweets")
    assert features.layers == (4, 6)
    assert names["ids"] == features.example_ids
    assert names["words"].shape == (names["count"], 384)
    for position in (0, 5, 50):
        expected = features.states(names["ids"][position], layer=6)[0]
        assert np.array_equal(names["cls"][position], expected)
