"""Pairs of texts become the rows that transformers makes of them."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import WORDS, write_tiny_bert
from hypothesis import given, settings
from hypothesis import strategies as st
from vocabularies import tokenizer_of, with_tokenizer

from pipeline.core.errors import EncoderError
from pipeline.corpus.texts import TextPair
from pipeline.encoder.forward import FrozenEncoder
from pipeline.encoder.settings import EncoderSettings
from pipeline.encoder.snapshot import materialise
from pipeline.encoder.tokenise import RowTokenizer, longest_first

MAX_LENGTHS = [4, 5, 9, 16, None]
texts = st.lists(
    st.sampled_from([word for word in WORDS if word.isalpha()] + ["rivers", "\u6771\u4eac", "(!)"]),
    max_size=12,
).map(" ".join)
# Transformers takes an empty second text for none, and corpora have none.
pairs = st.builds(
    TextPair,
    texts | st.text(max_size=6),
    (texts | st.text(max_size=6)).map(lambda text: text or " "),
)


@pytest.fixture(scope="module")
def folders(tiny_encoder, tmp_path_factory) -> dict[str, Path]:
    where = tmp_path_factory.mktemp("tokenizers")
    return {
        "bert": tiny_encoder,
        "roberta": with_tokenizer(tiny_encoder, "roberta", where / "roberta"),
    }


@pytest.fixture(scope="module")
def tokenizers(folders) -> dict[tuple[str, int | None], RowTokenizer]:
    return {
        (name, max_length): RowTokenizer(folder, max_length=max_length)
        for name, folder in folders.items()
        for max_length in MAX_LENGTHS
    }


@pytest.fixture(scope="module")
def references(tiny_bert) -> dict:
    from transformers import AutoTokenizer

    return {"bert": AutoTokenizer.from_pretrained(tiny_bert), "roberta": tokenizer_of("roberta")}


def broken(encoder: Path, folder: Path, post_processor) -> Path:
    """A copy of an encoder whose tokenizer has another post-processor."""
    from tokenizers import Tokenizer

    shutil.copytree(encoder, folder)
    backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
    backend.post_processor = post_processor
    backend.save(str(folder / "tokenizer.json"))
    return folder


@pytest.mark.parametrize("name", ["bert", "roberta"])
@settings(deadline=None)
@given(pair=pairs, max_length=st.sampled_from(MAX_LENGTHS))
def test_pairs_give_the_ids_that_transformers_gives(tokenizers, references, name, pair, max_length):
    cut = {} if max_length is None else {"truncation": "longest_first", "max_length": max_length}
    expected = references[name](pair.first, pair.second, return_token_type_ids=True, **cut)
    [row] = tokenizers[name, max_length]([pair])
    assert row.input_ids.tolist() == expected["input_ids"]
    if name == "bert":
        assert row.segment_ids.tolist() == expected["token_type_ids"]
    else:  # the row tells the texts apart, and the encoder is not told
        assert not any(expected["token_type_ids"])
        second = [segment == 1 for segment in expected.sequence_ids()]
        begin = second.index(True) if any(second) else row.length - 1
        assert row.segment_ids.tolist() == [int(token >= begin) for token in range(row.length)]


@pytest.mark.parametrize("name", ["bert", "roberta"])
@settings(deadline=None)
@given(pair=pairs)
def test_pairs_have_the_words_and_offsets_of_their_texts(tokenizers, name, pair):
    tokenizer = tokenizers[name, None]
    [row] = tokenizer([pair])
    first, second = tokenizer([pair.first, pair.second])
    assert row.words == first.words + second.words
    assert row.full_length == row.length
    of_text = row.word_index >= 0
    for segment, alone, before in ((0, first, 0), (1, second, first.words)):
        tokens = of_text & (row.segment_ids == segment)
        assert row.word_index[tokens].tolist() == (alone.word_index[1:-1] + before).tolist()
        assert row.char_offsets[tokens].tolist() == alone.char_offsets[1:-1].tolist()
        assert row.input_ids[tokens].tolist() == alone.input_ids[1:-1].tolist()
    assert (row.char_offsets[~of_text] == -1).all()


def test_offsets_of_a_pair_point_into_their_own_text(tokenizers):
    pair = TextPair("the cold river", "a warm house")
    [row] = tokenizers["bert", None]([pair])
    tokens = [
        (pair.first if segment == 0 else pair.second)[begin:end]
        for segment, (begin, end) in zip(row.segment_ids, row.char_offsets, strict=True)
        if begin >= 0
    ]
    assert tokens == ["the", "cold", "river", "a", "warm", "house"]
    assert row.word_index.tolist() == [-1, 0, 1, 2, -1, 3, 4, 5, -1]
    assert row.segment_ids.tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize("room", range(1, 12))
def test_longest_first_cuts_as_transformers_does(references, room):
    for first in range(9):
        for second in range(9):
            expected = references["bert"](
                "ice " * first,
                " fox" * second or " ",
                truncation="longest_first",
                max_length=room + 3,
            ).sequence_ids()
            kept = [expected.count(0), expected.count(1)]
            assert longest_first([first, second], room) == kept, (first, second)


@settings(deadline=None, max_examples=50)
@given(pair=pairs)
def test_a_cut_pair_remembers_the_whole(tokenizers, pair):
    [whole] = tokenizers["bert", None]([pair])
    [cut] = tokenizers["bert", 9]([pair])
    assert (cut.full_length, cut.words) == (whole.length, whole.words)
    assert cut.length == min(9, whole.length)


@settings(deadline=None, max_examples=50)
@given(inputs=st.lists(pairs | texts | texts.map(lambda text: tuple(text.split())), max_size=6))
def test_a_pair_is_the_same_row_among_texts_words_and_pairs(tokenizers, inputs):
    tokenizer = tokenizers["bert", 16]
    for row, one in zip(tokenizer(inputs), inputs, strict=True):
        [alone] = tokenizer([one])
        for field in dataclasses.fields(row):
            np.testing.assert_array_equal(getattr(row, field.name), getattr(alone, field.name))


def test_a_tokenizer_without_special_tokens_for_pairs_is_refused(tiny_encoder, tmp_path):
    from tokenizers import processors

    single = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    folder = broken(tiny_encoder, tmp_path / "encoder", single)
    tokenizer = RowTokenizer(folder, max_length=16)
    assert tokenizer(["the river"])[0].length == 4
    with pytest.raises(EncoderError, match="has no special tokens for pairs") as caught:
        tokenizer([TextPair("the river", "ice")])
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_a_tokenizer_with_other_segments_than_bert_is_refused(tiny_encoder, tmp_path):
    from tokenizers import processors

    other = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP]:1 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    folder = broken(tiny_encoder, tmp_path / "encoder", other)
    with pytest.raises(EncoderError, match=r"gives pairs the segments \[0, 0, 1, 1, 1\]"):
        RowTokenizer(folder, max_length=16)([TextPair("the river", "ice")])


@pytest.mark.parametrize("name", ["roberta", "deberta_v2"])
def test_segments_reach_a_bert_only_where_its_tokenizer_has_them(name, tmp_path):
    """A BERT may have been trained with the tokenizer of a RoBERTa, which tells no texts apart."""
    from transformers import BertModel

    source = write_tiny_bert(tmp_path / "bert", vocab_size=400)
    materialise(EncoderSettings(source=str(source), revision=None), tmp_path / "encoder")
    folder = with_tokenizer(tmp_path / "encoder", name, tmp_path / name)
    pair = TextPair("the cold river", "a wolf and a bear")
    [row] = RowTokenizer(folder, max_length=32)([pair])
    reference = tokenizer_of(name)
    inputs = reference(pair.first, pair.second, return_token_type_ids=True, return_tensors="pt")
    assert bool(inputs["token_type_ids"].any()) == (name == "deberta_v2")
    encoder = FrozenEncoder(folder, layers=[3], device=torch.device("cpu"))
    [(_, states)] = encoder.encode([row])
    with torch.inference_mode():
        expected = BertModel.from_pretrained(folder).eval()(**inputs).last_hidden_state[0].numpy()
    assert np.abs(states[3] - expected).max() <= 1e-5
