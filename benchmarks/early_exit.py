"""What one layer costs: nothing above the highest kept layer is computed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from benchmarks.corpora import default_encoder, default_texts
from benchmarks.measure import Bar, interleaved, report, table
from pipeline.core.environment import use_threads
from pipeline.encoder.forward import FrozenEncoder
from pipeline.encoder.snapshot import read_snapshot
from pipeline.encoder.tokenise import RowTokenizer
from pipeline.encoder.tokenised import TokenisedRow

TEXTS = 600
CPU = torch.device("cpu")


def main() -> None:
    """Prints seconds for the middle layer and for the last, and the bar."""
    use_threads()
    with tempfile.TemporaryDirectory(prefix="icehouse-bench-") as name:
        encoder = default_encoder(Path(name))
        depth = read_snapshot(encoder, verify=False).depth
        middle = depth // 2
        texts = list(dict.fromkeys(default_texts(Path(name), "tweets")))[:TEXTS]
        rows = RowTokenizer(encoder, max_length=128)(texts)
        whole = FrozenEncoder(encoder, layers=[middle, depth], device=CPU)
        part = FrozenEncoder(encoder, layers=[middle], device=CPU)
        _same_values(whole, part, rows, middle)
        full, half = f"layer {depth} of {depth}", f"layer {middle} of {depth}"
        seconds = interleaved({full: _run(whole, rows), half: _run(part, rows)})
    table(f"{len(rows)} tweets", seconds, "s")
    overhead = seconds[half] / (seconds[full] * middle / depth)
    report("early_exit", {"overhead": Bar(overhead, 1.10, at_most=True)})


def _run(encoder: FrozenEncoder, rows: Sequence[TokenisedRow]) -> Callable[[], None]:
    def run() -> None:
        for _ in encoder.encode(rows):
            pass

    return run


def _same_values(
    whole: FrozenEncoder, part: FrozenEncoder, rows: Sequence[TokenisedRow], layer: int
) -> None:
    """Stops where the early exit gives other values than the full model."""
    for (row, states), (other_row, others) in zip(
        whole.encode(rows), part.encode(rows), strict=True
    ):
        if row != other_row or not (states[layer] == others[layer]).all():
            raise SystemExit(f"row {row}: layer {layer} differs")


if __name__ == "__main__":
    main()
