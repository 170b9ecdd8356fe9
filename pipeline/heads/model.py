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
from pipeline.heads.settings import HeadSettings, RecurrentSettings
from pipeline.heads.word_layout import WordLayout, read_words
from pipeline.tasks.label_type import IGNORE, LabelType


class Head(nn.Module):
    """Layers of the encoder, a recurrent network over them, and a linear layer per text or word.

    Args:
        label_type: what it learns.
        names: the labels that it tells apart; none for numbers.
        width: of one layer's states.
        layers: how many layers it reads.
        combine: ``concat`` or ``mix``.
        recurrent: its network.
        pooling: for labels on texts; see ``pipeline.heads.pooling``.
        subwords: for labels on words: ``first``, ``last`` or ``mean`` of a word's tokens.
        crf: whether neighbouring labels are decided together.
    """

    target_mean: Tensor
    target_scale: Tensor

    def __init__(
        self,
        label_type: LabelType,
        names: Sequence[str],
        *,
        width: int,
        layers: int,
        combine: str,
        recurrent: RecurrentSettings,
        pooling: str | None = None,
        subwords: str | None = None,
        crf: bool = False,
    ) -> None:
        super().__init__()
        self.label_type = label_type
        self.names = list(names)
        self.pooling = pooling or "cls"
        self.subwords = subwords or "first"
        mixes = combine == "mix"
        self.mix = LayerMix(layers) if mixes else None
        self.recurrent = RecurrentNetwork(
            cell=recurrent.cell,
            input_size=width if mixes else width * layers,
            hidden_size=recurrent.hidden_size,
            num_layers=recurrent.num_layers,
            bidirectional=recurrent.bidirectional,
            dropout=recurrent.dropout,
            locked_dropout=recurrent.locked_dropout,
        )
        size = self.recurrent.output_size
        self.attention = AttentionPooling(size) if pooling == "attention" else None
        self.output = BatchInvariantLinear(size, label_type.outputs(names))
        self.crf = None
        if crf:
            self.crf = LinearChainCRF(len(names), allowed_sequences(self.names, label_type.scheme))
        self.scaled = label_type.link == "identity"
        if self.scaled:
            # The network learns numbers of mean 0 and deviation 1; these bring them back.
            self.register_buffer("target_mean", torch.zeros(()))
            self.register_buffer("target_scale", torch.ones(()))

    @classmethod
    def build(
        cls, settings: HeadSettings, label_type: LabelType, names: Sequence[str], *, width: int
    ) -> Head:
        """A head with random weights, drawn from torch's global generator.

        This is where settings are taken apart.
        """
        return cls(
            label_type,
            names,
            width=width,
            layers=len(settings.layers),
            combine=settings.combine,
            recurrent=settings.recurrent,
            pooling=settings.pooling,
            subwords=settings.subwords,
            crf=bool(settings.crf),
        )

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
            outputs = pool(self.recurrent, tokens, batch, self.pooling, self.attention)
        else:
            outputs = self.recurrent(tokens, batch)
        outputs = self._drop(outputs, batch, per_token=words is not None)
        if words is not None:
            outputs = read_words(outputs, words, self.subwords)
        logits: Tensor = self.output(outputs)
        if self.scaled:
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
        if not self.label_type.on_words:
            return self(hidden[mask], batch)  # type: ignore[no-any-return]
        every = torch.arange(batch.tokens, device=hidden.device)
        words = WordLayout(batch.lengths.tolist(), every, torch.ones_like(every), longest=1)
        logits: Tensor = self(hidden[mask], batch, words)
        return logits.new_zeros(*mask.shape, logits.shape[-1]).masked_scatter(
            mask[..., None], logits
        )

    def loss(
        self,
        logits: Tensor,
        targets: Tensor,
        words: WordLayout | None,
        weights: Tensor | None = None,
    ) -> tuple[Tensor, float]:
        """Loss of a batch as a sum, and what to divide it by for the mean.

        That of the label type, or the negative log-likelihood of whole sequences for a CRF. Labels
        that training never saw count nothing.

        Args:
            logits: as ``forward`` gives them.
            targets: as the label type gives them, end to end.
            words: where words stand, for labels on words.
            weights: (labels,) float32, of classes.
        """
        if self.crf is None or words is None:
            scale = self.target_scale if self.scaled else None
            return self.label_type.loss(logits, targets, weights=weights, scale=scale)
        lengths = [length for length in words.lengths if length]
        if not lengths:
            return logits.sum() * 0, 0
        known = targets != IGNORE
        return -self.crf.log_likelihood(logits, targets, lengths).sum(), int(known.sum())

    def _drop(self, outputs: Tensor, batch: PackedBatch, *, per_token: bool) -> Tensor:
        if not self.training or not self.recurrent.dropout:
            return outputs
        owners = batch.owners if self.recurrent.locked_dropout and per_token else None
        return dropout(outputs, self.recurrent.dropout, owners)
