"""Sizes of an encoder's weights, by the headers of their files, and a bound on the model by them.

A configuration of a few bytes may describe a model of any size. What is built for it has about as
many numbers as its weights, or it is not their model.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from torch.nn.modules import module

from pipeline.core.errors import EncoderError
from pipeline.core.reading import open_regular
from pipeline.core.tensor_header import read_tensor_header
from pipeline.encoder.roles import is_weights_name
from pipeline.encoder.snapshot import EncoderSnapshot

_LONGEST_HEADER = 1 << 24
"""Bytes: a hundred thousand tensors, where a large encoder has a thousand."""

_ROOM = 3
"""Times the tensors and numbers of its weights that a model may register: each when it is built
and when it is read, and a pooler, which weights often lack."""

_SPARE_TENSORS, _SPARE_NUMBERS = 1000, 1 << 24
"""Of buffers, which weights lack too: 64 MiB."""

_MOST_NUMBERS_OF_BYTE = 2
"""In the smallest types there are."""


class WeightSizes(NamedTuple):
    """Sizes of all weights of an encoder: how many tensors, and numbers in all of them."""

    tensors: int
    numbers: int


def weight_sizes(snapshot: EncoderSnapshot) -> WeightSizes:
    """Sizes of weights, as the headers of their files have them; no number is read.

    Raises:
        EncoderError: a file is no whole file of safetensors weights.
    """
    names = [name for name in snapshot.weights if is_weights_name(name)]
    sizes = [_sizes(snapshot.folder / name) for name in names]
    return WeightSizes(sum(size.tensors for size in sizes), sum(size.numbers for size in sizes))


@contextmanager
def no_larger_than(sizes: WeightSizes, folder: Path) -> Iterator[None]:
    """Ends the building of a model as soon as it is larger than weights of these sizes can be.

    transformers builds a model on no device first: its parameters have sizes and no memory.

    Raises:
        EncoderError: it is larger.
    """
    tensors = _ROOM * sizes.tensors + _SPARE_TENSORS
    numbers = _ROOM * sizes.numbers + _SPARE_NUMBERS

    def count(_module: object, _name: str, tensor: Any) -> None:
        nonlocal tensors, numbers
        if tensor is None:
            return
        tensors -= 1
        numbers -= tensor.numel()
        if tensors < 0 or numbers < 0:
            raise EncoderError(
                f"{folder}: its config.json describes a model that is far larger than its weights, "
                f"which hold {sizes.numbers:,} numbers; one of the two is of another model"
            )

    hooks = [
        module.register_module_parameter_registration_hook(count),
        module.register_module_buffer_registration_hook(count),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _sizes(path: Path) -> WeightSizes:
    try:
        with open_regular(path) as file:
            tensors, data = read_tensor_header(file, limit=_LONGEST_HEADER)
    except ValueError as error:
        raise _damaged(path, str(error)) from None
    numbers = sum(math.prod(tensor.shape) for tensor in tensors.values())
    if numbers > _MOST_NUMBERS_OF_BYTE * data:
        raise _damaged(path, "its header lists more numbers than the file can hold")
    return WeightSizes(len(tensors), numbers)


def _damaged(path: Path, problem: str) -> EncoderError:
    return EncoderError(
        f"{path}: is no whole file of safetensors weights: {' '.join(problem.split()):.200}; "
        f"remove {path.parent} and run `dvc repro`"
    )
