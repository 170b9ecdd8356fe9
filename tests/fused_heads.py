"""Heads as a GPU computes them, on a CPU or on no device at all."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from launches import Launches
from torch import Tensor
from torch.autograd import Function

from pipeline.heads import fused, library_cells


def everywhere(patch: pytest.MonkeyPatch) -> None:
    """Lets heads take the path of a GPU on every device."""
    patch.setattr(fused, "DEVICES", {"cuda", "cpu", "meta"})


def as_one_kernel(patch: pytest.MonkeyPatch, counted: Launches) -> None:
    """Lets a layer of a recurrent network count as nothing, as cuDNN's kernels are its own."""
    call = library_cells.call_library

    class Library(Function):
        @staticmethod
        def forward(ctx: Any, cell: str, rest: Any, tokens: Tensor, *weights: Tensor) -> Any:
            ctx.set_materialize_grads(False)
            sizes, zeros, *more = rest
            with counted.uncounted(), torch.enable_grad():
                ctx.given = [one.detach().requires_grad_() for one in (tokens, *weights)]
                ctx.made = call(cell, ctx.given[0], sizes, zeros, ctx.given[1:], *more)
                return tuple(one.detach() for one in ctx.made)

        @staticmethod
        def backward(ctx: Any, *gradients: Tensor) -> Any:
            used = [place for place, one in enumerate(gradients) if one is not None]
            with counted.uncounted():
                found = torch.autograd.grad(
                    [ctx.made[place] for place in used],
                    ctx.given,
                    [gradients[place] for place in used],
                    allow_unused=True,
                )
            return None, None, *found

    def one_kernel(cell: str, tokens: Tensor, sizes: Any, zeros: Any, weights: Any, *more: Any):
        return Library.apply(cell, (sizes, zeros, *more), tokens, *weights)

    patch.setattr(library_cells, "call_library", one_kernel)


HEADS: dict[str, tuple[str, dict[str, Any]]] = {
    "classifier": ("sequence_classification", {}),
    "two layers": (
        "sequence_classification",
        {"recurrent": {"num_layers": 2, "locked_dropout": True, "cell": "gru"}},
    ),
    "one direction": ("sequence_classification", {"recurrent": {"bidirectional": False}}),
    "last": ("sequence_classification", {"pooling": "last"}),
    "mean": ("sequence_classification", {"pooling": "mean"}),
    "max": ("sequence_classification", {"pooling": "max"}),
    "attention": ("sequence_classification", {"pooling": "attention"}),
    "mix": ("sequence_classification", {"layers": (2, 3), "combine": "mix"}),
    "several labels": ("multilabel_classification", {"layers": (3, 2)}),
    "numbers": ("regression", {}),
    "tagger": ("token_classification", {}),
    "tagger, locked": ("token_classification", {"recurrent": {"locked_dropout": True}}),
    "tagger, mean": ("token_classification", {"subwords": "mean"}),
    "tagger, last": ("token_classification", {"subwords": "last"}),
    "tagger, mix": ("token_classification", {"layers": (2, 3), "combine": "mix"}),
    "CRF": ("token_classification", {"crf": True}),
}
"""Heads of every kind: task, and what differs from ``pipelines.head_settings``."""
