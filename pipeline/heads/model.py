"""The head: token states in, logits out."""

from __future__ import annotations

from torch import Tensor, nn

from pipeline.heads.linear import RowPureLinear
from pipeline.heads.packing import PackedBatch, pack_batch
from pipeline.heads.recurrent import RecurrentNetwork
from pipeline.heads.settings import RecurrentSettings, Task


class Head(nn.Module):
    """A recurrent network over token states, and a linear layer at ``[CLS]`` or at every token.

    At ``[CLS]``, the first token, the forward direction has read that token only and the backward
    direction the whole text; the encoder's attention has already put the text into both.

    Args:
        task: ``sequence_classification`` or ``token_classification``.
        input_size: width of the token states: that of the encoder times the layers read.
        labels: number of labels.
        recurrent: settings of the network.
    """

    def __init__(
        self, *, task: Task, input_size: int, labels: int, recurrent: RecurrentSettings
    ) -> None:
        super().__init__()
        self.task = task
        self.recurrent = RecurrentNetwork(
            cell=recurrent.cell,
            input_size=input_size,
            hidden_size=recurrent.hidden_size,
            num_layers=recurrent.num_layers,
            bidirectional=recurrent.bidirectional,
            dropout=recurrent.dropout,
        )
        self.dropout = nn.Dropout(recurrent.dropout)
        self.output = RowPureLinear(self.recurrent.output_size, labels)

    def forward(self, tokens: Tensor, batch: PackedBatch) -> Tensor:
        """Logits of a batch whose sequences stand one after another, without padding.

        Args:
            tokens: (tokens, input_size) float32.
            batch: the layout of its sequences.

        Returns:
            (batch, labels) for sequence classification, (tokens, labels) for token classification.
        """
        if self.task == "sequence_classification":
            outputs = self.recurrent.at_first_tokens(tokens, batch)
        else:
            outputs = self.recurrent(tokens, batch)
        return self.output(self.dropout(outputs))  # type: ignore[no-any-return]

    def padded(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Logits of a padded batch, for use beside other PyTorch code.

        Args:
            hidden: (batch, tokens, input_size) float32.
            mask: (batch, tokens) bool, ``True`` at real tokens, which come first in each row.

        Returns:
            (batch, labels), or (batch, tokens, labels) with zeros at padding.
        """
        batch = pack_batch(mask.sum(1).tolist()).to(hidden.device)
        logits: Tensor = self(hidden[mask], batch)
        if self.task == "sequence_classification":
            return logits
        return logits.new_zeros(*mask.shape, logits.shape[-1]).masked_scatter(
            mask[..., None], logits
        )
