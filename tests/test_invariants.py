"""Invariant 1: training on cached states is training with the encoder in the loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from pipelines import extracted, head_settings, prepared

from pipeline.corpus.storage import read_labels, read_texts
from pipeline.encoder.forward import FrozenEncoder
from pipeline.encoder.tokenise import RowTokenizer
from pipeline.heads.model import Head
from pipeline.heads.tasks import Task
from pipeline.store.reader import open_features
from pipeline.training.examples import bring_together
from pipeline.training.loop import train
from pipeline.training.states import CachedStates, StatesSource

CPU = torch.device("cpu")


class EncoderInTheLoop:
    """Runs our encoder on each batch anew."""

    def __init__(self, encoder: Path, texts: list[Any], layer: int, max_length: int) -> None:
        self._rows = RowTokenizer(encoder, max_length=max_length)(list(dict.fromkeys(texts)))
        self._encoder = FrozenEncoder(encoder, layers=[layer], device=CPU)
        self._layer = layer
        self.width = self._encoder.width

    def read(self, rows: npt.NDArray[np.int64]) -> torch.Tensor:
        chosen = [self._rows[row] for row in rows]
        states = {position: s[self._layer].copy() for position, s in self._encoder.encode(chosen)}
        return torch.from_numpy(np.concatenate([states[position] for position in range(len(rows))]))


class TransformersInTheLoop:
    """Runs transformers' own model, one text at a time."""

    def __init__(self, encoder: Path, texts: list[Any], layer: int, max_length: int) -> None:
        from transformers import AutoModel

        self._rows = RowTokenizer(encoder, max_length=max_length)(list(dict.fromkeys(texts)))
        self._model = AutoModel.from_pretrained(encoder).eval()
        self._layer = layer
        self.width = self._model.config.hidden_size

    @torch.inference_mode()
    def read(self, rows: npt.NDArray[np.int64]) -> torch.Tensor:
        parts = []
        for row in rows:
            ids = torch.from_numpy(self._rows[row].input_ids.astype(np.int64))[None]
            output = self._model(ids, output_hidden_states=True)
            parts.append(output.hidden_states[self._layer][0].numpy())
        return torch.from_numpy(np.concatenate(parts))


def losses(states: StatesSource, folder: Path, task: Task) -> list[float]:
    """The loss of every step of a short training, and the dev loss of every epoch."""
    settings = head_settings(task)
    labels = read_labels(folder / "labels", settings.label)
    data = bring_together(labels, open_features(folder / "features"), task)
    steps: list[float] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.training.seed)
        head = Head(
            task=task,
            input_size=states.width,
            labels=len(data.names),
            recurrent=settings.recurrent,
        )
        history = train(
            head,
            states,
            train_split=data.splits["train"],
            dev_split=data.splits["dev"],
            score=len,
            settings=settings.training,
            device=CPU,
            report=repr,
            on_step=steps.append,
        )
    return [*steps, *(epoch.dev_loss for epoch in history)]


@pytest.mark.parametrize("task", ["sequence_classification", "token_classification"])
def test_losses_from_a_float32_store_equal_those_with_the_encoder_in_the_loop(
    task: Task, tiny_encoder: Path, tmp_path: Path
) -> None:
    folder = prepared(tmp_path)
    features = open_features(extracted(folder, tiny_encoder, storage_dtype="float32"))
    texts = [text for _, text in read_texts(folder / "texts")]

    cached = losses(CachedStates(features, [3], CPU), folder, task)
    live = losses(EncoderInTheLoop(tiny_encoder, texts, 3, 48), folder, task)
    plain = losses(TransformersInTheLoop(tiny_encoder, texts, 3, 48), folder, task)

    assert len(cached) > 20
    assert cached == live
    np.testing.assert_allclose(cached, plain, rtol=1e-5, atol=1e-5)
