"""Fingerprint of a study: what all its trials share, or their scores cannot be compared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pipeline.core.errors import ParameterError
from pipeline.core.files import canonical_json, sha256_text
from pipeline.corpus.storage import Labels, read_labels
from pipeline.features.hash_cache import CACHE_FILE, HashCache
from pipeline.features.reader import open_features
from pipeline.heads.settings import HeadSettings
from pipeline.sweeps.results import differences
from pipeline.sweeps.settings import SweepSettings
from pipeline.sweeps.space import without
from pipeline.training.data import TrainingData


def open_training_data(
    labels: Path, label: str, features: Path, *, store: Path, device: str
) -> TrainingData:
    """Opens what a head learns from.

    Args:
        labels: folder of the corpus's labels.
        label: the column.
        features: folder of its features.
        store: folder of the local store, for the digests that are known.
        device: where to train.

    Raises:
        DataError, StoreError: something is not there.
    """
    return TrainingData(
        read_labels(labels, label),
        open_features(features),
        hash_cache=HashCache(store / CACHE_FILE),
        device=torch.device(device),
    )


def chosen(sweep: SweepSettings, row: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a sweep in params.yaml, besides how many trials there are."""
    head = HeadSettings.model_validate_json(canonical_json(row)).model_dump(mode="json")
    return {
        "sweep": sweep.model_dump(mode="json", exclude={"trials"}, exclude_none=True),
        "head": without(head, list(sweep.space)),
    }


def study_fingerprint(
    sweep: SweepSettings, row: Mapping[str, Any], data: TrainingData
) -> dict[str, Any]:
    """All that trials share: search, head, labels, features, and the version of torch."""
    return {
        **chosen(sweep, row),
        "texts_sha256": data.labels.texts_sha256,
        "labels_sha256": _digest(data.labels),
        "recipe": data.features.manifest.recipe,
        "torch": torch_version(),
    }


def torch_version() -> str:
    """Version of torch, without the build: another one may round otherwise."""
    return torch.__version__.split("+")[0]


def require_same_fingerprint(
    folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]
) -> None:
    """Checks that trials that were and trials that would be can be compared.

    Raises:
        ParameterError: they cannot; it names what has changed.
    """
    changed = differences(before, now)
    if changed:
        raise ParameterError(
            f"{folder}: its trials were made with other settings or data ({', '.join(changed)}): "
            "their scores cannot be compared; undo the change, name the sweep anew, or remove "
            f"{folder}"
        )


def _digest(labels: Labels) -> str:
    return sha256_text(canonical_json([labels.kind, labels.ids, labels.splits, labels.values]))
