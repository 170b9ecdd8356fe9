from __future__ import annotations

import dataclasses
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import StoreError
from pipeline.corpus.texts import TextPair, parts
from pipeline.store.keys import Recipe, row_key, shard_name

RECIPE = Recipe(
    encoder={"weights": {"model.safetensors": "a" * 64}, "config": {}, "tokenizer": {}},
    max_length=128,
    long_texts="truncate",
    compute_dtype="float32",
    storage_dtype="float16",
)
texts = (
    st.text(max_size=20)
    | st.lists(st.text(max_size=8), max_size=5).map(tuple)
    | st.builds(TextPair, st.text(max_size=8), st.text(max_size=8))
)
FORMS = {str: "text", tuple: "words", TextPair: "pair"}


def test_recipe_digest_is_that_of_its_canonical_json():
    canonical = (
        '{"compute_dtype":"float32","encoder":{"config":{},"tokenizer":{},'
        '"weights":{"model.safetensors":"'
        + "a"
        * 64
        + '"}},"extractor":2,"format":1,"long_texts":"truncate",'
        '"max_length":128,"storage_dtype":"float16"}'
    )
    assert RECIPE.digest() == hashlib.sha256(canonical.encode()).hexdigest()


@pytest.mark.parametrize(
    "change",
    [
        {"encoder": {"weights": {"model.safetensors": "ab"}, "config": {}, "tokenizer": {}}},
        {"max_length": 64},
        {"long_texts": "error"},
        {"compute_dtype": "bfloat16"},
        {"storage_dtype": "float32"},
        {"stride": 0},
        {"stride": 32},
    ],
)
def test_every_field_of_a_recipe_changes_its_digest(change):
    assert dataclasses.replace(RECIPE, **change).digest() != RECIPE.digest()


WINDOWED = dataclasses.replace(RECIPE, long_texts="window", stride=32)


def test_the_stride_is_in_a_recipe_only_where_texts_are_read_in_windows():
    """Recipes without it are, and their stores stay, what they were before there were windows."""
    assert set(WINDOWED.as_json()) - set(RECIPE.as_json()) == {"stride"}
    assert dataclasses.replace(WINDOWED, stride=0).as_json()["stride"] == 0
    assert WINDOWED.digest() != dataclasses.replace(WINDOWED, stride=31).digest()


@pytest.mark.parametrize("recipe", [RECIPE, WINDOWED, dataclasses.replace(WINDOWED, stride=0)])
def test_a_recipe_is_read_back_from_its_json(recipe):
    read = Recipe.from_json(json.loads(json.dumps(recipe.as_json())))
    assert read == recipe
    assert read.digest() == recipe.digest()


@pytest.mark.parametrize(
    "change",
    [
        {"compute_dtype": "load"},
        {"storage_dtype": "float64"},
        {"max_length": "128"},
        {"max_length": 10**12},
        {"encoder": {"weights": {"../w": "a" * 64}, "config": {}, "tokenizer": {}}},
        {"encoder": {"weights": {"w": "aa"}, "config": {}, "tokenizer": {}}},
        {"encoder": []},
        {"stride": 4},
        {"device": "cuda"},
    ],
)
def test_a_recipe_that_is_none_is_refused(change):
    with pytest.raises(StoreError, match="no recipe of features"):
        Recipe.from_json({**RECIPE.as_json(), **change})


def test_recipe_digest_does_not_depend_on_the_order_of_files():
    encoder = dict(reversed(RECIPE.encoder.items()))
    assert dataclasses.replace(RECIPE, encoder=encoder).digest() == RECIPE.digest()


@given(texts)
def test_row_key_is_the_digest_that_the_format_defines(text):
    content = [text.first, text.second] if isinstance(text, TextPair) else text
    canonical = json.dumps([FORMS[type(text)], content], ensure_ascii=False, separators=(",", ":"))
    expected = hashlib.sha256(b"d1ge57\n" + canonical.encode("utf-8")).digest()
    assert row_key("d1ge57", text) == expected


@given(texts, texts)
def test_different_inputs_have_different_keys(one, other):
    assert (row_key("d", one) == row_key("d", other)) == (one == other)


@pytest.mark.parametrize("words", [("ice",), ("cold", "ice"), ()])
def test_text_and_words_that_read_alike_have_different_keys(words):
    assert row_key("d", words) != row_key("d", " ".join(words))


@pytest.mark.parametrize("pair", [TextPair("cold", "ice"), TextPair("ice", "ice")])
def test_a_pair_has_another_key_than_texts_and_words_that_read_alike(pair):
    alike = [parts(pair), pair.first, pair.second, f"{pair.first} {pair.second}"]
    assert row_key("d", pair) not in {row_key("d", text) for text in alike}


def test_the_order_of_a_pair_is_part_of_the_row_key():
    assert row_key("d", TextPair("ice", "cold")) != row_key("d", TextPair("cold", "ice"))


def test_recipe_is_part_of_the_row_key():
    assert row_key("one", "ice") != row_key("other", "ice")


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=5))
def test_shard_name_is_the_digest_of_its_keys_in_order(keys):
    assert shard_name(keys) == hashlib.sha256(b"".join(keys)).hexdigest()[:32]


def test_order_of_rows_changes_the_name_of_a_shard():
    assert shard_name([b"a" * 32, b"b" * 32]) != shard_name([b"b" * 32, b"a" * 32])
