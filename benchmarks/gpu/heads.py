"""Heads on a device: equal to torch's network, how long a step takes, and what bits depend on."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import (
    pack_sequence,
    unpack_sequence,
)

from benchmarks.gpu.bare import bare_epoch
from benchmarks.gpu.device import heads_as_on
from benchmarks.gpu.head_work import (
    HeadWork,
    head_work,
    new_head,
    our_epoch,
    part_of,
    same_weights,
    step_ms,
)
from benchmarks.gpu.inputs import Bench
from benchmarks.gpu.runner import Part
from benchmarks.gpu.traces import busy
from benchmarks.measure import Bar
from pipeline.heads.fused import exact_float32
from pipeline.heads.packing import pack_batch
from pipeline.heads.recurrent import RecurrentNetwork
from pipeline.training.loop import evaluate

OVER_BARE = 1.3

_HIDDEN = 128

_SCORED = 64
"""Texts that are scored together, and each alone."""


def works(bench: Bench) -> dict[str, Callable[[], HeadWork]]:
    """The default tagger and classifier, at their lengths; made when they are needed."""
    make = partial(head_work, bench, width=bench.shapes["minilm"].width)
    return {
        "tagger": partial(make, "tweet_entities", steps=bench.size(150, 3)),
        "classifier_128": partial(make, "news_topic", steps=bench.size(100, 2)),
        "classifier_512": partial(make, "news_topic", steps=bench.size(50, 2), max_length=512),
        "tagger_crf": partial(make, "tweet_entities", steps=bench.size(150, 3), crf=True),
    }


def steps(bench: Bench) -> Iterator[Part]:
    """Milliseconds of a step: the project's loop over bare steps of ``nn.LSTM``."""
    for name, make in works(bench).items():
        yield name, partial(_over_bare, bench, make)


def _over_bare(bench: Bench, make: Callable[[], HeadWork]) -> dict[str, Any]:
    work = make()
    contestants: dict[str, Callable[[], object]] = {"ours": partial(our_epoch, work, work.held())}
    if work.settings.crf:  # torch has none to compare with
        return step_ms(bench, work, contestants)
    figures = step_ms(bench, work, contestants | {"bare": bare_epoch(work)})
    ratio = Bar(figures["ours_ms"] / figures["bare_ms"], OVER_BARE, at_most=True)
    return {**figures, "ratio": ratio}


def busyness(bench: Bench) -> Iterator[Part]:
    """Kernel time over wall time of training, and kernels a step."""
    chosen = list(works(bench).items())
    for name, make in chosen[: bench.size(len(chosen), 1)]:
        yield name, partial(_busy, make)


def _busy(make: Callable[[], HeadWork]) -> dict[str, Any]:
    work = make()
    run = partial(our_epoch, work, work.held())
    run()
    return busy(run, work.device, count=work.steps)


def equality(bench: Bench) -> Iterator[Part]:
    """Outputs and gradients, as shares of the largest, against ``nn.LSTM`` in float64 on a CPU."""
    width = bench.shapes["minilm"].width
    lengths = [row.length for row in bench.rows("tweets")[: bench.size(28, 4)]]
    lengths += [row.length for row in bench.rows("news")[: bench.size(4, 1)]]
    torch.manual_seed(0)
    network = RecurrentNetwork(
        cell="lstm",
        input_size=width,
        hidden_size=_HIDDEN,
        num_layers=2,
        bidirectional=True,
        dropout=0.0,
        locked_dropout=False,
    )
    library = nn.LSTM(width, _HIDDEN, 2, bidirectional=True)
    library.load_state_dict(network.state_dict())
    names = [name for name, _ in library.named_parameters()]
    tokens, pull = torch.randn(sum(lengths), width), torch.randn(sum(lengths), 2 * _HIDDEN)

    def of_library(device: torch.device, dtype: torch.dtype) -> list[Tensor]:
        net = copy.deepcopy(library).to(device, dtype)
        inputs = tokens.to(device, dtype).requires_grad_()
        packed = pack_sequence(list(inputs.split(lengths)), enforce_sorted=False)
        outputs = torch.cat(unpack_sequence(net(packed)[0]))
        return [outputs.detach(), *_gradients(outputs, pull, [inputs, *net.parameters()])]

    def of_ours(device: torch.device) -> list[Tensor]:
        net = copy.deepcopy(network).to(device)
        inputs = tokens.to(device).requires_grad_()
        outputs = net(inputs, pack_batch(lengths).to(device))
        weights = [net.get_parameter(name) for name in names]
        return [outputs.detach(), *_gradients(outputs, pull, [inputs, *weights])]

    exact = of_library(bench.cpu, torch.float64)
    with exact_float32():  # a part runs where it is yielded, inside
        with heads_as_on(bench.device):
            yield "ours", lambda: _off(of_ours(bench.device), exact)
        yield "ours_on_the_cpu", lambda: _off(of_ours(bench.cpu), exact)
        yield "nn_lstm", lambda: _off(of_library(bench.device, torch.float32), exact)
    yield "nn_lstm_as_torch_sets_it", lambda: _off(of_library(bench.device, torch.float32), exact)


def _gradients(outputs: Tensor, pull: Tensor, of: Sequence[Tensor]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(outputs, of, pull.to(outputs.device, outputs.dtype))


def _off(found: Sequence[Tensor], exact: Sequence[Tensor]) -> dict[str, float]:
    shares = [
        ((one.cpu().double() - right).abs().max() / right.abs().max()).item()
        for one, right in zip(found, exact, strict=True)
    ]
    return {"outputs": shares[0], "of_inputs": shares[1], "of_weights": max(shares[2:])}


def sameness(bench: Bench) -> Iterator[Part]:
    """Whether one seed gives the same weights twice, and a text the same answer in company."""
    for name, make in works(bench).items():
        yield f"{name}_twice", partial(_twice, make)
        yield f"{name}_alone", partial(_alone, make)


def _twice(make: Callable[[], HeadWork]) -> dict[str, Any]:
    work = make()
    held = work.held()
    return same_weights(our_epoch(work, held), our_epoch(work, held))


def _alone(make: Callable[[], HeadWork]) -> dict[str, Any]:
    """Texts whose outputs differ between a batch of many and one of their own."""
    work = make()
    held, head = work.held(), new_head(work)
    members = list(range(min(_SCORED, len(work.split))))

    def values(some: list[int]) -> list[npt.NDArray[np.float64]]:
        split = part_of(work.split, some)
        outputs, _ = evaluate(head, held, split, device=work.device)
        return [one.values for one in outputs]

    with heads_as_on(work.device):
        pairs = [
            (together, *values([member]))
            for member, together in zip(members, values(members), strict=True)
        ]
    return {
        "differ": sum(one.tobytes() != other.tobytes() for one, other in pairs),
        "of": len(pairs),
        "largest_difference": max(float(np.abs(one - other).max()) for one, other in pairs),
    }
