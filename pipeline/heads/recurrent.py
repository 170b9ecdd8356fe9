"""The recurrent network of a head."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.heads.dropout import dropout
from pipeline.heads.fused import is_fused
from pipeline.heads.gru import GRU_GATES, PackedGRU
from pipeline.heads.library_cells import library_final_states, library_outputs
from pipeline.heads.lstm import LSTM_GATES, PackedLSTM
from pipeline.heads.packing import Directions, PackedBatch

_ORDER = {"lstm": LSTM_GATES, "gru": GRU_GATES}
_PARAMETERS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
_VECTOR = 32
"""Widths that are not multiples of this leave CPUs a rest to compute with other instructions, whose
last bits differ from those of whole vectors; which numbers the rest has depends on the batch. Torch
takes two vectors at a time, of 16 numbers with AVX-512."""


def parameter_shapes(
    *, cell: str, input_size: int, hidden_size: int, num_layers: int, bidirectional: bool
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of a network's parameters, in the order in which they are drawn.

    One at a time: who asks for ten million layers need not be given them.
    """
    gates = len(_ORDER[cell]) * hidden_size
    directions = ("", "_reverse") if bidirectional else ("",)
    for layer in range(num_layers):
        width = input_size if layer == 0 else hidden_size * len(directions)
        for suffix in directions:
            shapes = (gates, width), (gates, hidden_size), (gates,), (gates,)
            for name, shape in zip(_PARAMETERS, shapes, strict=True):
                yield f"{name}_l{layer}{suffix}", shape


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
        locked_dropout: whether all tokens of a sequence drop the same units.
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
        locked_dropout: bool,
    ) -> None:
        super().__init__()
        self.cell = cell
        self.num_layers = num_layers
        self.hidden_size = hidden_size
        self.directions: Directions = ("", "_reverse") if bidirectional else ("",)
        self.dropout = dropout
        self.locked_dropout = locked_dropout
        self.output_size = hidden_size * len(self.directions)
        bound = 1 / math.sqrt(hidden_size)
        for name, shape in parameter_shapes(
            cell=cell,
            input_size=input_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            bidirectional=bidirectional,
        ):
            values = torch.empty(shape).uniform_(-bound, bound)
            self.register_parameter(name, nn.Parameter(values))

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
        return self._layer(self._lower_layers(tokens, batch), batch, top, self.directions)

    def at_first_tokens(self, tokens: Tensor, batch: PackedBatch) -> Tensor:
        """(batch, directions * hidden_size): ``forward`` at the first token of each sequence.

        The forward direction of the top layer has read nothing but that token by then, so it takes
        one step where ``forward`` takes them all.
        """
        tokens = self._lower_layers(tokens, batch)
        top = self.num_layers - 1
        first = tokens.index_select(0, batch.first_tokens)
        outputs = [self._layer(first, batch.single_tokens, top, ("",))]
        if len(self.directions) == 2:
            outputs.append(self._final_states(tokens, batch, top, ("_reverse",)))
        return torch.cat(outputs, -1)

    def final_states(self, tokens: Tensor, batch: PackedBatch) -> Tensor:
        """(batch, directions * hidden_size): each direction when it has read the whole sequence.

        The forward state at the last token beside the backward state at the first: torch's ``h_n``
        of the top layer.
        """
        tokens = self._lower_layers(tokens, batch)
        return self._final_states(tokens, batch, self.num_layers - 1, self.directions)

    def _lower_layers(self, tokens: Tensor, batch: PackedBatch) -> Tensor:
        for layer in range(self.num_layers - 1):
            tokens = self._layer(tokens, batch, layer, self.directions)
            if self.training and self.dropout:
                tokens = dropout(tokens, self.dropout, batch if self.locked_dropout else None)
        return tokens

    def _final_states(
        self, tokens: Tensor, batch: PackedBatch, layer: int, directions: Directions
    ) -> Tensor:
        """One layer's states when each of some directions has read the whole sequence."""
        if is_fused(tokens.device):
            weights = self._weights(layer, directions)
            return library_final_states(self.cell, weights, tokens, batch, directions)
        outputs = self._layer(tokens, batch, layer, directions)
        if directions == ("_reverse",):
            return outputs.index_select(0, batch.first_tokens)
        forward = outputs[:, : self.hidden_size].index_select(0, batch.last_tokens)
        backward = outputs[:, self.hidden_size :].index_select(0, batch.first_tokens)
        return torch.cat([forward, backward], -1)

    def _layer(
        self, tokens: Tensor, batch: PackedBatch, layer: int, directions: Directions
    ) -> Tensor:
        """One layer, in one direction or in both at once."""
        if is_fused(tokens.device):
            weights = self._weights(layer, directions)
            return library_outputs(self.cell, weights, tokens, batch, directions)
        w_ih, w_hh, b_ih, b_hh = (self._stacked(name, layer, directions) for name in _PARAMETERS)
        blank_units = -self.hidden_size % _VECTOR
        if blank_units:
            w_hh = F.pad(w_hh, (0, blank_units))
        layout = batch.layout(directions)
        states: Tensor
        if self.cell == "lstm":
            states = PackedLSTM.apply(tokens, w_ih, w_hh, b_ih + b_hh, layout)  # type: ignore[no-untyped-call]
        else:
            states = PackedGRU.apply(tokens, w_ih, w_hh, b_ih, b_hh, layout)  # type: ignore[no-untyped-call]
        if not blank_units:
            return states
        return states.view(len(states), len(directions), -1)[..., : self.hidden_size].flatten(1)

    def _weights(self, layer: int, directions: Directions) -> list[Tensor]:
        """Parameters of a layer, in torch's order."""
        return [
            self.get_parameter(f"{name}_l{layer}{suffix}")
            for suffix in directions
            for name in _PARAMETERS
        ]

    def _stacked(self, name: str, layer: int, directions: Directions) -> Tensor:
        """(directions, gates * width, ...): a parameter as the cells take it.

        Gates are put in the cells' order, the last of them doubled, and widened by units whose
        weights are zero, and whose states therefore stay zero, to whole vectors.
        """
        gates: list[Tensor] = []
        for suffix in directions:
            parts = self.get_parameter(f"{name}_l{layer}{suffix}").split(self.hidden_size)
            *others, last = (parts[gate] for gate in _ORDER[self.cell])
            gates += [*others, 2 * last]
        blank_units = -self.hidden_size % _VECTOR
        if blank_units:
            gates = [F.pad(gate, (*(0, 0) * (gate.dim() - 1), 0, blank_units)) for gate in gates]
        stacked = torch.cat(gates)
        return stacked.view(len(directions), -1, *stacked.shape[1:])
