from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import random_sentences
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.encoder.tokenise import RowTokenizer
from pipeline.encoder.tokenised import TokenisedRow
from pipeline.extraction import token_spool
from pipeline.extraction.token_spool import TokenSpool

SENTENCES = random_sentences(40)


@pytest.fixture(scope="module")
def tokenizer(tiny_encoder) -> RowTokenizer:
    return RowTokenizer(tiny_encoder, max_length=24)


def assert_same(one: TokenisedRow, other: TokenisedRow) -> None:
    for name in ("input_ids", "segment_ids", "word_index", "char_offsets"):
        mine, theirs = getattr(one, name), getattr(other, name)
        assert mine.dtype == theirs.dtype
        assert mine.flags.c_contiguous
        np.testing.assert_array_equal(mine, theirs)
    assert (one.full_length, one.words) == (other.full_length, other.words)


def filled(folder: Path, tokenizer: RowTokenizer) -> TokenSpool:
    """A spool of every other row, added in chunks, of which one comes late."""
    spool = TokenSpool(2 * len(SENTENCES), folder)
    for begin, end in ((0, 7), (7, 8), (20, 40), (8, 20)):
        spool.add(range(2 * begin, 2 * end, 2), tokenizer(SENTENCES[begin:end]))
    return spool


@pytest.mark.parametrize("held", [1 << 20, 100])
@given(numbers=st.lists(st.integers(0, len(SENTENCES) - 1), max_size=60))
@settings(max_examples=50, deadline=None)
def test_rows_are_read_as_they_were_added_in_any_order(tokenizer, tmp_path_factory, held, numbers):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(token_spool, "_HELD_BYTES", held)
        with filled(tmp_path_factory.mktemp("store"), tokenizer) as spool:
            rows = list(spool.read([2 * number for number in numbers]))
    expected = tokenizer([SENTENCES[number] for number in numbers])
    assert len(rows) == len(expected) == len(numbers)
    for one, other in zip(rows, expected, strict=True):
        assert_same(one, other)


def test_a_spool_knows_which_rows_it_has(tokenizer, tmp_path):
    with filled(tmp_path, tokenizer) as spool:
        assert [number in spool for number in range(6)] == [True, False] * 3


def test_many_tokens_lie_in_a_file_without_a_name(tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(token_spool, "_HELD_BYTES", 100)
    with filled(tmp_path / "store", tokenizer) as spool:
        assert spool._file._rolled
        assert list((tmp_path / "store").iterdir()) == []
