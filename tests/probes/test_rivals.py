"""Rivals are fitted once for all heads that share them, and found again by the next."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from import_graph import ROOT, rooms_of_stage
from pipelines import extracted, prepared

from pipeline.core.files import readable_json
from pipeline.corpus.storage import Labels, read_labels, texts_of
from pipeline.features.hash_cache import HashCache
from pipeline.features.reader import open_features
from pipeline.probes import fit_cache, probe, rivals, tfidf
from pipeline.probes.fit_cache import FOLDER, FitCache
from pipeline.probes.fitted import FittedRival
from pipeline.probes.rivals import fit_rivals
from pipeline.probes.settings import ProbeSettings


@pytest.fixture(scope="module")
def folder(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = prepared(tmp_path_factory.mktemp("rivals"))
    extracted(where, tiny_encoder)
    return where


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keys of the rivals that were fitted, and not found."""
    fitted: list[str] = []
    for module, name in ((probe, "probe"), (tfidf, "tfidf")):
        fit = getattr(module, f"fit_{name}")

        def counted(*given: Any, _name: str = name, _fit: Any = fit, **options: Any) -> Any:
            fitted.append(_name)
            return _fit(*given, **options)

        monkeypatch.setattr(module, f"fit_{name}", counted)
    return fitted


def found(
    folder: Path,
    store: Path,
    *,
    label: str = "kind",
    task: str = "sequence_classification",
    layers: tuple[int, ...] = (-1,),
    labels: Labels | None = None,
) -> dict[str, FittedRival]:
    column = labels or read_labels(folder / "labels", label)
    return fit_rivals(
        ProbeSettings(label=label, task=task, layers=layers),  # type: ignore[arg-type]
        column,
        open_features(folder / "features"),
        lambda: texts_of(folder / "texts", column),
        fit_cache=FitCache(store),
        hash_cache=HashCache(),
    )


def test_the_second_head_finds_what_the_first_fitted(
    folder: Path, tmp_path: Path, fits: list[str]
) -> None:
    first = found(folder, tmp_path)
    assert fits == ["tfidf", "probe"]
    assert list(first) == ["tfidf", "probe"]
    again = found(folder, tmp_path)
    assert again == first
    for key, rival in again.items():
        assert readable_json(rival.description) == readable_json(first[key].description)
    # A layer that is counted from the other end is the same.
    assert found(folder, tmp_path, layers=(3,)) == first
    assert len(fits) == 2


def test_words_have_no_rival_that_reads_texts(
    folder: Path, tmp_path: Path, fits: list[str]
) -> None:
    assert list(found(folder, tmp_path, label="tags", task="token_classification")) == ["probe"]
    assert fits == ["probe"]


def test_what_a_rival_follows_from_is_its_key(
    folder: Path, tmp_path: Path, fits: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found(folder, tmp_path)
    fits.clear()
    found(folder, tmp_path, layers=(2,))
    assert fits == ["probe"]  # TF-IDF reads no layer
    fits.clear()
    labels = read_labels(folder / "labels", "kind")
    other = ["other" if value == "cold" else "cold" for value in labels.values]
    found(folder, tmp_path, labels=dataclasses.replace(labels, values=other))
    assert fits == ["tfidf", "probe"]
    fits.clear()
    splits = [{"dev": "test", "test": "dev"}.get(split, split) for split in labels.splits]
    found(folder, tmp_path, labels=dataclasses.replace(labels, splits=splits))
    assert fits == ["tfidf", "probe"]
    fits.clear()
    monkeypatch.setattr(fit_cache, "_code", lambda: "edited")
    found(folder, tmp_path)
    assert fits == ["tfidf", "probe"]


@pytest.mark.parametrize("damage", ["flipped", "cut", "no JSON", "nothing"])
def test_what_is_damaged_is_fitted_anew(
    folder: Path, tmp_path: Path, fits: list[str], damage: str
) -> None:
    first = found(folder, tmp_path)
    for path in (tmp_path / FOLDER).iterdir():
        data = bytearray(path.read_bytes())
        data[-9] ^= 1
        texts = {"flipped": bytes(data), "cut": bytes(data[:-5]), "no JSON": b"{", "nothing": b""}
        path.write_bytes(texts[damage])
    assert found(folder, tmp_path) == first
    assert fits == ["tfidf", "probe"] * 2
    assert found(folder, tmp_path) == first
    assert len(fits) == 4


def test_a_folder_that_cannot_be_written_to_or_is_a_link_is_done_without(
    folder: Path, tmp_path: Path, fits: list[str]
) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    first = found(folder, tmp_path / "file")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    store = tmp_path / "store"
    store.mkdir()
    (store / FOLDER).symlink_to(elsewhere)
    assert found(folder, store) == first
    assert not list(elsewhere.iterdir())
    assert len(fits) == 4


def test_the_oldest_make_room(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_cache, "MOST_FILES", 2)
    for layer in (2, 3):
        found(folder, tmp_path, layers=(layer,))
    assert len(list((tmp_path / FOLDER).iterdir())) == 2


def test_the_code_that_is_a_part_of_keys_is_that_of_the_stage() -> None:
    assert set(fit_cache._CODE) == rooms_of_stage("probe")


def test_what_is_found_needs_none_of_the_libraries_that_fit() -> None:
    code = (
        f"import sys, {rivals.__name__}, stages.probe; "
        "print(*sorted({'torch', 'sklearn', 'scipy', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == []
