"""Invariant 1: training on cached states is training with the encoder in the loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from pipelines import extracted, head_inputs, head_settings, prepared

from pipeline.corpus.storage import read_texts
from pipeline.encoder.forward import FrozenEncoder
from pipeline.encoder.tokenise import RowTokenizer
from pipeline.features.reader import open_features
from pipeline.heads.feeding import StatesSource
from pipeline.heads.settings import HeadSettings
from pipeline.training.fit import new_head
from pipeline.training.loop import train
from pipeline.training.states import MappedStates

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = prepared(tmp_path_factory.mktemp("invariants"))
    extracted(where, tiny_encoder, storage_dtype="float32")
    return where


class EncoderInTheLoop(StatesSource):
    """Runs our encoder on each batch anew."""

    def __init__(self, encoder: Path, texts: list[Any], layers: list[int], max_length: int) -> None:
        self._rows = RowTokenizer(encoder, max_length=max_length)(list(dict.fromkeys(texts)))
        self._encoder = FrozenEncoder(encoder, layers=layers, device=CPU)
        self._layers = layers

    def read(self, rows: npt.NDArray[np.int64]) -> torch.Tensor:
        chosen = [self._rows[row] for row in rows]
        states = {
            position: np.concatenate([by_layer[layer] for layer in self._layers], 1)
            for position, by_layer in self._encoder.encode(chosen)
        }
        return torch.from_numpy(np.concatenate([states[position] for position in range(len(rows))]))


class TransformersInTheLoop(StatesSource):
    """Runs transformers' own model, one text at a time."""

    def __init__(self, encoder: Path, texts: list[Any], layers: list[int], max_length: int) -> None:
        from transformers import AutoModel

        self._rows = RowTokenizer(encoder, max_length=max_length)(list(dict.fromkeys(texts)))
        self._model = AutoModel.from_pretrained(encoder).eval()
        self._layers = layers

    @torch.no_grad()
    def read(self, rows: npt.NDArray[np.int64]) -> torch.Tensor:
        parts = []
        for row in rows:
            ids = torch.from_numpy(self._rows[row].input_ids.astype(np.int64))[None]
            output = self._model(ids, output_hidden_states=True)
            states = [output.hidden_states[layer][0].numpy() for layer in self._layers]
            parts.append(np.concatenate(states, 1))
        return torch.from_numpy(np.concatenate(parts))


def losses(states: StatesSource, folder: Path, settings: HeadSettings) -> list[float]:
    """The loss of every step of a short training, and the dev loss of every epoch."""
    inputs = head_inputs(folder, settings)
    data = inputs.dataset
    (seed,) = settings.training.seeds
    steps: list[float] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = new_head(inputs)
        history = train(
            head,
            states,
            train_split=data.splits["train"],
            dev_split=data.splits["dev"],
            dev_score=len,
            settings=settings.training,
            seed=seed,
            device=CPU,
            report=repr,
            on_step=steps.append,
        )
    return [*steps, *(epoch.dev_loss for epoch in history)]


@pytest.mark.parametrize(
    ("task", "changes"),
    [
        ("sequence_classification", {}),
        ("sequence_classification", {"pooling": "mean"}),
        ("sequence_classification", {"layers": (2, 3), "combine": "mix"}),
        ("multilabel_classification", {"pooling": "attention"}),
        ("regression", {"pooling": "max", "layers": (3, 2)}),
        ("token_classification", {}),
        ("token_classification", {"crf": True, "scheme": "bioes", "subwords": "mean"}),
    ],
)
def test_losses_from_a_float32_store_equal_those_with_the_encoder_in_the_loop(
    task: str, changes: dict[str, Any], tiny_encoder: Path, folder: Path
) -> None:
    settings = head_settings(task, **changes)
    features = open_features(folder / "features")
    layers = [layer % 4 for layer in settings.layers]
    texts = [text for _, text in read_texts(folder / "texts")]

    cached = losses(MappedStates(features, layers), folder, settings)
    live = losses(EncoderInTheLoop(tiny_encoder, texts, layers, 48), folder, settings)
    plain = losses(TransformersInTheLoop(tiny_encoder, texts, layers, 48), folder, settings)

    assert len(cached) > 20
    assert cached == live
    np.testing.assert_allclose(cached, plain, rtol=1e-5, atol=1e-5)
