from __future__ import annotations

import dataclasses
import json
import shutil
import string

import numpy as np
import pytest
from conftest import VOCABULARY, random_sentences
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.core.errors import EncoderError
from pipeline.encoder.tokenise import RowTokenizer
from pipeline.encoder.tokenised import SPECIAL

AWKWARD = [
    "",
    " ",
    "\u200b",  # zero-width space
    "the\u200dof",  # zero-width joiner
    "\u0301",  # a combining accent on nothing
    "e\u0301a\u0300\u0301b",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # one family, five code points
    "\U0001f1e9\U0001f1ea",  # a flag
    "\u6771\u4eac",  # CJK, split into characters
    "\ufb01sh",  # a ligature
    "\u0130stanbul",  # a capital that grows when lower-cased
    "\u05d0\u05d1",  # right to left
    "\u00ad",  # a soft hyphen, dropped
    "don't",
    "a b",
    "the\u2028of",
    "[SEP]",
    "\ufffd",
]
unicode_words = st.lists(st.sampled_from(AWKWARD) | st.text(max_size=6), max_size=10)
latin = st.text(string.ascii_letters, min_size=1, max_size=12)


@pytest.fixture(scope="module")
def tokenizer(tiny_encoder) -> RowTokenizer:
    return RowTokenizer(tiny_encoder, max_length=64)


@pytest.fixture(scope="module")
def short_tokenizer(tiny_encoder) -> RowTokenizer:
    return RowTokenizer(tiny_encoder, max_length=8)


@pytest.fixture(scope="module")
def reference(tiny_bert):
    """What everybody else would tokenise with."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_bert)


def assert_same_row(one, other):
    for field in dataclasses.fields(one):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))


def assert_equal_to_reference(row, encoding):
    assert row.input_ids.tolist() == encoding["input_ids"]
    assert not row.segment_ids.any()
    expected = [SPECIAL if word is None else word for word in encoding.word_ids()]
    assert row.word_index.tolist() == expected


def assert_slices_are_tokens(row, texts):
    """Every token, without ``##``, is the lower-cased text that its offsets point to."""
    for token, text, (begin, end) in zip(
        row.input_ids[1:-1], texts, row.char_offsets[1:-1], strict=True
    ):
        assert VOCABULARY[token].removeprefix("##") == text[begin:end].casefold()


@pytest.mark.parametrize("max_length", [4, 8, 64])
def test_words_give_the_ids_that_transformers_gives(tiny_encoder, reference, max_length):
    sentences = random_sentences(50)
    rows = RowTokenizer(tiny_encoder, max_length=max_length)(sentences)
    for row, sentence in zip(rows, sentences, strict=True):
        assert_equal_to_reference(
            row,
            reference(
                list(sentence), is_split_into_words=True, truncation=True, max_length=max_length
            ),
        )


@pytest.mark.parametrize("max_length", [4, 8, 64])
def test_texts_give_the_ids_that_transformers_gives(tiny_encoder, reference, max_length):
    texts = [" ".join(sentence) + "." for sentence in random_sentences(50)]
    rows = RowTokenizer(tiny_encoder, max_length=max_length)(texts)
    for row, text in zip(rows, texts, strict=True):
        encoding = reference(text, truncation=True, max_length=max_length)
        assert_equal_to_reference(row, encoding)
        offsets = encoding.encodings[0].offsets
        np.testing.assert_array_equal(row.char_offsets[1:-1], offsets[1:-1])


@settings(deadline=None)
@given(words=unicode_words)
@example(words=AWKWARD)
def test_unicode_words_keep_their_tokens_apart(tokenizer, reference, words):
    alone = [reference(word, add_special_tokens=False)["input_ids"] for word in words]
    [row] = tokenizer([tuple(words)])
    kept = tokenizer.max_length - 2
    ids = [token for tokens in alone for token in tokens]
    owners = [index for index, tokens in enumerate(alone) for _ in tokens]
    assert row.input_ids[1:-1].tolist() == ids[:kept]
    assert row.word_index[1:-1].tolist() == owners[:kept]
    assert (row.full_length, row.words) == (len(ids) + 2, len(words))


@settings(deadline=None)
@given(words=unicode_words)
@example(words=AWKWARD)
def test_unicode_words_give_ordered_tokens_that_lie_in_their_words(tokenizer, words):
    [row] = tokenizer([tuple(words)])
    previous = (0, 0)
    for word, (begin, end) in zip(
        row.word_index[1:-1].tolist(), row.char_offsets[1:-1].tolist(), strict=True
    ):
        assert (word, begin) >= previous
        assert 0 <= begin <= end <= len(words[word])
        previous = (word, begin)


@settings(deadline=None)
@given(words=unicode_words)
def test_unicode_texts_give_ordered_tokens_that_lie_in_the_text(tokenizer, words):
    text = " ".join(words)
    [row] = tokenizer([text])
    offsets = row.char_offsets[1:-1]
    assert (np.diff(row.word_index[1:-1]) >= 0).all()
    assert (np.diff(offsets[:, 0]) >= 0).all()
    assert (offsets[:, 0] <= offsets[:, 1]).all()
    assert (offsets >= 0).all()
    assert (offsets <= len(text)).all()


@settings(deadline=None)
@given(words=st.lists(latin, max_size=8))
def test_offsets_of_words_slice_back_to_the_tokens(tokenizer, words):
    [row] = tokenizer([tuple(words)])
    assert_slices_are_tokens(row, [words[index] for index in row.word_index[1:-1]])


@settings(deadline=None)
@given(words=st.lists(latin, max_size=8))
def test_offsets_of_texts_slice_back_to_the_tokens(tokenizer, words):
    text = "  ".join(words)
    [row] = tokenizer([text])
    assert_slices_are_tokens(row, [text] * (row.length - 2))


@settings(deadline=None)
@given(words=st.lists(latin, max_size=8))
def test_word_index_of_texts_counts_their_words(tokenizer, words):
    text = " ".join(words)
    [row] = tokenizer([text])
    assert row.words == len(words)
    for index, word in enumerate(words):
        offsets = row.char_offsets[row.word_index == index]
        if len(offsets):  # else it was truncated
            assert word.startswith(text[offsets[0, 0] : offsets[-1, 1]])


def test_special_tokens_belong_to_no_word(tokenizer):
    for row in tokenizer(["the ice", ("the", "ice"), ""]):
        assert row.word_index[[0, -1]].tolist() == [-1, -1]
        assert row.char_offsets[[0, -1]].tolist() == [[-1, -1], [-1, -1]]
        assert [VOCABULARY[token] for token in row.input_ids[[0, -1]]] == ["[CLS]", "[SEP]"]


@pytest.mark.parametrize("nothing", ["", "   ", (), ("",), ("\u200b", "\u00ad")])
def test_input_without_tokens_is_a_row_of_two(tokenizer, nothing):
    [row] = tokenizer([nothing])
    assert (row.length, row.full_length) == (2, 2)
    assert row.words == (0 if isinstance(nothing, str) else len(nothing))
    assert row.char_offsets.shape == (2, 2)


def test_word_that_tokenises_to_nothing_leaves_a_gap(tokenizer):
    [row] = tokenizer([("ice", "\u200b", "fox")])
    assert row.word_index.tolist() == [-1, 0, 2, -1]
    assert row.words == 3


def test_text_and_words_with_the_same_letters_number_words_differently(tokenizer):
    text, words = tokenizer(["don't", ("don't",)])
    assert text.input_ids.tolist() == words.input_ids.tolist()
    assert text.words == 3
    assert words.words == 1


@settings(deadline=None)
@given(words=st.lists(latin, min_size=1, max_size=8))
def test_truncation_cuts_the_end_and_remembers_the_whole(tokenizer, short_tokenizer, words):
    [whole] = tokenizer([tuple(words)])
    [cut] = short_tokenizer([tuple(words)])
    assert cut.length == min(whole.full_length, 8)
    assert (cut.full_length, cut.words) == (whole.full_length, len(words))
    for name in ("input_ids", "segment_ids", "word_index", "char_offsets"):
        expected = getattr(whole, name)[: cut.length - 1]
        np.testing.assert_array_equal(getattr(cut, name)[:-1], expected)
    assert VOCABULARY[cut.input_ids[-1]] == "[SEP]"


@settings(deadline=None, max_examples=30)
@given(inputs=st.lists(st.text(max_size=20) | unicode_words.map(tuple), min_size=1, max_size=8))
def test_row_is_the_same_alone_and_in_company(tokenizer, inputs):
    for row, text in zip(tokenizer(inputs), inputs, strict=True):
        assert_same_row(row, tokenizer([text])[0])


def test_arrays_have_the_types_of_the_store(tokenizer):
    for row in tokenizer(["", "the ice", ("fox",)]):
        assert row.input_ids.dtype == row.word_index.dtype == row.char_offsets.dtype == np.int32
        assert row.segment_ids.dtype == np.int8


def test_truncation_and_padding_of_the_tokenizers_file_are_ignored(tiny_encoder, tmp_path):
    from tokenizers import Tokenizer

    folder = tmp_path / "encoder"
    shutil.copytree(tiny_encoder, folder)
    backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
    backend.enable_truncation(4)
    backend.enable_padding(length=20)
    backend.save(str(folder / "tokenizer.json"))
    [row] = RowTokenizer(folder, max_length=64)(["the cold river of ice"])
    assert (row.length, row.full_length) == (7, 7)


def test_tokenizer_that_cannot_be_read_is_refused(tiny_encoder, tmp_path):
    folder = tmp_path / "encoder"
    shutil.copytree(tiny_encoder, folder)
    (folder / "tokenizer.json").write_text("not JSON", encoding="utf-8")
    with pytest.raises(EncoderError, match="its tokenizer cannot be read"):
        RowTokenizer(folder, max_length=64)


@pytest.mark.parametrize("has_names", [True, False])
def test_an_empty_text_has_a_token_or_the_tokenizer_is_refused(tiny_encoder, tmp_path, has_names):
    from tokenizers import Tokenizer, processors

    folder = tmp_path / "encoder"
    shutil.copytree(tiny_encoder, folder)
    backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
    backend.post_processor = processors.TemplateProcessing(single="$A", special_tokens=[])
    backend.save(str(folder / "tokenizer.json"))
    if has_names:
        [empty, word] = RowTokenizer(folder, max_length=64)(["", "wolf"])
        assert VOCABULARY[empty.input_ids[0]] == "[PAD]"  # neither bos_token nor eos_token
        assert (empty.length, empty.full_length, empty.word_index.tolist()) == (1, 1, [SPECIAL])
        assert [VOCABULARY[token] for token in word.input_ids] == ["wolf"]
        return
    bare = {"tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(bare), encoding="utf-8")
    with pytest.raises(EncoderError, match="adds no special tokens to a text, and has none for"):
        RowTokenizer(folder, max_length=64)
