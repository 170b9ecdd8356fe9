"""Weights of a head on disk: what is expected of a file is what a head has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pipelines import head_settings, label_type_of, new_head

from pipeline.heads.settings import HeadSettings
from pipeline.heads.weights import read_weights, weight_shapes, write_weights
from pipeline.tasks.registry import tasks

NAMES = ["B-x", "I-x", "O"]
HEADS: list[tuple[str, dict[str, Any]]] = [
    *((task, {}) for task in tasks()),
    ("token_classification", {"crf": True}),
    ("token_classification", {"crf": True, "label": "pos", "layers": (1, 2)}),
    ("sequence_classification", {"pooling": "attention", "layers": (1, 2), "combine": "mix"}),
    ("sequence_classification", {"pooling": "mean_max"}),
    ("regression", {"recurrent": {"cell": "gru", "num_layers": 3, "bidirectional": False}}),
]


def shapes_of(settings: HeadSettings, names: list[str]) -> dict[str, tuple[int, ...]]:
    return dict(weight_shapes(settings, label_type_of(settings), names, width=8))


@pytest.mark.parametrize(("task", "changes"), HEADS)
def test_shapes_are_those_of_the_head(task: str, changes: dict[str, Any]) -> None:
    settings = head_settings(task, **changes)
    names = [] if task == "regression" else NAMES
    state = new_head(settings, names, width=8).state_dict()
    assert shapes_of(settings, names) == {name: tuple(one.shape) for name, one in state.items()}


def test_shapes_of_any_size_are_given_one_at_a_time() -> None:
    settings = head_settings("regression", recurrent={"num_layers": 10**12, "hidden_size": 10**30})
    shapes = weight_shapes(settings, label_type_of(settings), [], width=10**9)
    assert next(shapes) == ("recurrent.weight_ih_l0", (4 * 10**30, 10**9))


def test_weights_are_read_as_they_were_written(tmp_path: Path) -> None:
    tensors = {"b": torch.arange(6.0).view(2, 3), "a": torch.ones(())}
    write_weights(tmp_path / "weights", tensors)
    shapes = [(name, tuple(tensor.shape)) for name, tensor in tensors.items()]
    read = read_weights(tmp_path / "weights", iter(shapes))
    assert read.keys() == tensors.keys()
    assert all(torch.equal(read[name], tensors[name]) for name in tensors)
    for other in (shapes[:1], [*shapes, ("c", ())], [("b", (3, 2)), shapes[1]]):
        with pytest.raises(ValueError, match=r"weights|shape"):
            read_weights(tmp_path / "weights", iter(other))
