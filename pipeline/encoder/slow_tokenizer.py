"""Tokenizers without a fast implementation, as ESM-2, BertJapanese, PhoBERT and CANINE have.

They are written in Python and do not say where in a text a token stands. Given words, they are
asked for the tokens of each. A raw text is one word to them, and a token of it stands somewhere
in there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pipeline.encoder.tokenised import SPECIAL

_WORDS_KEPT = 1 << 16
"""Words whose tokens are remembered; a corpus has the same ones again and again."""


@dataclass(frozen=True)
class SlowEncoding:
    """One text, or two, as tokens; the attributes are those of ``tokenizers.Encoding``.

    Attributes:
        ids: of the tokens.
        word_ids: the word of each, ``None`` of what belongs to none.
        offsets: first character and the one after the last of the word, or the whole text, without
            the space before it; (-1, -1) of what belongs to no word.
        type_ids: 1 in the second text of a pair, where the tokenizer has such.
        special_tokens_mask: 1 for special tokens.
    """

    ids: list[int]
    word_ids: list[int | None]
    offsets: list[tuple[int, int]]
    type_ids: list[int]
    special_tokens_mask: list[int]

    def __len__(self) -> int:
        return len(self.ids)


class SlowTokenizer:
    """A tokenizer of transformers, with those methods of ``tokenizers.Tokenizer`` that are used.

    Args:
        tokenizer: any ``PreTrainedTokenizer``.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._tokens_of_word = lru_cache(_WORDS_KEPT)(self._tokens_of)
        self._between_words = self._learn_between()

    def encode(
        self,
        text: str | Sequence[str],
        pair: str | None = None,
        *,
        is_pretokenized: bool = False,
        add_special_tokens: bool,
    ) -> SlowEncoding:
        """One text, or words, or a pair of texts.

        Raises:
            Exception: an unknown character has no token; or whatever the tokenizer raises.
        """
        if is_pretokenized:
            return self._of_words(text)
        if not isinstance(text, str):
            raise TypeError("words that are not said to be words")
        first = self._tokens_of(text)
        if not add_special_tokens:
            none = [0] * len(first)
            return SlowEncoding(
                list(first), list(none), [_place(text)] * len(first), none, list(none)
            )
        second = None if pair is None else list(self._tokens_of(pair))
        return self._with_specials(list(first), second)

    def encode_batch(
        self,
        inputs: Iterable[str | Sequence[str]],
        *,
        is_pretokenized: bool,
        add_special_tokens: bool,
    ) -> list[SlowEncoding]:
        """Several inputs, as ``encode`` does it."""
        return [
            self.encode(
                given, is_pretokenized=is_pretokenized, add_special_tokens=add_special_tokens
            )
            for given in inputs
        ]

    def get_vocab(self, *, with_added_tokens: bool = True) -> dict[str, int]:
        """Ids of all tokens."""
        del with_added_tokens  # here they are always part of it
        vocabulary: dict[str, int] = self._tokenizer.get_vocab()
        return vocabulary

    def _of_words(self, words: Iterable[str]) -> SlowEncoding:
        ids: list[int] = []
        owners: list[int | None] = []
        offsets: list[tuple[int, int]] = []
        for number, word in enumerate(words):
            if number:
                ids += self._between_words
                owners += [None] * len(self._between_words)
                offsets += [(SPECIAL, SPECIAL)] * len(self._between_words)
            found = self._tokens_of_word(word)
            ids += found
            owners += [number] * len(found)
            offsets += [_place(word)] * len(found)
        none = [0] * len(ids)
        return SlowEncoding(ids, owners, offsets, none, list(none))

    def _with_specials(self, first: list[int], second: list[int] | None) -> SlowEncoding:
        ids = self._tokenizer.build_inputs_with_special_tokens(first, second)
        types = [0] * len(ids)
        if "token_type_ids" in self._tokenizer.model_input_names:
            types = self._tokenizer.create_token_type_ids_from_sequences(first, second)
        mask = self._tokenizer.get_special_tokens_mask(first, second)
        if not len(ids) == len(types) == len(mask):
            raise Exception("it does not say which of its tokens are special")  # noqa: TRY002
        return SlowEncoding(ids, [None] * len(ids), [(0, 0)] * len(ids), types, mask)

    def _tokens_of(self, text: str) -> tuple[int, ...]:
        ids = self._tokenizer.convert_tokens_to_ids(self._tokenizer.tokenize(text))
        if None in ids:
            # The type that tokenizers raises, which callers turn into one line.
            raise Exception(f"it has no token for a part of {text!a:.60}")  # noqa: TRY002
        return tuple(ids)

    def _learn_between(self) -> list[int]:
        """Tokens of the space between words; only tokenizers of characters and bytes have such."""
        word, text = list(self._tokens_of("a")), list(self._tokens_of("a a"))
        begin, end = len(word), len(text) - len(word)
        if word and text[:begin] == word == text[end:] and begin < end:
            return text[begin:end]
        return []


def _place(text: str) -> tuple[int, int]:
    return len(text) - len(text.lstrip(" ")), len(text)
