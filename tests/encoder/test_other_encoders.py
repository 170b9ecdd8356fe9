"""Encoders with slow tokenizers, encoder halves and decoders: from files to a head's answers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import random_sentences
from encoded import bits, states_of
from other_encoders import FAMILIES, SLOW, TEXTS, materialise_other
from pipelines import extracted, fit, head_settings, labelled, prepared

from pipeline.core.errors import EncoderError
from pipeline.corpus.storage import read_texts
from pipeline.corpus.texts import TextPair
from pipeline.encoder.acceptance import require_usable
from pipeline.encoder.forward import FrozenEncoder
from pipeline.encoder.tokenise import RowTokenizer
from pipeline.encoder.tokenised import SPECIAL
from pipeline.encoder.windows import Windows, encode_rows
from pipeline.heads.checkpoint import save_head
from pipeline.prediction.predict import Predictor
from pipeline.prediction.split_words import split_words

CPU = torch.device("cpu")
PAIRED = ("esm", "bert_japanese", "phobert", "canine", "t5")
"""Kinds whose tokenizer puts special tokens between two texts."""
WITH_SPACES = ("canine", "gpt2")
"""Kinds that read words as in a text, where transformers leaves the spaces between them out."""


@pytest.fixture(scope="module", params=FAMILIES)
def kind(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def folder(kind, tmp_path_factory) -> Path:
    return materialise_other(kind, tmp_path_factory.mktemp(kind))


@pytest.fixture(scope="module")
def tokenizer(folder) -> RowTokenizer:
    return RowTokenizer(folder, max_length=None)


@pytest.fixture(scope="module")
def reference(folder):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def test_what_encoder_accepts_it_has_tried(folder):
    require_usable(folder, trust_remote_code=False)


def test_a_kind_is_slow_or_fast_as_transformers_has_it(kind, reference):
    assert reference.is_fast == (kind not in SLOW)


def test_a_raw_text_has_the_tokens_of_transformers(kind, tokenizer, reference):
    raw, _ = TEXTS[kind]
    texts = [raw, f" {raw}", f"{raw}  {raw}"]
    for text, row in zip(texts, tokenizer(texts), strict=True):
        assert row.input_ids.tolist() == reference(text)["input_ids"]
        assert row.full_length == row.length


def test_words_have_the_tokens_of_transformers_or_of_the_text(kind, tokenizer, reference):
    raw, words = TEXTS[kind]
    [row] = tokenizer([words])
    if kind in WITH_SPACES:
        expected = reference(raw if kind == "canine" else f" {raw}")["input_ids"]
    else:
        expected = reference(list(words), is_split_into_words=True)["input_ids"]
    assert row.input_ids.tolist() == expected


def test_tokens_of_a_word_stand_side_by_side_in_order(kind, tokenizer):
    _, words = TEXTS[kind]
    given = (*words, "", *words)
    [row] = tokenizer([given])
    owners = row.word_index[row.word_index >= 0]
    assert row.words == len(given)
    assert (np.diff(owners) >= 0).all()
    assert set(owners.tolist()) == {index for index, word in enumerate(given) if word}
    for owner, (begin, end) in zip(row.word_index, row.char_offsets.tolist(), strict=True):
        if owner == SPECIAL:
            assert (begin, end) == (SPECIAL, SPECIAL)
        else:
            assert 0 <= begin < end <= len(given[owner])


@pytest.mark.parametrize("slow", SLOW)
def test_a_raw_text_is_one_word_to_a_slow_tokenizer(slow, tmp_path):
    tokenizer = RowTokenizer(materialise_other(slow, tmp_path), max_length=None)
    raw, _ = TEXTS[slow]
    [row] = tokenizer([f" {raw}"])
    inside = row.word_index != SPECIAL
    assert row.words == 1
    assert set(row.word_index[inside].tolist()) == {0}
    assert {tuple(place) for place in row.char_offsets[inside].tolist()} == {(1, len(raw) + 1)}
    assert (row.char_offsets[~inside] == SPECIAL).all()


def test_spaces_that_canine_reads_between_words_belong_to_none(tmp_path):
    tokenizer = RowTokenizer(materialise_other("canine", tmp_path), max_length=None)
    [row] = tokenizer([("ab", "c")])
    assert row.word_index.tolist() == [-1, 0, 0, -1, 1, -1]
    assert row.input_ids.tolist() == [0xE000, ord("a"), ord("b"), ord(" "), ord("c"), 0xE001]


def test_a_pair_has_the_tokens_of_transformers_or_is_refused(kind, tokenizer, reference):
    raw, _ = TEXTS[kind]
    if kind not in PAIRED:
        with pytest.raises(EncoderError, match="has no special tokens for pairs"):
            tokenizer([TextPair(raw, raw)])
        return
    [row] = tokenizer([TextPair(raw, raw)])
    assert row.input_ids.tolist() == reference(raw, raw)["input_ids"]
    assert row.segment_ids.max() == 1


def test_an_empty_text_has_a_token(kind, tokenizer, reference):
    for row in tokenizer(["", ()]):
        expected = reference("")["input_ids"] or [reference.bos_token_id]
        assert row.input_ids.tolist() == expected
        assert row.full_length == row.length == len(expected)
        assert (row.word_index == SPECIAL).all()


@pytest.mark.parametrize("max_length", [4, 7])
def test_a_cut_row_begins_and_ends_as_the_whole_one(kind, folder, tokenizer, max_length):
    raw, words = TEXTS[kind]
    cut = RowTokenizer(folder, max_length=max_length)([raw, words])
    for row, whole in zip(cut, tokenizer([raw, words]), strict=True):
        assert row.length == min(max_length, whole.length)
        assert row.full_length == whole.full_length
        assert row.input_ids[0] == whole.input_ids[0]
        if whole.word_index[-1] == SPECIAL:
            assert row.input_ids[-1] == whole.input_ids[-1]


def test_windows_over_a_long_text_cover_it(kind, folder, tokenizer):
    _, words = TEXTS[kind]
    rows = tokenizer([words * 9, " ".join(words * 9)])
    encoder = FrozenEncoder(folder, layers=[1], device=CPU)
    for index, states in encode_rows(encoder, rows, Windows(max_length=16, stride=4)):
        assert states[1].shape == (rows[index].length, encoder.width)
        assert np.isfinite(states[1]).all()


def test_rows_of_one_token_are_pure(kind, folder, tokenizer):
    encoder = FrozenEncoder(folder, layers=[0, 2, 4], device=CPU)
    rows = [*tokenizer([""]), *tokenizer([TEXTS[kind][1]] * 3)]
    alone = [states_of(encoder, [row])[0] for row in rows]
    assert bits(states_of(encoder, rows)) == bits(alone)


@pytest.mark.parametrize("task", ["sequence_classification", "token_classification"])
def test_heads_train_and_predict_as_they_were_evaluated(kind, task, folder, tmp_path):
    where = prepared(tmp_path / "c", labelled(random_sentences(60, longest=12)))
    extracted(where, folder, storage_dtype="float16", max_length=40)
    pooling = {} if task == "token_classification" else {"pooling": "last"}
    fitted = fit(where, head_settings(task, training={"epochs": 2}, **pooling))
    (tmp_path / "head").mkdir()
    save_head(tmp_path / "head", fitted.head, fitted.description)
    texts = dict(read_texts(where / "texts"))
    expected = fitted.predictions["seed_5"]
    answers = Predictor.of_folder(tmp_path / "head", folder, device=CPU)(
        [texts[row["id"]] for row in expected]
    )
    for row, answer in zip(expected, answers.rows, strict=True):
        for name in ("label", "tags", "probabilities"):
            assert answer.get(name) == row.get(name)


def test_a_raw_text_is_split_into_words_where_a_head_tags_them(kind, folder, tmp_path):
    where = prepared(tmp_path / "c", labelled(random_sentences(40, longest=8)))
    extracted(where, folder, max_length=40)
    fitted = fit(where, head_settings("token_classification", training={"epochs": 1}))
    predictor = Predictor(fitted.head, fitted.description, folder, device=CPU)
    text = "a wolf, a bear"
    words = tuple(text[begin:end] for begin, end in split_words(text))
    raw, given = predictor([text, words]).rows
    assert raw["tags"] == given["tags"]
    assert raw["words"] == [list(span) for span in split_words(text)]


def test_a_tokenizer_that_cannot_be_loaded_is_refused_when_it_is_accepted(tmp_path):
    folder = materialise_other("bert_japanese", tmp_path)
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    config["word_tokenizer_type"] = "nothing"
    (broken / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(EncoderError, match="its tokenizer cannot be read") as caught:
        require_usable(broken, trust_remote_code=False)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("setting", ["mecab_option", "sudachi_config_path"])
def test_a_tokenizer_that_names_a_file_by_its_path_is_refused(setting, tmp_path):
    folder = materialise_other("bert_japanese", tmp_path)
    config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    config["mecab_kwargs"] = {setting: "/etc/mecabrc"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(EncoderError, match=f"has {setting}"):
        RowTokenizer(folder, max_length=None)
