"""The head: token states in, logits out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.heads.constraints import allowed_sequences
from pipeline.heads.crf import LinearChainCRF
from pipeline.heads.dropout import dropout
from pipeline.heads.layer_mix import LayerMix
from pipeline.heads.linear import BatchInvariantLinear
from pipeline.heads.packing import PackedBatch, pack_batch
from pipeline.heads.pooling import AttentionPooling, pool
from pipeline.heads.recurrent import RecurrentNetwork
from pipeline.heads.settings import HeadSettings
from pipeline.heads.word_layout import WordLayout, read_words


class Head(nn.Module):
    """Layers of the encoder, a recurrent network over them, and a linear layer per text or word.

    Args:
        settings: what it is made of.
        width: of one layer's states.
        names: the labels that it tells apart; none for a number.
    """

    target_mean: Tensor
    target_scale: Tensor

    def __init__(self, settings: HeadSettings, *, width: int, names: Sequence[str]) -> None:
        super().__init__()
        self.settings = settings
        self.width = width
        self.names = list(names)
        recurrent = settings.recurrent
        mixes = settings.combine == "mix"
        self.mix = LayerMix(len(settings.layers)) if mixes else None
        self.recurrent = RecurrentNetwork(
            cell=recurrent.cell,
            input_size=width if mixes else width * len(settings.layers),
            hidden_size=recurrent.hidden_size,
            num_layers=recurrent.num_layers,
            bidirectional=recurrent.bidirectional,
            dropout=recurrent.dropout,
            locked_dropout=recurrent.locked_dropout,
        )
        size = self.recurrent.output_size
        self.attention = AttentionPooling(size) if settings.pooling == "attention" else None
        self.output = BatchInvariantLinear(size, max(1, len(names)))
        self.crf = None
        if settings.crf:
            self.crf = LinearChainCRF(len(names), allowed_sequences(self.names, settings.scheme))
        if settings.task == "regression":
            # The network learns numbers of mean 0 and deviation 1; these bring them back.
            self.register_buffer("target_mean", torch.zeros(()))
            self.register_buffer("target_scale", torch.ones(()))

    def forward(
        self, tokens: Tensor, batch: PackedBatch, words: WordLayout | None = None
    ) -> Tensor:
        """Logits of a batch whose sequences stand one after another, without padding.

        Args:
            tokens: (tokens, layers * width) float32, the layers side by side.
            batch: the layout of the sequences.
            words: where their words stand, for token classification.

        Returns:
            (batch, labels); (batch, 1), in the unit of the targets, for regression; or (words,
            labels) for token classification, of all words that have a token.
        """
        if self.mix is not None:
            tokens = self.mix(tokens)
        if words is None:
            pooling = self.settings.pooling or "cls"
            outputs = pool(self.recurrent, tokens, batch, pooling, self.attention)
        else:
            outputs = self.recurrent(tokens, batch)
        outputs = self._drop(outputs, batch, per_token=words is not None)
        if words is not None:
            outputs = read_words(outputs, words, self.settings.subwords or "first")
        logits: Tensor = self.output(outputs)
        if self.settings.task == "regression":
            logits = logits * self.target_scale + self.target_mean
        return logits

    def padded(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Logits of a padded batch, for use beside other PyTorch code.

        Args:
            hidden: (batch, tokens, layers * width) float32.
            mask: (batch, tokens) bool, ``True`` at real tokens, which come first in each row.

        Returns:
            (batch, labels); or (batch, tokens, labels) for token classification, a label for every
            token as if it were a word, with zeros at padding.
        """
        batch = pack_batch(mask.sum(1).tolist()).to(hidden.device)
        if not self.settings.on_words:
            return self(hidden[mask], batch)  # type: ignore[no-any-return]
        every = torch.arange(batch.tokens, device=hidden.device)
        words = WordLayout(batch.lengths.tolist(), every, torch.ones_like(every), longest=1)
        logits: Tensor = self(hidden[mask], batch, words)
        return logits.new_zeros(*mask.shape, logits.shape[-1]).masked_scatter(
            mask[..., None], logits
        )

    def _drop(self, outputs: Tensor, batch: PackedBatch, *, per_token: bool) -> Tensor:
        recurrent = self.settings.recurrent
        if not self.training or not recurrent.dropout:
            return outputs
        owners = batch.owners if recurrent.locked_dropout and per_token else None
        return dropout(outputs, recurrent.dropout, owners)
