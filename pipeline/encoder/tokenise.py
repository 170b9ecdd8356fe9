"""Text to token ids, with what is needed to find the text again: words and characters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline.core.command import explain
from pipeline.core.errors import EncoderError
from pipeline.corpus.texts import Text, parts
from pipeline.encoder.config import json_object
from pipeline.encoder.inspection import require_loadable
from pipeline.encoder.quiet import quiet_transformers
from pipeline.encoder.roles import CONFIG, TOKENIZER_CONFIG

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

SPECIAL = -1
"""Word index and character offsets of tokens that stand for no text."""


@dataclass(frozen=True)
class TokenisedRow:
    """One input as the encoder reads it, special tokens included.

    Attributes:
        input_ids: (tokens,) int32.
        segment_ids: (tokens,) int8, 0, or 1 in the second text of a pair and after it.
        word_index: (tokens,) int32, the word that each token belongs to; -1 for special tokens. The
            words of a pair's second text are counted on from those of the first.
        char_offsets: (tokens, 2) int32, first character and the one after the last; in the token's
            own text, or in its own word where the input is words; (-1, -1) for special tokens.
            The space before a token is no part of it, and a token that is only spaces is empty.
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

    @classmethod
    def bare(
        cls, input_ids: npt.NDArray[np.int32], segment_ids: npt.NDArray[np.int8]
    ) -> TokenisedRow:
        """A row of tokens that come from no text: for an encoder there is nothing else to them."""
        nowhere = np.full((len(input_ids), 2), SPECIAL, np.int32)
        return cls(input_ids, segment_ids, nowhere[:, 0], nowhere, len(input_ids), 0)


class RowTokenizer:
    """Turns inputs into rows of tokens, special tokens included.

    Args:
        folder: a materialised encoder.
        max_length: tokens of a row, special tokens included, after which it is cut; of a pair, the
            longer text is cut first, as transformers does. ``None`` cuts nothing.
        trust_remote_code: whether Python code that comes with the encoder may run.

    Raises:
        EncoderError: the tokenizer has no fast implementation, or gives no special tokens, or has
            code that may not run.
    """

    def __init__(
        self, folder: Path, *, max_length: int | None, trust_remote_code: bool = False
    ) -> None:
        self._folder = folder
        self.max_length = max_length
        self._tokenizer = _load(folder, trust_remote_code=trust_remote_code)
        with self._refusing():
            self._look()

    def _look(self) -> None:
        """Learns how the tokenizer treats special tokens, words and spaces."""
        folder = self._folder
        specials = self._tokenizer.encode("", add_special_tokens=True)
        if len(specials.ids) != 2:
            raise EncoderError(
                f"{folder}: its tokenizer puts {len(specials.ids)} special tokens around a text; "
                "a BERT-type encoder has one before and one after"
            )
        first, last = specials.ids
        self._around_text = [[first], [last]]
        self._words_need_spaces = self._reads_words_otherwise()
        spaced = " a a"
        offsets = self._tokenizer.encode(spaced, add_special_tokens=False).offsets
        self._counts_spaces = any(spaced[begin:end].startswith(" ") for begin, end in offsets)

    def __call__(self, texts: Sequence[Text]) -> list[TokenisedRow]:
        """Tokenises several inputs; the same input gives the same row in any company.

        Raises:
            EncoderError: an input is a pair, and the tokenizer has no special tokens between texts,
                or the tokenizer fails.
        """
        # Words go as a list; the texts of a pair are tokenised one by one, and joined below.
        raw = [part for text in texts if not isinstance(text, tuple) for part in parts(text)]
        words = [self._spaced(text) for text in texts if isinstance(text, tuple)]
        with self._refusing():
            of_raw, of_words = [
                iter(
                    self._tokenizer.encode_batch(
                        inputs, is_pretokenized=pretokenized, add_special_tokens=False
                    )
                )
                for inputs, pretokenized in ((raw, False), (words, True))
            ]
        rows = []
        for text in texts:
            if isinstance(text, tuple):
                rows.append(self._row([self._of_words(next(of_words), text)]))
            else:
                rows.append(self._row([self._of_text(next(of_raw), part) for part in parts(text)]))
        return rows

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """Turns what tokenizers raises, also where its own code gives up, into one line."""
        try:
            yield
        except BaseException as error:
            # Of a type of its own that is no Exception, or of none.
            if type(error) is not Exception and type(error).__name__ != "PanicException":
                raise
            reason = (str(error).strip() or "without a reason").splitlines()[0]
            raise EncoderError(f"{self._folder}: its tokenizer fails: {reason:.200}") from error

    def _row(self, texts: Sequence[_Part]) -> TokenisedRow:
        around = self._around_text if len(texts) == 1 else self._around_pair
        specials = sum(map(len, around))
        lengths = [len(part.ids) for part in texts]
        kept = lengths
        if self.max_length is not None:
            kept = longest_first(lengths, self.max_length - specials)
        pieces, segments, words = [_Part.special(around[0])], [0], 0
        for segment, (text, count, after) in enumerate(zip(texts, kept, around[1:], strict=True)):
            pieces += [text.cut(count, first_word=words), _Part.special(after)]
            segments += [segment, segment]
            words += text.count
        return TokenisedRow(
            input_ids=np.concatenate([piece.ids for piece in pieces]),
            segment_ids=np.repeat(
                np.array(segments, np.int8), [len(piece.ids) for piece in pieces]
            ),
            word_index=np.concatenate([piece.words for piece in pieces]),
            char_offsets=np.concatenate([piece.offsets for piece in pieces]),
            full_length=sum(lengths) + specials,
            words=words,
        )

    def _of_text(self, encoding: Encoding, text: str) -> _Part:
        part = _Part.of(encoding)
        return part.without_spaces(text) if self._counts_spaces else part

    def _of_words(self, encoding: Encoding, words: tuple[str, ...]) -> _Part:
        part = _Part.of(encoding, words=len(words))
        if self._words_need_spaces:
            added = np.array(
                [len(fed) - len(word) for fed, word in zip(self._spaced(words), words, strict=True)]
            )
            part = part.moved(-added[part.words])
        if self._counts_spaces and any(" " in word for word in words):
            begins = np.cumsum([0, *map(len, words)])[part.words]
            part = part.moved(begins).without_spaces("".join(words)).moved(-begins)
        return part

    def _spaced(self, words: tuple[str, ...]) -> list[str]:
        """Words as the tokenizer is given them."""
        if not self._words_need_spaces:
            return list(words)
        return [word if word == "" or word[0] == " " else f" {word}" for word in words]

    def _reads_words_otherwise(self) -> bool:
        """Whether a word needs the space before it to be read as in a text, as most byte-level BPE.

        Given words without, they are read as one long word. RoBERTa's ``add_prefix_space`` is for
        this, but few tokenizers' files set it, and some tokenizers have no such option.
        """
        in_text, words, spaced = (
            self._tokenizer.encode(
                given, is_pretokenized=isinstance(given, list), add_special_tokens=False
            ).ids
            for given in ("a a", ["a", "a"], ["a", " a"])
        )
        return in_text == spaced != words

    @cached_property
    def largest_id(self) -> int:
        """The largest id of a token."""
        return max(self._tokenizer.get_vocab(with_added_tokens=True).values())

    @property
    def tells_texts_apart(self) -> bool:
        """Whether an encoder is given segments of a pair: BERT's tokenizer has them, RoBERTa's not.

        It is the tokenizer's to say: some BERTs were trained with the tokenizer of a RoBERTa.
        """
        return any(self._tokenizer.encode("a", "a", add_special_tokens=True).type_ids)

    @cached_property
    def _around_pair(self) -> list[list[int]]:
        """The special tokens before, between and after the texts of a pair."""
        encoding = self._tokenizer.encode("a", "a", add_special_tokens=True)
        runs = [
            (bool(special), [token for _, token in run])
            for special, run in groupby(
                zip(encoding.special_tokens_mask, encoding.ids, strict=True), key=itemgetter(0)
            )
        ]
        if [special for special, _ in runs] != [True, False, True, False, True]:
            raise EncoderError(f"{self._folder}: its tokenizer has no special tokens for pairs")
        segments = encoding.type_ids
        second = len(runs[0][1]) + len(runs[1][1]) + len(runs[2][1])
        if any(segments) and segments != [int(place >= second) for place in range(len(segments))]:
            raise EncoderError(
                f"{self._folder}: its tokenizer gives pairs the segments {segments}; "
                "a BERT-type encoder has 1 in the second text and after it, and 0 elsewhere"
            )
        return [tokens for special, tokens in runs if special]


@dataclass(frozen=True)
class _Part:
    """The tokens of one text, or special tokens between texts, and how many words they are."""

    ids: npt.NDArray[np.int32]
    words: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int32]
    count: int

    @classmethod
    def of(cls, encoding: Encoding, words: int | None = None) -> _Part:
        """Part of an encoding; raw text has as many words as the pre-tokenizer finds."""
        index = np.array(
            [SPECIAL if word is None else word for word in encoding.word_ids], np.int32
        )
        return cls(
            ids=np.array(encoding.ids, np.int32),
            words=index,
            offsets=np.array(encoding.offsets, np.int32).reshape(-1, 2),
            count=words if words is not None else int(index.max(initial=-1)) + 1,
        )

    def moved(self, by: npt.NDArray[np.int64]) -> _Part:
        """With the offsets of each token moved by so many characters, but never below 0."""
        offsets = np.maximum(self.offsets + by[:, None], 0).astype(np.int32)
        return replace(self, offsets=offsets)

    def without_spaces(self, text: str) -> _Part:
        """With offsets that leave out the spaces before a token, as RoBERTa's tokenizer does."""
        spaces = np.frombuffer(f"{text}.".encode("utf-32-le"), np.uint32) == ord(" ")
        following = np.where(spaces, len(text), np.arange(len(text) + 1))
        following = np.minimum.accumulate(following[::-1])[::-1]
        begins, ends = self.offsets.T
        trimmed = np.minimum(following[begins], ends)
        return replace(self, offsets=np.stack([trimmed, ends], 1).astype(np.int32))

    @classmethod
    def special(cls, ids: Sequence[int]) -> _Part:
        """Part of special tokens, which belong to no word."""
        nowhere = np.full((len(ids), 2), SPECIAL, np.int32)
        return cls(np.array(ids, np.int32), nowhere[:, 0], nowhere, 0)

    def cut(self, tokens: int, *, first_word: int) -> _Part:
        """The first tokens, their words counted from ``first_word``."""
        words = self.words[:tokens]
        if first_word:
            words = np.where(words == SPECIAL, SPECIAL, words + first_word).astype(np.int32)
        return _Part(self.ids[:tokens], words, self.offsets[:tokens], self.count)


def longest_first(lengths: Sequence[int], room: int) -> list[int]:
    """Number of tokens kept of one text, or of each of two, where only ``room`` fit.

    The longer of two texts is cut until it is as short as the other, then both; transformers calls
    this ``longest_first``.
    """
    if len(lengths) == 1:
        return [min(lengths[0], room)]
    shorter, longer = sorted(lengths)
    if shorter + longer > room:
        shorter = min(shorter, room // 2)
        longer = room - shorter
    return [longer, shorter] if lengths[0] > lengths[1] else [shorter, longer]


def _load(folder: Path, *, trust_remote_code: bool) -> Tokenizer:
    # Told neither to run code nor not to, transformers would ask on the terminal.
    trusted = require_loadable(folder, trust_remote_code=trust_remote_code).has_code
    with quiet_transformers():
        from transformers import AutoTokenizer

        try:
            _refuse_other_classes(folder)
            tokenizer = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=trusted
            )
        except Exception as error:  # tokenizers raises bare Exception for damaged files
            if explain(error) is not None:
                raise
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            if not trusted and "trust_remote_code" in str(error):
                reason = "it needs Python code of its own; read it, and set trust_remote_code: true"
            raise EncoderError(f"{folder}: its tokenizer cannot be read: {reason}") from error
    if not tokenizer.is_fast:
        raise EncoderError(f"{folder}: its tokenizer has no fast (tokenizers) implementation")
    backend: Tokenizer = tokenizer.backend_tokenizer
    # Files often carry the truncation and padding of somebody's fine-tuning.
    backend.no_truncation()
    backend.no_padding()
    return backend


def _refuse_other_classes(folder: Path) -> None:
    """Refuses a class that is in transformers, and no tokenizer: it would be loaded all the same.

    Raises:
        EncoderError: a configuration names one.
    """
    from transformers import PreTrainedTokenizerBase
    from transformers.models.auto.tokenization_auto import tokenizer_class_from_name

    for file in (TOKENIZER_CONFIG, CONFIG):
        path = folder / file
        name = json_object(path, str(folder)).get("tokenizer_class") if path.is_file() else None
        if name is None:
            continue
        found = tokenizer_class_from_name(name) if isinstance(name, str) else name
        if found is not None and not (
            isinstance(found, type) and issubclass(found, PreTrainedTokenizerBase)
        ):
            raise EncoderError(f"{folder}: its {file} has tokenizer_class {name!a:.60}")
