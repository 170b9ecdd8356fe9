"""What the cache is for: epochs from it and epochs with the encoder, held and streamed states."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from benchmarks.contestants import padded
from benchmarks.gpu.bare import BareLabels, train_bare
from benchmarks.gpu.head_work import HeadWork, head_work, our_epoch, step_ms
from benchmarks.gpu.heads import works
from benchmarks.gpu.inputs import Bench
from benchmarks.gpu.runner import Part
from benchmarks.measure import Bar
from pipeline.encoder.tokenised import TokenisedRow
from pipeline.training.gpu_states import StreamedStates

ENCODER_IN_THE_LOOP = 10.0


def cache(bench: Bench) -> Iterator[Part]:
    """Steps from the cache against those with the encoder in them, and held against streamed."""
    for shape in bench.shapes:
        for name in ("tweet_entities", "news_topic"):
            yield f"{shape}_{name}", partial(_over_cached, bench, shape, name)
    for name in ("tagger", "classifier_512"):
        yield f"{name}_streamed", partial(_streamed, bench, works(bench)[name])


def _over_cached(bench: Bench, shape: str, name: str) -> dict[str, Any]:
    work = head_work(bench, name, steps=bench.size(50, 2), width=bench.shapes[shape].width)
    contestants: dict[str, Callable[[], object]] = {
        "cached": partial(our_epoch, work, work.held()),
        "encoder": _encoder_in_the_loop(bench, work, shape),
    }
    figures = step_ms(bench, work, contestants)
    return {
        **figures,
        "ratio": Bar(figures["encoder_ms"] / figures["cached_ms"], ENCODER_IN_THE_LOOP),
    }


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


def _streamed(bench: Bench, make: Callable[[], HeadWork]) -> dict[str, Any]:
    """Steps on states that the device holds, and on states that are brought to it."""
    work = make()
    held, streamed = work.held(), StreamedStates(work.mapped(), work.device)
    some = work.split.rows[:8]
    same = torch.equal(held.read(some), streamed.read(some))
    contestants = {
        "held": partial(our_epoch, work, held),
        "streamed": partial(our_epoch, work, streamed),
    }
    figures = step_ms(bench, work, contestants)
    return {**figures, "ratio": figures["streamed_ms"] / figures["held_ms"], "same": same}
