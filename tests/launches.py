"""What a GPU would be asked to do, counted without one.

Operations are counted as torch dispatches them, below autograd, so that backward passes count too
where they run in the same thread, as they do on CPUs. A view, or memory that nothing is written to,
launches nothing; a fused or ``_foreach`` operation launches one. An operation that torch composes
of others inside one kernel's library call, such as a recurrent layer of cuDNN, has no such kernel
on a CPU: ``uncounted`` runs what stands in for it.

Copies from the host are visible where device and host differ: on the ``meta`` device, which holds
no values, they are, and what would wait for values, such as ``item`` or ``nonzero``, is an error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_MEMORY = {
    "_record_function_enter_new",
    "_record_function_exit",
    "_reshape_alias",
    "_unsafe_view",
    "detach",
    "empty",
    "empty_like",
    "empty_strided",
    "is_same_size",
    "lift_fresh",
    "new_empty",
    "new_empty_strided",
    "resize_",
    "set_",
}
"""Operations that launch nothing, and that torch does not call views."""

_TWO = {"index_add", "index_copy", "scatter", "scatter_add", "select_backward", "slice_backward"}
"""Operations that copy or clear what they then write to."""

_WAITING = {
    "_local_scalar_dense",
    "_unique2",
    "equal",
    "is_nonzero",
    "masked_select",
    "nonzero",
    "repeat_interleave",
    "unique_dim",
}
"""Operations whose result, or its size, the host waits for."""


class Launches(TorchDispatchMode):
    """Counts operations while the block runs.

    Attributes:
        by_name: launches, by the operation's name.
        waits: operations that the host waits for, by name.
        copies: copies between devices that the host waits for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.by_name: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()
        self.copies = 0
        self._paused = False

    @property
    def operations(self) -> int:
        """Launches of kernels and copies."""
        return self.by_name.total()

    @property
    def synchronisations(self) -> int:
        """What the host waits for: values, sizes that depend on values, and blocking copies."""
        return self.waits.total() + self.copies

    @contextmanager
    def uncounted(self) -> Iterator[None]:
        """Counts nothing while the block runs."""
        before, self._paused = self._paused, True
        try:
            yield
        finally:
            self._paused = before

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if not self._paused:
            self._count(func, args, kwargs, result)
        return result

    def _count(self, func: Any, args: tuple[Any, ...], kwargs: Any, result: Any) -> None:
        name = func.overloadpacket.__name__
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if name in _WAITING or (name == "index" and _is_by_mask(args)):
            self.waits[name] += 1
        made = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        if name in _MEMORY or (func.is_view and _are_views(made, given)):
            return
        self.by_name[name] += 2 if name in _TWO else 1
        between = len({tensor.device for tensor in (*given, *made)}) > 1
        self.copies += between and not _is_asynchronous(func, args, kwargs)


def _are_views(made: list[Tensor], given: list[Tensor]) -> bool:
    """Whether what is made is memory that was given; ``to`` and ``reshape`` may also copy."""
    owned = {tensor.untyped_storage()._cdata for tensor in given}
    return all(tensor.untyped_storage()._cdata in owned for tensor in made)


def _is_asynchronous(func: Any, args: tuple[Any, ...], kwargs: Any) -> bool:
    """Whether a copy between devices is told not to wait."""
    for place, argument in enumerate(func._schema.arguments):
        if argument.name == "non_blocking":
            return bool(args[place] if place < len(args) else kwargs.get("non_blocking", False))
    return True  # no copy: an operation that takes a number from the host


def _is_by_mask(args: tuple[Any, ...]) -> bool:
    """Whether an index is a mask, whose number of places the host waits for."""
    return any(one is not None and one.dtype in (torch.bool, torch.uint8) for one in args[1])
