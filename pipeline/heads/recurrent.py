"""The recurrent network of a head."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.heads.cells import PackedGRU, PackedLSTM
from pipeline.heads.packing import PackedBatch, pack_batch

_GATES = {"lstm": 4, "gru": 3}
_VECTOR = 16
"""Widths that are not multiples of this leave CPUs a rest to compute with other instructions, whose
last bits differ from those of whole vectors; which numbers the rest has depends on the batch."""


class RecurrentNetwork(nn.Module):
    """LSTM or GRU over a packed batch; outputs and gradients equal torch's on each sequence alone.

    Parameters have the names, shapes and initial distribution of ``torch.nn.LSTM`` and
    ``torch.nn.GRU``, and load to and from them.

    Args:
        input_size: width of the token states.
        hidden_size: width of one direction.
        num_layers: layers on top of each other.
        bidirectional: whether a second direction reads from the end.
        dropout: probability, between layers.
        cell: ``lstm`` or ``gru``.
    """

    def __init__(
        self,
        *,
        cell: str,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bidirectional: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.cell = cell
        self.num_layers = num_layers
        self.hidden_size = hidden_size
        self.suffixes = ("", "_reverse") if bidirectional else ("",)
        self.dropout = dropout
        self.output_size = hidden_size * len(self.suffixes)
        gates = _GATES[cell] * hidden_size
        bound = 1 / math.sqrt(hidden_size)
        for layer in range(num_layers):
            width = input_size if layer == 0 else self.output_size
            for suffix in self.suffixes:
                for name, shape in (
                    ("weight_ih", (gates, width)),
                    ("weight_hh", (gates, hidden_size)),
                    ("bias_ih", (gates,)),
                    ("bias_hh", (gates,)),
                ):
                    values = torch.empty(shape).uniform_(-bound, bound)
                    self.register_parameter(f"{name}_l{layer}{suffix}", nn.Parameter(values))

    def forward(self, tokens: Tensor, batch: PackedBatch) -> Tensor:
        """Runs over all sequences of a batch.

        Args:
            tokens: (tokens, input_size), the sequences one after another.
            batch: their layout.

        Returns:
            (tokens, directions * hidden_size), in the order of ``tokens``; at each token, the
            forward state beside the backward one.
        """
        top = self.num_layers - 1
        return self._layer(self._lower_layers(tokens, batch), batch, top, self.suffixes)

    def at_first_tokens(self, tokens: Tensor, batch: PackedBatch) -> Tensor:
        """(batch, directions * hidden_size): ``forward`` at the first token of each sequence.

        The forward direction of the top layer has read nothing but that token by then, so it takes
        one step where ``forward`` takes them all.
        """
        tokens = self._lower_layers(tokens, batch)
        first = batch.first_tokens
        single = pack_batch([1] * len(first)).to(tokens.device)
        top = self.num_layers - 1
        outputs = [self._layer(tokens.index_select(0, first), single, top, ("",))]
        if len(self.suffixes) == 2:
            backward = self._layer(tokens, batch, top, ("_reverse",))
            outputs.append(backward.index_select(0, first))
        return torch.cat(outputs, -1)

    def _lower_layers(self, tokens: Tensor, batch: PackedBatch) -> Tensor:
        for layer in range(self.num_layers - 1):
            tokens = self._layer(tokens, batch, layer, self.suffixes)
            if self.dropout:
                tokens = F.dropout(tokens, self.dropout, self.training)
        return tokens

    def _layer(
        self, tokens: Tensor, batch: PackedBatch, layer: int, suffixes: Sequence[str]
    ) -> Tensor:
        """One layer, in one direction or in both at once."""
        places = [batch.backward if suffix else batch.forward for suffix in suffixes]
        # Positions that fill up a step read zeros; no real token follows them in their row.
        blank = tokens.new_zeros(batch.positions, tokens.shape[1])
        inputs = torch.stack([blank.index_copy(0, place, tokens) for place in places])
        w_ih, w_hh, b_ih, b_hh = (
            torch.stack([self.get_parameter(f"{name}_l{layer}{suffix}") for suffix in suffixes])
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        blank_units = -self.hidden_size % _VECTOR
        if blank_units:
            w_ih = self._widen(w_ih, blank_units)
            w_hh = F.pad(self._widen(w_hh, blank_units), (0, blank_units))
            b_ih, b_hh = (self._widen(b, blank_units) for b in (b_ih, b_hh))
        steps = (batch.batch_sizes, batch.previous)
        states: Tensor
        if self.cell == "lstm":
            states = PackedLSTM.apply(inputs, w_ih, w_hh, b_ih + b_hh, *steps)  # type: ignore[no-untyped-call]
        else:
            states = PackedGRU.apply(inputs, w_ih, w_hh, b_ih, b_hh, *steps)  # type: ignore[no-untyped-call]
        outputs = [
            states[:, direction, : self.hidden_size].index_select(0, place)
            for direction, place in enumerate(places)
        ]
        return torch.cat(outputs, -1)

    def _widen(self, gates: Tensor, units: int) -> Tensor:
        """Adds units whose weights are zero, and whose states therefore stay zero, to each gate.

        Args:
            gates: (directions, gates * hidden_size, ...).
        """
        shape = (gates.shape[0], _GATES[self.cell], self.hidden_size, -1)
        wider = F.pad(gates.reshape(shape), (0, 0, 0, units))
        return wider.reshape(gates.shape[0], -1, *gates.shape[2:])
