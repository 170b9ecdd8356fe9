"""What heads of one label learn from, opened and checked once for any number of trainings."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from pipeline.core.errors import DataError
from pipeline.corpus.storage import Labels
from pipeline.features.hash_cache import HashCache
from pipeline.features.layers import kept_layers
from pipeline.features.reader import Features
from pipeline.heads.settings import HeadSettings
from pipeline.tasks.dataset import LabelledDataset, build_dataset
from pipeline.tasks.tasks import LABEL_KINDS
from pipeline.training.states import TrainingStates, open_states


class TrainingData:
    """A label column and the features of its texts.

    Files are compared with their digests, states opened and labels aligned when a head first needs
    them; the next head finds them as they are.

    Args:
        labels: the label column.
        features: of the same texts.
        hash_cache: cached checksums of the files to read.
        device: where heads are trained.
    """

    def __init__(
        self, labels: Labels, features: Features, *, hash_cache: HashCache, device: torch.device
    ) -> None:
        self.labels = labels
        self.features = features
        self.device = device
        self._hash_cache = hash_cache
        self._states: dict[tuple[int, ...], TrainingStates] = {}
        self._data: dict[tuple[str, str | None], LabelledDataset] = {}

    def of(self, labels: Labels) -> TrainingData:
        """The same features with another label column, or another split; states stay open."""
        other = TrainingData(labels, self.features, hash_cache=self._hash_cache, device=self.device)
        other._states = self._states
        return other

    @property
    def width(self) -> int:
        """Width of one layer."""
        return self.features.width

    def layers(self, settings: HeadSettings) -> list[int]:
        """The layers that a head reads, counted from the start.

        Raises:
            StoreError: one of them is not kept.
        """
        return kept_layers(settings.layers, self.features)

    def states(self, layers: Sequence[int]) -> TrainingStates:
        """The states of resolved layers.

        Raises:
            StoreError: the features are damaged.
        """
        key = tuple(layers)
        if key not in self._states:
            self.features.check(layers, self._hash_cache)
            self._states[key] = open_states(self.features, layers, self.device)
        return self._states[key]

    def data(self, settings: HeadSettings) -> LabelledDataset:
        """The examples of each split, as a head learns them.

        Raises:
            DataError, StoreError, TrainingError: see ``build_dataset``; or the scheme does not
                fit the label.
        """
        key = settings.task, settings.scheme
        if key not in self._data:
            data = build_dataset(
                self.labels,
                self.features,
                kinds=LABEL_KINDS[settings.task],
                scheme=settings.scheme,
            )
            if (settings.scheme is not None) != (data.kind == "bio"):
                holds, must = ("", "bio or bioes") if data.kind == "bio" else ("no ", "null")
                raise DataError(
                    f"label {settings.label!r} holds {holds}entities: scheme must be {must}"
                )
            self._data[key] = data
        return self._data[key]
