"""Training data: labels and features of one corpus, opened once for any number of trainings."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from pipeline.corpus.storage import Labels
from pipeline.features.hash_cache import HashCache
from pipeline.features.layers import kept_layers
from pipeline.features.reader import Features
from pipeline.tasks.dataset import LabelledDataset, build_dataset
from pipeline.tasks.label_type import LabelType
from pipeline.training.states import TrainingStates, open_states


class TrainingData:
    """A label column and the features of its texts.

    Checksums are compared, states opened and labels aligned when a head first needs them; the next
    head finds them as they are.

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
        self._datasets: dict[tuple[str, str | None], LabelledDataset] = {}

    def of(self, labels: Labels) -> TrainingData:
        """The same features with another label column, or another split; states stay open."""
        other = TrainingData(labels, self.features, hash_cache=self._hash_cache, device=self.device)
        other._states = self._states
        return other

    @property
    def width(self) -> int:
        """Width of one layer."""
        return self.features.width

    def layers(self, layers: Sequence[int]) -> list[int]:
        """Layers that may be counted from the end, counted from the start.

        Raises:
            StoreError: one of them is not kept.
            TrainingError: two of them are the same.
        """
        return kept_layers(layers, self.features)

    def states(self, layers: Sequence[int]) -> TrainingStates:
        """States of layers that may be counted from the end.

        Raises:
            StoreError: one of them is not kept, or the features are damaged.
            TrainingError: two of them are the same.
        """
        resolved = self.layers(layers)
        key = tuple(resolved)
        if key not in self._states:
            self.features.check(resolved, self._hash_cache)
            self._states[key] = open_states(self.features, resolved, self.device)
        return self._states[key]

    def dataset(self, label_type: LabelType) -> LabelledDataset:
        """Examples of each split, as a label type learns them.

        Raises:
            DataError, StoreError, TrainingError: see ``build_dataset``.
        """
        key = label_type.name, label_type.scheme
        if key not in self._datasets:
            self._datasets[key] = build_dataset(self.labels, self.features, label_type)
        return self._datasets[key]
