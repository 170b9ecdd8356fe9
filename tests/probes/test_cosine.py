"""The cosine of two texts as a rival: one number a pair, and where it divides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pipelines import extracted, labelled_pairs, prepared_pairs

from pipeline.corpus.storage import read_labels, texts_of
from pipeline.features.hash_cache import HashCache
from pipeline.features.reader import Features, open_features
from pipeline.ingest.rows import Example
from pipeline.probes.cosine import fit_cosine
from pipeline.probes.fit_cache import FitCache
from pipeline.probes.rivals import fit_rivals
from pipeline.probes.settings import ProbeSettings


def pairs() -> list[Example]:
    """Every other pair is a text and itself; labels say so."""
    found = []
    for number, one in enumerate(labelled_pairs()):
        text, same = one.text, number % 2
        first = text.first  # type: ignore[union-attr]
        text = type(text)(first, first if same else text.second)  # type: ignore[call-arg,union-attr]
        labels = {**one.labels, "kind": "same" if same else "other", "size": float(same)}
        found.append(Example(one.id, text, labels, one.line))
    return found


@pytest.fixture(scope="module")
def folder(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = prepared_pairs(tmp_path_factory.mktemp("cosine"), pairs())
    extracted(where, tiny_encoder, pairs="apart")
    return where


def cosine_of(features: Features, row_id: str, layer: int) -> float:
    u, v = (features.states(row_id, layer=layer, text=text).mean(0) for text in (0, 1))
    return float(u @ v / np.sqrt((u @ u) * (v @ v)))


def settings_of(label: str, task: str) -> ProbeSettings:
    return ProbeSettings(label=label, task=task, layers=(2, -1))  # type: ignore[arg-type]


def test_numbers_are_in_the_order_of_the_cosine_at_the_highest_layer(folder: Path) -> None:
    features = open_features(folder / "features")
    labels = read_labels(folder / "labels", "size")
    rival = fit_cosine(settings_of("size", "regression"), labels, features, hash_cache=HashCache())
    assert rival.description["layers"] == [3]
    values = [row["value"] for row in rival.predictions]
    cosines = [cosine_of(features, row["id"], 3) for row in rival.predictions]
    # One number: a line through it, and nothing else.
    assert np.corrcoef(values, cosines)[0, 1] == pytest.approx(1, abs=1e-4)


def test_texts_that_are_the_same_are_told_from_others(folder: Path) -> None:
    labels = read_labels(folder / "labels", "kind")
    features = open_features(folder / "features")
    settings = settings_of("kind", "sequence_classification")
    rival = fit_cosine(settings, labels, features, hash_cache=HashCache())
    gold = dict(zip(labels.ids, labels.values, strict=True))
    right = [row["label"] == gold[row["id"]] for row in rival.predictions]
    assert np.mean(right) > 0.9


def test_heads_that_read_pairs_apart_have_it_among_their_rivals(
    folder: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    together = prepared_pairs(tmp_path / "together", pairs())
    extracted(together, tiny_encoder)
    for where, keys in ((folder, ["tfidf", "cosine", "probe"]), (together, ["tfidf", "probe"])):
        labels = read_labels(where / "labels", "kind")
        found = fit_rivals(
            settings_of("kind", "sequence_classification"),
            labels,
            open_features(where / "features"),
            lambda where=where, labels=labels: texts_of(where / "texts", labels),  # type: ignore[misc]
            fit_cache=FitCache(tmp_path / "store"),
            hash_cache=HashCache(),
        )
        assert list(found) == keys
