"""Weights of a head on disk: safetensors, of which nothing is read before its sizes are right."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from pipeline.core.reading import open_regular
from pipeline.core.tensor_header import TensorEntry, read_tensor_header
from pipeline.heads.pairs import joined_size
from pipeline.heads.pooling import pooled_size
from pipeline.heads.recurrent import parameter_shapes
from pipeline.heads.settings import HeadSettings
from pipeline.tasks.label_type import LabelType

Shape = tuple[int, ...]

_MOST_HEADER = 1 << 20
"""Bytes of a header: ten thousand tensors, where a head of many layers has a hundred."""

_FLOAT32_BYTES = 4


def weight_shapes(
    settings: HeadSettings,
    label_type: LabelType,
    labels: Sequence[str],
    *,
    width: int,
    pairs_apart: bool = False,
) -> Iterator[tuple[str, Shape]]:
    """Names and shapes of a head's weights, one at a time and without the head.

    A forged description may ask for more than any machine has; this asks for nothing.

    Raises:
        ValueError: there is nothing to tell apart.
    """
    layers, cell = len(settings.layers), settings.recurrent
    if settings.combine == "mix":
        yield "mix.weights", (layers,)
        yield "mix.scale", ()
    size = cell.hidden_size * (2 if cell.bidirectional else 1)
    for name, shape in parameter_shapes(
        cell=cell.cell,
        input_size=width if settings.combine == "mix" else width * layers,
        hidden_size=cell.hidden_size,
        num_layers=cell.num_layers,
        bidirectional=cell.bidirectional,
    ):
        yield f"recurrent.{name}", shape
    if settings.pooling == "attention":
        yield "attention.query.weight", (1, size)
        yield "attention.query.bias", (1,)
    outputs = label_type.outputs(labels)
    if outputs < 1:
        raise ValueError("there are no labels")
    if pairs_apart and settings.on_words:
        raise ValueError("labels are of words, and texts are pairs")
    read = pooled_size(settings.pooling or "cls", size)
    yield "output.weight", (outputs, joined_size(read) if pairs_apart else read)
    yield "output.bias", (outputs,)
    if settings.crf:
        yield "crf.transitions", (len(labels), len(labels))
        yield "crf.start", (len(labels),)
        yield "crf.end", (len(labels),)
    if label_type.link == "identity":
        yield "target_mean", ()
        yield "target_scale", ()


def write_weights(path: Path, tensors: dict[str, Tensor]) -> None:
    """Writes tensors; what the disk refuses is an error of the system, as with any other file.

    They carry no metadata: with more than one key its order, and so the bytes, would vary.
    """
    path.write_bytes(save(tensors))


def read_weights(path: Path, shapes: Iterator[tuple[str, Shape]]) -> dict[str, Tensor]:
    """Reads tensors that must be these, all float32 and finite.

    Header, shapes and size of the file are compared first: a file that does not fit costs as much
    as its header.

    Raises:
        OSError: the file is absent, or is none.
        ValueError: it holds anything else.
    """
    with open_regular(path) as file:
        entries, data_bytes = read_tensor_header(file, limit=_MOST_HEADER)
        _check(entries, shapes, data_bytes=data_bytes)
        file.seek(0)
        data = file.read()
    try:
        tensors = load(data)
    except SafetensorError as error:
        raise ValueError(str(error)) from None
    # One number that is not finite makes a sum of them that is not: much less than a look at each.
    if not all(bool(tensor.sum().isfinite()) for tensor in tensors.values()):
        raise ValueError("a weight is not a finite number")
    return tensors


def _check(
    entries: Mapping[str, TensorEntry], shapes: Iterator[tuple[str, Shape]], *, data_bytes: int
) -> None:
    """Compares a header with what must be there.

    Raises:
        ValueError: it is otherwise.
    """
    names: set[str] = set()
    numbers = 0
    for name, shape in shapes:
        if name not in entries or entries[name].shape != shape or entries[name].dtype != "F32":
            raise ValueError(f"{name} is not of shape {shape} and float32")
        names.add(name)
        numbers += math.prod(shape)
    if len(names) != len(entries) or numbers * _FLOAT32_BYTES != data_bytes:
        raise ValueError("the weights are not those of the head")
