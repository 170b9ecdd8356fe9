"""Text to token ids, with what is needed to find the text again: words and characters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pipeline.corpus.records import Text
from pipeline.encoder.quiet import quiet_transformers
from pipeline.errors import EncoderError

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

SPECIAL = -1
"""Word index and character offsets of tokens that stand for no text."""


@dataclass(frozen=True)
class TokenisedRow:
    """One input as the encoder reads it, special tokens included.

    Attributes:
        input_ids: (tokens,) int32.
        segment_ids: (tokens,) int8, 0 or 1.
        word_index: (tokens,) int32, the word that each token belongs to; -1 for special tokens.
        char_offsets: (tokens, 2) int32, first character and the one after the last; in the text,
            or in the token's own word where the input is words; (-1, -1) for special tokens.
        full_length: tokens of the whole input, specials included, before any truncation.
        words: words of the whole input; for raw text, those of the tokenizer's pre-tokenizer.
    """

    input_ids: npt.NDArray[np.int32]
    segment_ids: npt.NDArray[np.int8]
    word_index: npt.NDArray[np.int32]
    char_offsets: npt.NDArray[np.int32]
    full_length: int
    words: int

    @property
    def length(self) -> int:
        """Tokens of the row, special tokens included."""
        return len(self.input_ids)


class RowTokenizer:
    """Turns inputs into rows of at most ``max_length`` tokens.

    Args:
        folder: a materialised encoder.
        max_length: longest row in tokens, special tokens included.

    Raises:
        EncoderError: the tokenizer has no fast implementation, or gives no special tokens.
    """

    def __init__(self, folder: Path, *, max_length: int) -> None:
        self._tokenizer = _load(folder)
        specials = self._tokenizer.encode("", add_special_tokens=True)
        if len(specials.ids) != 2:
            raise EncoderError(
                f"{folder}: its tokenizer puts {len(specials.ids)} special tokens around a text; "
                "a BERT-type encoder has one before and one after"
            )
        self._first, self._last = specials.ids
        self.max_length = max_length

    def __call__(self, texts: Sequence[Text]) -> list[TokenisedRow]:
        """Tokenises several inputs; the same input gives the same row in any company."""
        raw = [index for index, text in enumerate(texts) if isinstance(text, str)]
        split = [index for index, text in enumerate(texts) if not isinstance(text, str)]
        rows: dict[int, TokenisedRow] = {}
        for indices, pretokenized in ((raw, False), (split, True)):
            inputs: list[Any] = [
                list(texts[index]) if pretokenized else texts[index] for index in indices
            ]
            encodings = self._tokenizer.encode_batch(
                inputs, is_pretokenized=pretokenized, add_special_tokens=False
            )
            for index, encoding in zip(indices, encodings, strict=True):
                rows[index] = self._row(encoding, words=len(texts[index]) if pretokenized else None)
        return [rows[index] for index in range(len(texts))]

    def _row(self, encoding: Encoding, words: int | None) -> TokenisedRow:
        kept = self.max_length - 2
        word_ids = np.array(
            [SPECIAL if word is None else word for word in encoding.word_ids], np.int32
        )
        offsets = np.array(encoding.offsets, np.int32).reshape(-1, 2)
        edge = np.full((1, 2), SPECIAL, np.int32)
        return TokenisedRow(
            input_ids=np.array([self._first, *encoding.ids[:kept], self._last], np.int32),
            segment_ids=np.zeros(min(len(encoding.ids), kept) + 2, np.int8),
            word_index=np.concatenate([edge[0, :1], word_ids[:kept], edge[0, :1]]),
            char_offsets=np.concatenate([edge, offsets[:kept], edge]),
            full_length=len(encoding.ids) + 2,
            words=words if words is not None else int(word_ids.max(initial=-1)) + 1,
        )


def _load(folder: Path) -> Tokenizer:
    with quiet_transformers():
        from transformers import AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except Exception as error:  # tokenizers raises bare Exception for damaged files
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise EncoderError(f"{folder}: its tokenizer cannot be read: {reason}") from error
    if not tokenizer.is_fast:
        raise EncoderError(f"{folder}: its tokenizer has no fast (tokenizers) implementation")
    backend: Tokenizer = tokenizer.backend_tokenizer
    # Files often carry the truncation and padding of somebody's fine-tuning.
    backend.no_truncation()
    backend.no_padding()
    return backend
