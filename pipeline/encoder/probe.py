"""Probe of a model of any type: a row in company must get the states that it gets alone.

A few random rows go through the model as transformers runs it, one at a time, and then packed or
padded as the forward pass runs them. A type whose states differ is refused, not read wrongly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from pipeline.core.command import explain
from pipeline.core.errors import EncoderError
from pipeline.encoder.hidden_states import run_layers
from pipeline.encoder.model import LoadedModel
from pipeline.encoder.tokenised import TokenisedRow

PROBE_LENGTHS = (5, 17, 200)
"""Tokens of the rows that a model is tried with; the last is longer than a sliding window."""

_TOLERANCES = {torch.float32: 1e-3, torch.float16: 0.03, torch.bfloat16: 0.15}
"""Largest difference, as a share of the largest state. Another computation differs by far more, and
rounding by far less, also in deep models."""

_CODE_POINTS = 0x0250
"""Those of Latin script."""

States = dict[int, npt.NDArray[np.float32]]
"""By layer: (tokens, width) of a row, or (rows, tokens, width) of what went through together."""


@dataclass(frozen=True)
class Probe:
    """Rows with the states that transformers computes for each of them alone.

    Attributes:
        rows: a few, of random tokens, the same in every process.
        expected: the states of each.
        loaded: the model.
        folder: where it was loaded from, for errors.
    """

    rows: list[TokenisedRow]
    expected: list[States]
    loaded: LoadedModel
    folder: Path

    @classmethod
    def of(cls, loaded: LoadedModel, layers: Sequence[int], folder: Path) -> Probe:
        """Run the rows through a model that is still as transformers loaded it.

        Raises:
            EncoderError: the model cannot be run so.
        """
        with _refusing(loaded, folder):
            rows = _probe_rows(loaded)
            expected = [_one_row(loaded, row, layers) for row in rows]
        for row, by_layer in zip(rows, expected, strict=True):
            for layer, values in by_layer.items():
                _refuse_odd_states(values, (row.length, loaded.width), f"{folder}: layer {layer}")
        return cls(rows, expected, loaded, folder)

    def compare(
        self,
        states: Callable[[Sequence[TokenisedRow]], Iterator[tuple[int, States]]],
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | None = None,
    ) -> None:
        """Compare with what another computation gives.

        Args:
            states: yields each row's index and states.
            dtype: what it computes in.
            device: where it computes, if not as the probe itself; named in the error.

        Raises:
            EncoderError: it fails, or gives other states.
        """
        kind = self.loaded.model.config.model_type
        tolerance = _TOLERANCES[dtype]
        for index, by_layer in self.run(states):
            for layer, values in by_layer.items():
                expected = self.expected[index][layer]
                difference = float(np.abs(values - expected).max())
                largest = float(np.abs(expected).max())
                if difference <= tolerance * largest:
                    continue
                if device is not None:
                    raise EncoderError(
                        f"{self.folder}: on {device} in {str(dtype).removeprefix('torch.')} it has "
                        f"other states at layer {layer} than on the CPU in float32 (by "
                        f"{difference:.1g}, the largest is {largest:.1g}); use another "
                        "compute_dtype, or ICEHOUSE_DEVICE=cpu"
                    )
                raise EncoderError(
                    f"{self.folder}: its type {kind!r} is not supported: in company a row has "
                    f"other states at layer {layer} than alone (by {difference:.1g})"
                )

    def run(
        self, states: Callable[[Sequence[TokenisedRow]], Iterator[tuple[int, States]]]
    ) -> list[tuple[int, States]]:
        """Each row's index and states by another computation, of any precision.

        Raises:
            EncoderError: it fails.
        """
        with _refusing(self.loaded, self.folder):
            return list(states(self.rows))


def _refuse_odd_states(values: npt.NDArray[np.float32], shape: tuple[int, int], where: str) -> None:
    if values.shape != shape:
        raise EncoderError(
            f"{where} has states of width {values.shape[-1]}; its config.json says {shape[1]}"
        )
    if not np.isfinite(values).all():
        raise EncoderError(f"{where} has states that are not finite; its weights are damaged")


@contextmanager
def _refusing(loaded: LoadedModel, folder: Path) -> Iterator[None]:
    """Whatever a model of a type that nobody tried may raise becomes one line that names it."""
    try:
        yield
    except Exception as error:
        if explain(error) is not None:  # the machine's fault, as too little memory is
            raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        kind = loaded.model.config.model_type
        raise EncoderError(f"{folder}: its type {kind!r} is not supported: {reason}") from error


def _probe_rows(loaded: LoadedModel) -> list[TokenisedRow]:
    """A few random rows, the same in every process."""
    rng = np.random.default_rng(0)
    # A model without a vocabulary, as CANINE is, takes the code points of characters.
    vocabulary = int(getattr(loaded.model.config, "vocab_size", None) or _CODE_POINTS)
    rows = []
    for length in (min(length, loaded.positions) for length in PROBE_LENGTHS):
        ids = rng.integers(0, vocabulary, length)
        ids[ids == loaded.padding] = (loaded.padding + 1) % vocabulary
        segments = (np.arange(length) >= length // 2).astype(np.int8)
        rows.append(TokenisedRow.bare(ids.astype(np.int32), segments))
    return rows


@torch.inference_mode()
def _one_row(loaded: LoadedModel, row: TokenisedRow, layers: Sequence[int]) -> States:
    """A row's states as transformers computes them, by layer: (tokens, width) float32."""
    inputs = {"input_ids": torch.from_numpy(row.input_ids.astype(np.int64))[None]}
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    if loaded.segments:
        inputs["token_type_ids"] = torch.from_numpy(row.segment_ids.astype(np.int64))[None]
    states = run_layers(loaded, inputs, layers)
    return {layer: values[0].numpy() for layer, values in states.items()}
