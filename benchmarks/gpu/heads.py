"""Heads on a device: equal to torch's network, how long a step takes, and what bits depend on."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import (
    PackedSequence,
    pack_padded_sequence,
    pack_sequence,
    unpack_sequence,
)

from benchmarks.contestants import padded
from benchmarks.gpu.device import heads_as_on
from benchmarks.gpu.head_work import (
    BareLabels,
    HeadWork,
    bare_epoch,
    head_work,
    new_head,
    our_epoch,
    part_of,
    same_weights,
    train_bare,
)
from benchmarks.gpu.inputs import Bench
from benchmarks.gpu.runner import Part
from benchmarks.gpu.traces import busy
from benchmarks.measure import Bar, interleaved
from pipeline.encoder.tokenised import TokenisedRow
from pipeline.heads.fused import exact_float32
from pipeline.heads.packing import pack_batch
from pipeline.heads.recurrent import RecurrentNetwork
from pipeline.training.gpu_states import StreamedStates
from pipeline.training.loop import evaluate

OVER_BARE = 1.3
ENCODER_IN_THE_LOOP = 10.0

_HIDDEN = 128


def _works(bench: Bench) -> dict[str, Callable[[], HeadWork]]:
    """The default tagger and classifier, at their lengths; made when they are needed."""
    width = bench.shapes["minilm"].width
    make = partial(head_work, bench, width=width)
    return {
        "tagger": partial(make, "tweet_entities", steps=bench.size(150, 3)),
        "classifier_128": partial(make, "news_topic", steps=bench.size(100, 2)),
        "classifier_512": partial(make, "news_topic", steps=bench.size(50, 2), max_length=512),
        "tagger_crf": partial(make, "tweet_entities", steps=bench.size(150, 3), crf=True),
    }


def steps(bench: Bench) -> Iterator[Part]:
    """Milliseconds of a step: the project's loop over bare steps of ``nn.LSTM``."""
    for name, make in _works(bench).items():

        def compared(make: Callable[[], HeadWork] = make) -> dict[str, Any]:
            work = make()
            held = work.held()
            contestants: dict[str, Callable[[], object]] = {"ours": lambda: our_epoch(work, held)}
            if not work.settings.crf:
                contestants["bare"] = bare_epoch(work)
            seconds = interleaved(contestants, rounds=bench.rounds)
            figures: dict[str, Any] = {
                f"{who}_ms": 1e3 * value / work.steps for who, value in seconds.items()
            }
            if "bare" in seconds:
                figures["ratio"] = Bar(seconds["ours"] / seconds["bare"], OVER_BARE, at_most=True)
            return figures

        yield name, compared


def busyness(bench: Bench) -> Iterator[Part]:
    """Kernel time over wall time of training, and kernels a step."""
    works = list(_works(bench).items())
    for name, make in works[: bench.size(len(works), 1)]:

        def traced(make: Callable[[], HeadWork] = make) -> dict[str, Any]:
            work = make()
            held = work.held()
            our_epoch(work, held)
            return busy(lambda: our_epoch(work, held), work.device, count=work.steps)

        yield name, traced


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
    for name, make in _works(bench).items():

        def twice(make: Callable[[], HeadWork] = make) -> dict[str, Any]:
            work = make()
            held = work.held()
            return same_weights(our_epoch(work, held), our_epoch(work, held))

        def alone(make: Callable[[], HeadWork] = make) -> dict[str, Any]:
            work = make()
            held, head = work.held(), new_head(work)
            members = list(range(min(64, len(work.split))))

            def values(some: list[int]) -> list[Any]:
                split = part_of(work.split, some)
                outputs, _ = evaluate(head, held, split, device=work.device)
                return [one.values for one in outputs]

            with heads_as_on(work.device):
                together = values(members)
                apart = [values([member])[0] for member in members]
            pairs = list(zip(together, apart, strict=True))
            return {
                "differ": sum(a.tobytes() != b.tobytes() for a, b in pairs),
                "of": len(pairs),
                "largest_difference": max(float(np.abs(a - b).max()) for a, b in pairs),
            }

        yield f"{name}_twice", twice
        yield f"{name}_alone", alone


def cache(bench: Bench) -> Iterator[Part]:
    """An epoch from the cache against one with the encoder in it, and held against streamed."""
    for shape, size in bench.shapes.items():
        for name in ("tweet_entities", "news_topic"):

            def in_the_loop(
                shape: str = shape, name: str = name, width: int = size.width
            ) -> dict[str, Any]:
                work = head_work(bench, name, steps=bench.size(50, 2), width=width)
                held = work.held()
                seconds = interleaved(
                    {
                        "cached": lambda: our_epoch(work, held),
                        "encoder": _encoder_in_the_loop(bench, work, shape),
                    },
                    rounds=bench.size(3, 1),
                )
                figures = {f"{who}_ms": 1e3 * one / work.steps for who, one in seconds.items()}
                ratio = Bar(seconds["encoder"] / seconds["cached"], ENCODER_IN_THE_LOOP)
                return {**figures, "ratio": ratio}

            yield f"{shape}_{name}", in_the_loop
    works = _works(bench)
    for name in ("tagger", "classifier_512"):

        def held_or_streamed(make: Callable[[], HeadWork] = works[name]) -> dict[str, Any]:
            work = make()
            held, streamed = work.held(), StreamedStates(work.mapped(), work.device)
            some = work.split.rows[: min(8, len(work.split))]
            same = torch.equal(held.read(some), streamed.read(some))
            seconds = interleaved(
                {
                    "held": lambda: our_epoch(work, held),
                    "streamed": lambda: our_epoch(work, streamed),
                },
                rounds=bench.rounds,
            )
            figures = {f"{who}_ms": 1e3 * one / work.steps for who, one in seconds.items()}
            return {**figures, "ratio": seconds["streamed"] / seconds["held"], "same": same}

        yield f"{name}_streamed", held_or_streamed


def _encoder_in_the_loop(bench: Bench, work: HeadWork, shape: str) -> Callable[[], None]:
    """An epoch as a plain script trains, with the frozen encoder in the fast precision."""
    from transformers import AutoModel

    folder, dtype = bench.encoder_folder(shape), getattr(torch, bench.fast)
    model = AutoModel.from_pretrained(folder, local_files_only=True, dtype=dtype)
    model = model.to(work.device).eval()

    steps = []
    for members in work.batches():
        rows = [work.rows[row] for row in work.split.rows[members].tolist()]
        steps.append((rows, BareLabels.of(work, members)))

    @torch.no_grad()
    def encoded(rows: Sequence[TokenisedRow]) -> PackedSequence:
        ids, mask = padded(rows)
        output = model(ids.to(work.device), attention_mask=mask.to(work.device))
        states = output.last_hidden_state.float()
        return pack_padded_sequence(states, mask.sum(1), batch_first=True, enforce_sorted=False)

    return lambda: train_bare(work, ((encoded(rows), labels) for rows, labels in steps))
