"""Training data: labels and features of one corpus, opened once for any number of trainings."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pipeline.corpus.storage import Labels
from pipeline.features.hash_cache import HashCache
from pipeline.features.layers import kept_layers
from pipeline.features.reader import Features
from pipeline.heads.settings import HeadSettings
from pipeline.tasks.dataset import LabelledDataset, build_dataset
from pipeline.tasks.label_type import LabelType
from pipeline.training.gpu_states import TrainingSources
from pipeline.training.states import TrainingStates


@dataclass(frozen=True)
class HeadInputs:
    """Inputs of one head: its resolved settings, layers, states and labelled dataset.

    Attributes:
        settings: of the head, with what follows from its label type.
        layers: that it reads, counted from the start.
        width: of one layer.
        states: of those layers.
        dataset: examples of each split.
        device: where it is trained.
    """

    settings: HeadSettings
    layers: list[int]
    width: int
    states: TrainingStates
    dataset: LabelledDataset
    device: torch.device


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
        self._sources = TrainingSources(features, device)
        self._states: dict[tuple[int, ...], TrainingStates] = {}
        self._datasets: dict[tuple[str, str | None], LabelledDataset] = {}

    def of(self, labels: Labels) -> TrainingData:
        """These features with another label column, or another split; states stay open."""
        other = TrainingData(labels, self.features, hash_cache=self._hash_cache, device=self.device)
        other._sources, other._states = self._sources, self._states
        return other

    def for_head(self, settings: HeadSettings) -> HeadInputs:
        """Inputs of one head: this is where its settings are taken apart.

        Raises:
            DataError: the task does not learn such labels; see ``HeadSettings.label_type``.
            StoreError: a layer is not kept, or the features are damaged or of other texts.
            TrainingError: a layer is named twice; see ``build_dataset``.
        """
        label_type = settings.label_type(self.labels.kind)
        layers = kept_layers(settings.layers, self.features)
        return HeadInputs(
            settings=settings.resolved(label_type),
            layers=layers,
            width=self.features.width,
            states=self._open(tuple(layers)),
            dataset=self._dataset(label_type),
            device=self.device,
        )

    def _open(self, layers: tuple[int, ...]) -> TrainingStates:
        if layers not in self._states:
            self.features.check(layers, self._hash_cache)
            self._states[layers] = self._sources.open(layers)
        return self._states[layers]

    def _dataset(self, label_type: LabelType) -> LabelledDataset:
        key = label_type.name, label_type.scheme
        if key not in self._datasets:
            self._datasets[key] = build_dataset(self.labels, self.features, label_type)
        return self._datasets[key]
