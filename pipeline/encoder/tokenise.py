"""Text to token ids, with what is needed to find the text again: words and characters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline.core.errors import EncoderError
from pipeline.corpus.texts import Text, TextPair, parts
from pipeline.encoder.tokenised import SPECIAL, TokenisedRows
from pipeline.encoder.tokenizer_loading import load_tokenizer

if TYPE_CHECKING:
    from tokenizers import Encoding

    from pipeline.encoder.slow_tokenizer import SlowEncoding


class RowTokenizer:
    """Turns inputs into rows of tokens, special tokens included.

    A text without any token, of a tokenizer that adds no special ones, is one special token: that
    with which the encoder's texts begin, as transformers has an empty prompt begin.

    Args:
        folder: a materialised encoder.
        max_length: tokens of a row, special tokens included, after which it is cut; of a pair, the
            longer text is cut first, as transformers does. ``None`` cuts nothing.
        trust_remote_code: whether Python code that comes with the encoder may run.

    Raises:
        EncoderError: the tokenizer cannot be read, has code that may not run, or gives an empty
            text no token.
    """

    def __init__(
        self, folder: Path, *, max_length: int | None, trust_remote_code: bool = False
    ) -> None:
        self._folder = folder
        self.max_length = max_length
        self._tokenizer, self._filler = load_tokenizer(folder, trust_remote_code=trust_remote_code)
        with self._refusing():
            self._look()

    def _look(self) -> None:
        """Learns how the tokenizer treats special tokens, words and spaces."""
        self._around_text = self._around()
        if not any(self._around_text) and self._filler is None:
            raise EncoderError(
                f"{self._folder}: its tokenizer adds no special tokens to a text, and has none for "
                "an empty one; set its bos_token"
            )
        self._words_need_spaces = self._reads_words_otherwise()
        spaced = " a a"
        offsets = self._tokenizer.encode(spaced, add_special_tokens=False).offsets
        self._counts_spaces = any(spaced[begin:end].startswith(" ") for begin, end in offsets)

    def __call__(self, texts: Sequence[Text]) -> TokenisedRows:
        """Tokenises several inputs; the same input gives the same row in any company.

        Raises:
            EncoderError: an input is a pair, and the tokenizer has no special tokens between texts,
                or the tokenizer fails.
        """
        # Words go as a list; the texts of a pair are tokenised one by one, and joined below.
        raw = [part for text in texts if not isinstance(text, tuple) for part in parts(text)]
        words = [self._spaced(text) for text in texts if isinstance(text, tuple)]
        of_raw, of_words = self._encoded(raw), self._encoded(words, are_words=True)
        given: list[str | tuple[str, ...]] = []
        for text in texts:
            given += [text] if isinstance(text, tuple) else parts(text)
        pieces = _Pieces.of(
            [next(of_words if isinstance(text, tuple) else of_raw) for text in given]
        )
        for number, text in enumerate(given):
            if isinstance(text, tuple):
                pieces.words[number] = len(text)
                self._correct_words(pieces.offsets_of(number), pieces.index_of(number), text)
            elif self._counts_spaces:
                _leave_out_spaces(pieces.offsets_of(number), text)
        return self._joined(pieces, np.array([isinstance(text, TextPair) for text in texts], bool))

    def _encoded(
        self, inputs: Sequence[str | list[str]], *, are_words: bool = False
    ) -> Iterator[Encoding | SlowEncoding]:
        with self._refusing():
            return iter(
                self._tokenizer.encode_batch(
                    inputs, is_pretokenized=are_words, add_special_tokens=False
                )
            )

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

    def _joined(self, pieces: _Pieces, pairs: npt.NDArray[np.bool_]) -> TokenisedRows:
        """Rows of one piece, or of two where ``pairs`` says so, with special tokens around them."""
        firsts = np.arange(len(pairs)) + np.cumsum(pairs) - pairs
        seconds = firsts[pairs] + 1
        around = np.full(len(pairs), sum(map(len, self._around_text)), np.int64)
        if len(seconds):
            around[pairs] = sum(map(len, self._around_pair))
        full = np.add.reduceat(pieces.lengths, firsts)
        kept = self._kept(pieces.lengths, firsts, pairs, around)
        lengths = around + np.add.reduceat(kept, firsts)
        empty = lengths == 0
        lengths[empty] = 1
        rows = TokenisedRows.empty(int(lengths.sum()), lengths)
        rows.full_lengths[:] = np.maximum(full + around, 1)
        rows.words[:] = pieces.words[firsts]
        rows.words[pairs] += pieces.words[seconds]

        begins = np.cumsum(lengths) - lengths
        if self._filler is not None:
            rows.input_ids[begins[empty]] = self._filler
        places = np.zeros(len(kept), np.int64)
        for chosen, specials in ((~pairs, self._around_text), (pairs, self._around_pair_if(pairs))):
            after = begins[chosen]
            for number, block in enumerate(specials):
                for token in block:
                    rows.input_ids[after] = token
                    after = after + 1
                if number + 1 < len(specials):
                    piece = firsts[chosen] + number
                    places[piece] = after
                    after = after + kept[piece]
        for begin, end in zip(places[seconds], (begins + lengths)[pairs], strict=True):
            rows.segment_ids[begin:end] = 1

        within = np.arange(len(pieces.ids)) - np.repeat(pieces.begins, pieces.lengths)
        taken = np.flatnonzero(within < np.repeat(kept, pieces.lengths))
        target = (within + np.repeat(places, pieces.lengths))[taken]
        rows.input_ids[target] = pieces.ids[taken]
        index = pieces.index
        if len(seconds):
            counted = np.zeros(len(kept), np.int32)  # words of the row before the piece
            counted[seconds] = pieces.words[seconds - 1]
            index = np.where(index == SPECIAL, SPECIAL, index + np.repeat(counted, pieces.lengths))
        rows.word_index[target] = index[taken]
        rows.char_offsets[target] = pieces.offsets[taken]
        return rows

    def _kept(
        self,
        lengths: npt.NDArray[np.int64],
        firsts: npt.NDArray[np.int64],
        pairs: npt.NDArray[np.bool_],
        around: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.int64]:
        """(pieces,) tokens of each piece that its row has room for."""
        if self.max_length is None:
            return lengths
        room = self.max_length - around
        kept = lengths.copy()
        kept[firsts] = np.minimum(kept[firsts], room)
        for first, both in zip(firsts[pairs].tolist(), room[pairs].tolist(), strict=True):
            kept[first : first + 2] = longest_first(lengths[first : first + 2].tolist(), both)
        return kept

    def _correct_words(
        self,
        offsets: npt.NDArray[np.int32],
        index: npt.NDArray[np.int32],
        words: tuple[str, ...],
    ) -> None:
        """Takes spaces out of offsets in words: those that were added, and those that were not."""
        if self._words_need_spaces:
            added = np.array(
                [len(fed) - len(word) for fed, word in zip(self._spaced(words), words, strict=True)]
            )
            _move(offsets, -added[index])
        if self._counts_spaces and any(" " in word for word in words):
            begins = np.cumsum([0, *map(len, words)])[index]
            _move(offsets, begins)
            _leave_out_spaces(offsets, "".join(words))
            _move(offsets, -begins)

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

    def _around(self) -> list[list[int]]:
        """The special tokens before and after a text, of which T5 has the latter, GPT-2 neither."""
        specials = _specials(self._tokenizer.encode("a", add_special_tokens=True))
        if len(specials) == 1:  # a tokenizer that has no token for the letter
            [alone] = specials
            specials = [alone[: len(alone) // 2], alone[len(alone) // 2 :]]
        if len(specials) != 2:
            raise EncoderError(f"{self._folder}: its tokenizer puts special tokens inside a text")
        return specials

    @property
    def tells_texts_apart(self) -> bool:
        """Whether an encoder is given segments of a pair: BERT's tokenizer has them, RoBERTa's not.

        It is the tokenizer's to say: some BERTs were trained with the tokenizer of a RoBERTa.
        """
        return any(self._tokenizer.encode("a", "a", add_special_tokens=True).type_ids)

    def _around_pair_if(self, pairs: npt.NDArray[np.bool_]) -> list[list[int]]:
        return self._around_pair if pairs.any() else []

    @cached_property
    def _around_pair(self) -> list[list[int]]:
        """The special tokens before, between and after the texts of a pair."""
        encoding = self._tokenizer.encode("a", "a", add_special_tokens=True)
        specials = _specials(encoding)
        if len(specials) != 3 or not specials[1]:
            raise EncoderError(f"{self._folder}: its tokenizer has no special tokens for pairs")
        segments = encoding.type_ids
        second = encoding.special_tokens_mask.index(1, len(specials[0])) + len(specials[1])
        if any(segments) and segments != [int(place >= second) for place in range(len(segments))]:
            raise EncoderError(
                f"{self._folder}: its tokenizer gives pairs the segments {segments}; "
                "a BERT-type encoder has 1 in the second text and after it, and 0 elsewhere"
            )
        return specials


@dataclass(frozen=True)
class _Pieces:
    """Texts as the tokenizer gives them, without special tokens, end to end.

    Attributes:
        ids: (tokens,) int32.
        index: (tokens,) int32, the word of each token in its text.
        offsets: (tokens, 2) int32.
        lengths: (pieces,) int64.
        begins: (pieces,) int64, the first token of each.
        words: (pieces,) int32; raw text has as many as the pre-tokenizer finds.
    """

    ids: npt.NDArray[np.int32]
    index: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.int64]
    begins: npt.NDArray[np.int64]
    words: npt.NDArray[np.int32]

    @classmethod
    def of(cls, encodings: Sequence[Encoding | SlowEncoding]) -> _Pieces:
        # One array of all texts: an array per text costs more than the tokens of a short one.
        lengths = np.array([len(encoding) for encoding in encodings], np.int64)
        begins = np.cumsum(lengths) - lengths
        tokens = int(lengths.sum())
        ids = chain.from_iterable(encoding.ids for encoding in encodings)
        index = np.fromiter(
            (
                SPECIAL if word is None else word
                for encoding in encodings
                for word in encoding.word_ids
            ),
            np.int32,
            tokens,
        )
        offsets = chain.from_iterable(
            chain.from_iterable(encoding.offsets for encoding in encodings)
        )
        words = np.zeros(len(lengths), np.int32)
        found = lengths > 0
        if tokens:
            words[found] = np.maximum.reduceat(index, begins[found]) + 1
        return cls(
            ids=np.fromiter(ids, np.int32, tokens),
            index=index,
            offsets=np.fromiter(offsets, np.int32, 2 * tokens).reshape(-1, 2),
            lengths=lengths,
            begins=begins,
            words=words,
        )

    def offsets_of(self, number: int) -> npt.NDArray[np.int32]:
        """(tokens, 2) offsets of one piece, to be changed where they stand."""
        return self.offsets[self._tokens(number)]

    def index_of(self, number: int) -> npt.NDArray[np.int32]:
        """(tokens,) words of one piece."""
        return self.index[self._tokens(number)]

    def _tokens(self, number: int) -> slice:
        begin = int(self.begins[number])
        return slice(begin, begin + int(self.lengths[number]))


def _specials(encoding: Encoding | SlowEncoding) -> list[list[int]]:
    """Special tokens before the first text, and after each."""
    blocks: list[list[int]] = [[]]
    inside = False
    for token, special in zip(encoding.ids, encoding.special_tokens_mask, strict=True):
        if special:
            blocks[-1].append(token)
        elif not inside:
            blocks.append([])
        inside = not special
    return blocks


def _move(offsets: npt.NDArray[np.int32], by: npt.NDArray[np.int64]) -> None:
    """Moves the offsets of each token by so many characters, but never below 0."""
    offsets[:] = np.maximum(offsets + by[:, None], 0)


def _leave_out_spaces(offsets: npt.NDArray[np.int32], text: str) -> None:
    """Leaves the spaces before a token out of its offsets, as RoBERTa's tokenizer does."""
    spaces = np.frombuffer(f"{text}.".encode("utf-32-le"), np.uint32) == ord(" ")
    following = np.where(spaces, len(text), np.arange(len(text) + 1))
    following = np.minimum.accumulate(following[::-1])[::-1]
    offsets[:, 0] = np.minimum(following[offsets[:, 0]], offsets[:, 1])


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
