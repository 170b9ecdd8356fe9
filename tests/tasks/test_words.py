from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pipeline.heads.word_layout import lay_out_words, read_words
from pipeline.tasks.words import NO_TOKEN, TextWords, Words

PIECES = st.lists(st.integers(0, 4), min_size=1, max_size=12)
"""Tokens of each word of a text."""
TEXTS = st.lists(PIECES, min_size=1, max_size=6)


def word_index(pieces: list[int]) -> list[int]:
    """As the store has it for one text: special tokens around the words' own."""
    return [-1, *(word for word, count in enumerate(pieces) for _ in range(count)), -1]


def words_of(index: list[int], words: int) -> Words:
    return Words.of(np.array(index, np.int32), words)


@given(PIECES, st.integers(0, 5))
def test_each_word_has_its_own_tokens(pieces: list[int], cut: int) -> None:
    """A word of n pieces has n tokens; words of none, and those behind the cut, have none."""
    index = word_index(pieces)[:-1]
    index = [*index[: max(1, len(index) - cut)], -1]
    words = words_of(index, len(pieces))
    for word in range(len(pieces)):
        mine = [token for token, owner in enumerate(index) if owner == word]
        assert words.first[word] == (mine[0] if mine else NO_TOKEN)
        assert words.count[word] == len(mine)
        assert words.with_token[word] == bool(mine)


@pytest.mark.parametrize("tokens", [126, 127, 128, 32766, 32767, 32768])
def test_words_of_texts_are_held_whatever_their_length(tokens: int) -> None:
    """At lengths where the numbers they are held in become wider."""
    texts = [Words.of(np.zeros(tokens, np.int32), 2), words_of([0, 1, 2], 3)]
    texts.append(words_of([-1] * (tokens - 1) + [0], 1))
    held = TextWords(iter(texts), tokens=tokens)
    assert len(held) == len(texts)
    for one, other in zip(held, texts, strict=True):
        assert one.first.dtype == one.count.dtype == np.int32
        np.testing.assert_array_equal(one.first, other.first)
        np.testing.assert_array_equal(one.count, other.count)


def test_a_token_of_a_word_beyond_the_input_is_an_error() -> None:
    with pytest.raises(ValueError, match="word 2 in an input of 2 words"):
        words_of([-1, 0, 1, 2, -1], 2)


@pytest.mark.parametrize("index", [[-1, 0, 1, 0, -1], [-1, 0, -1, 0, 1]])
def test_tokens_of_a_word_that_stand_apart_are_an_error(index: list[int]) -> None:
    with pytest.raises(ValueError, match="side by side"):
        words_of(index, 2)


def reading(texts: list[list[int]], outputs: Tensor, subwords: str) -> list[Tensor]:
    """What is read at each word with a token, by a plain loop."""
    read = []
    for pieces, mine in zip(texts, outputs.split([sum(p) + 2 for p in texts]), strict=True):
        index = word_index(pieces)
        for word in range(len(pieces)):
            tokens = mine[[token for token, owner in enumerate(index) if owner == word]]
            if len(tokens):
                one = {"first": tokens[0], "last": tokens[-1], "mean": tokens.mean(0)}
                read.append(one[subwords])
    return read


@settings(deadline=None)
@given(TEXTS, st.sampled_from(["first", "last", "mean"]))
def test_words_are_read_at_their_tokens(texts: list[list[int]], subwords: str) -> None:
    lengths = np.array([sum(pieces) + 2 for pieces in texts])
    layout = lay_out_words([words_of(word_index(p), len(p)) for p in texts], lengths)
    assert layout.lengths.tolist() == [sum(count > 0 for count in pieces) for pieces in texts]

    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(
        int(lengths.sum()), 3, dtype=torch.float64, generator=generator
    ).requires_grad_()
    read = read_words(outputs, layout, subwords)
    expected = torch.stack([outputs.new_zeros(3), *reading(texts, outputs, subwords)])[1:]
    torch.testing.assert_close(read, expected, rtol=1e-14, atol=1e-14)

    weights = torch.randn(read.shape, dtype=torch.float64, generator=generator)
    if len(read):
        ours, theirs = (
            torch.autograd.grad((values * weights).sum(), outputs) for values in (read, expected)
        )
        torch.testing.assert_close(ours, theirs, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("subwords", ["first", "last", "mean"])
def test_a_word_reads_the_same_bits_alone_and_in_company(subwords: str) -> None:
    rng = np.random.default_rng(0)
    texts = [rng.integers(0, 6, rng.integers(1, 20)).tolist() for _ in range(30)]
    words = [words_of(word_index(pieces), len(pieces)) for pieces in texts]
    lengths = np.array([sum(pieces) + 2 for pieces in texts])
    outputs = torch.randn(int(lengths.sum()), 20, generator=torch.Generator().manual_seed(0))
    layout = lay_out_words(words, lengths)
    together = read_words(outputs, layout, subwords).split(layout.lengths.tolist())
    for text, mine in enumerate(outputs.split(lengths.tolist())):
        alone = read_words(mine, lay_out_words([words[text]], lengths[[text]]), subwords)
        assert torch.equal(alone, together[text])
