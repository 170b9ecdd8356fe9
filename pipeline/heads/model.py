"""The head: token states in, logits out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pipeline.heads.constraints import allowed_sequences
from pipeline.heads.crf import LinearChainCRF
from pipeline.heads.dropout import dropout
from pipeline.heads.gold_paths import GoldPaths
from pipeline.heads.layer_mix import LayerMix
from pipeline.heads.linear import BatchInvariantLinear
from pipeline.heads.packing import PackedBatch, pack_batch
from pipeline.heads.pairs import join_pairs, joined_size
from pipeline.heads.pooling import AttentionPooling, pool, pooled_size
from pipeline.heads.recurrent import RecurrentNetwork
from pipeline.heads.settings import HeadSettings, RecurrentSettings
from pipeline.heads.targets import Targets
from pipeline.heads.word_layout import WordLayout, read_words
from pipeline.tasks.label_type import LabelType


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
        pairs_apart: whether examples are pairs of texts, each read by itself and the two compared
            (``pipeline.heads.pairs``); for labels on texts.
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
        pairs_apart: bool = False,
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
        self.pairs_apart = pairs_apart
        read = pooled_size(self.pooling, size)
        read = joined_size(read) if pairs_apart else read
        self.output = BatchInvariantLinear(read, label_type.outputs(names))
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
        cls,
        settings: HeadSettings,
        label_type: LabelType,
        names: Sequence[str],
        *,
        width: int,
        pairs_apart: bool = False,
    ) -> Head:
        """A head with random weights, drawn from torch's global generator.

        This is where settings are taken apart. How pairs are read is none of them: the features
        decide it.
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
            pairs_apart=pairs_apart,
        )

    def forward(
        self, tokens: Tensor, batch: PackedBatch, words: WordLayout | None = None
    ) -> Tensor:
        """Logits of a batch whose sequences stand one after another, without padding.

        Args:
            tokens: (tokens, layers * width) float32, the layers side by side.
            batch: the layout of the sequences; of pairs apart, twice as many, the two texts of each
                pair one after the other.
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
        if self.pairs_apart:
            outputs = join_pairs(outputs)
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
            hidden: (batch, tokens, layers * width) float32; of pairs apart, (2 * batch, ...), the
                two texts of each pair one after the other.
            mask: (batch, tokens) bool, ``True`` at real tokens, which come first in each row.

        Returns:
            (batch, labels); or (batch, tokens, labels) for token classification, a label for every
            token as if it were a word, with zeros at padding.
        """
        batch = pack_batch(mask.sum(1).tolist()).to(hidden.device)
        if not self.label_type.on_words:
            return self(hidden[mask], batch)  # type: ignore[no-any-return]
        every = np.arange(batch.tokens)
        words = WordLayout(batch.lengths, every, np.ones_like(every), hidden.device)
        logits: Tensor = self(hidden[mask], batch, words)
        return logits.new_zeros(*mask.shape, logits.shape[-1]).masked_scatter(
            mask[..., None], logits
        )

    def targets(
        self, values: npt.NDArray[Any], words: WordLayout | None, device: torch.device
    ) -> Targets:
        """Targets of a batch as ``loss`` reads them.

        Args:
            values: as the label type gives them, end to end.
            words: where words stand, for labels on words.
            device: where the loss is computed.
        """
        gold = None
        if self.crf is not None and words is not None and words.sequences is not None:
            tags = values.astype(np.int64)
            gold = GoldPaths(tags, words.sequences, self.crf.constraints, device)
        return Targets(values, gold, device)

    def loss(self, logits: Tensor, targets: Targets, weights: Tensor | None = None) -> Tensor:
        """() loss of a batch as a sum.

        That of the label type, or the negative log-likelihood of whole sequences for a CRF. Labels
        that training never saw count nothing.

        Args:
            logits: as ``forward`` gives them.
            targets: of the same texts or words.
            weights: (labels,) float32, of classes.
        """
        if self.crf is None:
            scale = self.target_scale if self.scaled else None
            return self.label_type.loss(logits, targets.values, weights=weights, scale=scale)
        if targets.gold is None:  # no text has a word
            return logits.sum() * 0
        return self.crf.loss(logits, targets.gold)

    def loss_weight(self, targets: Targets, weights: Tensor | None = None) -> float:
        """What to divide a loss by for the mean over labels.

        Args:
            targets: of the loss.
            weights: (labels,) float32, of classes, on the CPU.
        """
        return self.label_type.loss_weight(targets.on_host, weights)

    def _drop(self, outputs: Tensor, batch: PackedBatch, *, per_token: bool) -> Tensor:
        if not self.training or not self.recurrent.dropout:
            return outputs
        locked = batch if self.recurrent.locked_dropout and per_token else None
        return dropout(outputs, self.recurrent.dropout, locked)
