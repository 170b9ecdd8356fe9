"""New text to answers: the same tokens, states, rounding and head as in extraction and training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.core.errors import DataError, EncoderError
from pipeline.corpus.texts import Text, TextPair, parts
from pipeline.encoder.inspection import require_loadable
from pipeline.encoder.tokenised import TokenisedRow
from pipeline.encoder.windows import encode_rows
from pipeline.extraction.recipes import encoder_of, tokenizer_of, windows_of
from pipeline.heads.checkpoint import load_head
from pipeline.heads.feeding import StatesSource
from pipeline.heads.model import Head
from pipeline.heads.scoring import Outputs, answers, outputs_of, score
from pipeline.prediction.entities import entities_in_text, entities_in_words
from pipeline.prediction.split_words import Span, split_words
from pipeline.store.keys import Recipe
from pipeline.tasks.inputs import Inputs
from pipeline.tasks.words import Words

_BLOCK_CHARACTERS = 1 << 22
"""Of texts that are answered together; tokens take up to 200 bytes for each: 1 GB."""


@dataclass(frozen=True)
class Answers:
    """Answers of a head for some texts.

    Attributes:
        rows: one per text, in order, as ``LabelType.answer`` gives them; of a head
            that tags words, with the ``words`` of a raw text as character offsets, and of one that
            tags entities with ``entities``.
        cut: how many texts were longer than the encoder reads, and were cut; of a pair that is read
            apart, each counts.
    """

    rows: list[dict[str, Any]]
    cut: int


class Predictor:
    """A trained head and its encoder.

    Args:
        head: with its weights.
        description: what it is: ``head.json``.
        encoder: folder of the materialised encoder that its features were made with.
        device: where to compute.
        trust_remote_code: whether Python code that comes with the encoder may run.

    Raises:
        EncoderError: the encoder is another one, or damaged, or has code that may not run.
    """

    def __init__(
        self,
        head: Head,
        description: Mapping[str, Any],
        encoder: Path,
        *,
        device: torch.device,
        trust_remote_code: bool = False,
    ) -> None:
        self.head, self.description = head.to(device).eval(), description
        self._recipe = Recipe.from_json(self.description["recipe"])
        snapshot = require_loadable(encoder, trust_remote_code=trust_remote_code, verify=True)
        if snapshot.fingerprint() != self._recipe.encoder:
            raise EncoderError(
                f"{encoder}: is not the encoder that the head was trained with; name that one with "
                "--encoder, or train the head anew with `dvc repro`"
            )
        if snapshot.width != self.description["width"]:
            raise EncoderError(
                f"{encoder}: has states of width {snapshot.width}, and the head was trained on "
                f"{self.description['width']}; train it anew with `dvc repro`"
            )
        self._device = device
        self._layers: list[int] = self.description["layers"]
        self._tokenizer = tokenizer_of(encoder, self._recipe, trust_remote_code=trust_remote_code)
        self._windows = windows_of(self._recipe)
        self._encoder = encoder_of(
            encoder,
            self._recipe,
            layers=self._layers,
            device=device,
            trust_remote_code=trust_remote_code,
        )

    @classmethod
    def of_folder(
        cls, head: Path, encoder: Path, *, device: torch.device, trust_remote_code: bool = False
    ) -> Predictor:
        """The predictor of a head that was saved.

        Raises:
            StoreError: there is no head.
            EncoderError: the encoder is another one, or damaged, or has code that may not run.
        """
        return cls(
            *load_head(head, device=device),
            encoder,
            device=device,
            trust_remote_code=trust_remote_code,
        )

    def __call__(self, texts: Sequence[Text], names: Sequence[str] | None = None) -> Answers:
        """Answers for some texts; what a text gets does not depend on the others.

        Args:
            texts: raw texts, words, or pairs. A head on words that is given a raw text splits it
                into words itself.
            names: what errors call the texts; by default they are counted from 1.

        Raises:
            DataError: a text is too long, and the features that the head was trained on call that
                an error; or the head reads words and is given a pair, or reads pairs apart and is
                given none; or a text has states that the features' ``storage_dtype`` does not hold.
        """
        label_type = self.head.label_type
        names = names or [f"text {number}" for number in range(1, len(texts) + 1)]
        given = [self._as_read(text, name) for text, name in zip(texts, names, strict=True)]
        read = [text for text, _ in given]
        if self.head.pairs_apart:
            read = [part for text in read for part in parts(text)]
            names = [name for name in names for _ in range(2)]
        rows = self._tokenizer(read)
        for row, name in zip(rows, names, strict=True):
            self._refuse(row, name)
        words: list[Words] | None = None
        if label_type.on_words:
            words = [Words.of(row.word_index, row.words) for row in rows]
        outputs = self._outputs(rows, words, names)
        found = answers(label_type, self.head.names, outputs, words, self.description["thresholds"])
        placed = [
            self._with_places(found[number], texts[number], text, spans)
            for number, (text, spans) in enumerate(given)
        ]
        return Answers(placed, sum(row.full_length > row.length for row in rows))

    def _as_read(self, text: Text, name: str) -> tuple[Text, list[Span] | None]:
        if self.head.pairs_apart and not isinstance(text, TextPair):
            raise DataError(
                f"{name}: the head compares two texts and is given one; give it pairs, JSON Lines "
                "with 'text' and 'text_b' (from Python, TextPair)"
            )
        if not self.head.label_type.on_words or isinstance(text, tuple):
            return text, None
        if not isinstance(text, str):
            raise DataError(
                f"{name}: the head tags words: it reads a text or words, not a pair of texts"
            )
        spans = split_words(text)
        return tuple(text[begin:end] for begin, end in spans), spans

    def _refuse(self, row: TokenisedRow, name: str) -> None:
        limit = self._recipe.max_length
        if self._recipe.long_texts == "error" and row.full_length > limit:
            raise DataError(
                f"{name} has {row.full_length} tokens, and the head's features have "
                f"long_texts: error above {limit}; shorten it, or train on features with window"
            )
        windows = self._windows
        if windows and row.length > limit and windows.room(row) <= windows.stride:
            raise DataError(
                f"{name}: the shorter text of the pair leaves no room for the longer one"
            )

    def _outputs(
        self, rows: Sequence[TokenisedRow], words: list[Words] | None, names: Sequence[str]
    ) -> list[Outputs]:
        states = _RowStates(len(rows), self._layers)
        for index, by_layer in encode_rows(self._encoder, rows, self._windows):
            if not states.keep(index, by_layer, self._recipe.storage_dtype):
                raise DataError(
                    f"{names[index]} has states that are not finite in "
                    f"{self._recipe.storage_dtype}; train on features with storage_dtype: float32"
                )
        lengths = np.array([row.length for row in rows], np.int64)
        shape = (-1, 2) if self.head.pairs_apart else (-1,)
        inputs = Inputs(np.arange(len(rows)).reshape(shape), lengths.reshape(shape), words)
        results: dict[int, Outputs] = {}
        for batch, logits in score(self.head, states, inputs, device=self._device):
            found = outputs_of(self.head, logits, batch.words)
            results.update(zip(batch.members.tolist(), found, strict=True))
        return [results[number] for number in range(len(inputs.rows))]

    def _with_places(
        self, found: dict[str, Any], given: Text, read: Text, spans: list[Span] | None
    ) -> dict[str, Any]:
        """Add the places of words and entities in the text that was given."""
        if not self.head.label_type.on_words:
            return found
        if spans is not None:
            found = {**found, "words": [list(span) for span in spans]}
        if self.head.label_type.scheme is None:
            return found
        tags, sure = found["tags"], found["probabilities"]
        if spans is None or not isinstance(given, str):
            words = read if isinstance(read, tuple) else ()
            return {**found, "entities": entities_in_words(words, tags, sure)}
        return {**found, "entities": entities_in_text(given, spans, tags, sure)}


class _RowStates(StatesSource):
    """States of rows that were encoded a moment ago, rounded as the store rounds them."""

    def __init__(self, rows: int, layers: Sequence[int]) -> None:
        self._layers = layers
        self._rows: list[Tensor | None] = [None] * rows

    def keep(
        self, row: int, by_layer: Mapping[int, npt.NDArray[np.float32]], storage_dtype: str
    ) -> bool:
        """Whether the row's states are finite in the precision of the store."""
        states = np.concatenate([by_layer[layer] for layer in self._layers], 1)
        with np.errstate(over="ignore"):  # told by what is returned
            stored = states.astype(storage_dtype)
        self._rows[row] = torch.from_numpy(stored)
        return bool(np.isfinite(stored).all())

    def read(self, rows: npt.NDArray[np.int64]) -> Tensor:
        """(tokens of all rows, layers * width) float32."""
        chosen = (self._rows[row] for row in rows.tolist())
        return torch.cat([states for states in chosen if states is not None]).float()


def blocks_of(texts: Iterator[tuple[str, Text]], size: int) -> Iterator[list[tuple[str, Text]]]:
    """Texts with their ids, ``size`` at a time, or fewer of very long ones."""
    block: list[tuple[str, Text]] = []
    characters = 0
    for item in texts:
        block.append(item)
        characters += sum(map(len, parts(item[1])))
        if len(block) == size or characters >= _BLOCK_CHARACTERS:
            yield block
            block, characters = [], 0
    if block:
        yield block
