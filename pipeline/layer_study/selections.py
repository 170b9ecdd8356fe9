"""The trainings of a layer study: a head and a probe per selection, on real and other labels."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from pipeline.corpus.storage import Labels
from pipeline.features.hash_cache import HashCache
from pipeline.features.reader import Features
from pipeline.heads.settings import HeadSettings
from pipeline.probes.probe import fit_probe
from pipeline.probes.settings import ProbeSettings
from pipeline.tasks.label_type import Row
from pipeline.tasks.registry import label_type_for
from pipeline.tasks.resampling import LOWER_IS_BETTER
from pipeline.training.data import TrainingData
from pipeline.training.fit import predict_seed, train_seed

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LayerSelection:
    """A way to read an encoder: one layer, or a learned mix of all that are kept.

    Attributes:
        name: ``layer 4``, or ``mix``.
        layers: counted from the start; a probe of several reads them side by side.
    """

    name: str
    layers: tuple[int, ...]


@dataclass(frozen=True)
class Rows:
    """Predictions of dev and test, in corpus order.

    Attributes:
        heads: of the head, by seed.
        probe: of the linear probe, which has no seed.
    """

    heads: dict[int, list[Row]]
    probe: list[Row]


@dataclass(frozen=True)
class SelectionPredictions:
    """All predictions of one selection.

    Attributes:
        real: on the labels.
        control: on labels that say nothing, of the first seed.
        random_init: on the labels, from random weights; ``None`` where none was asked for.
    """

    real: Rows
    control: Rows
    random_init: Rows | None


def layer_selections(features: Features) -> list[LayerSelection]:
    """Every kept layer, and their mix where there are several."""
    single = [LayerSelection(f"layer {layer}", (layer,)) for layer in features.layers]
    return [*single, LayerSelection("mix", features.layers)] if len(single) > 1 else single


def predict_selection(
    selection: LayerSelection,
    settings: HeadSettings,
    *,
    seeds: Sequence[int],
    labels: Labels,
    control: Labels,
    features: Features,
    random_init: Features | None,
    hash_cache: HashCache,
    device: torch.device,
) -> SelectionPredictions:
    """Trains all that a selection is judged by.

    Args:
        selection: what is read.
        settings: of the head, whose own layers do not matter.
        seeds: of training.
        labels: the label column.
        control: its control task, as ``control_labels`` gives it.
        features: of the same texts.
        random_init: the same from random weights, or none.
        hash_cache: cached checksums of the files to read.
        device: where heads are trained.

    Raises:
        StoreError, DataError, TrainingError: see ``train_seed`` and ``fit_probe``.
    """

    def rows(
        title: str, head: HeadSettings, own: Labels, source: Features, some: Sequence[int]
    ) -> Rows:
        data = TrainingData(own, source, hash_cache=hash_cache, device=device)
        inputs = data.for_head(head)
        sign = -1 if head.training.metric in LOWER_IS_BETTER else 1
        heads = {}
        for seed in some:
            trained = train_seed(inputs, seed=seed, after_epoch=repr)
            heads[seed] = predict_seed(trained)[1]
            logger.info(
                "%s, %s, seed %d: dev %s %.4f",
                selection.name,
                title,
                seed,
                head.training.metric,
                sign * trained.best.dev_score,
            )
        probe = ProbeSettings(label=head.label, task=head.task, layers=selection.layers)
        return Rows(heads, fit_probe(probe, own, source, hash_cache=hash_cache).predictions)

    head = settings.resolved(settings.label_type(labels.kind)).model_copy(
        update={
            "layers": selection.layers,
            "combine": "mix" if len(selection.layers) > 1 else "concat",
        }
    )
    return SelectionPredictions(
        real=rows("head", head, labels, features, seeds),
        control=rows("control", _on_control(head, control), control, features, seeds[:1]),
        random_init=None
        if random_init is None
        else rows("floor", head, labels, random_init, seeds),
    )


def _on_control(head: HeadSettings, control: Labels) -> HeadSettings:
    """The head on its control task: of words, plain tags instead of entities."""
    label_type = label_type_for(head.task, control.kind)
    if not label_type.on_words:
        return head
    training = head.training.model_copy(update={"metric": label_type.control_metric})
    return head.model_copy(update={"scheme": None, "training": training})
