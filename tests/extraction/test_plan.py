from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from conftest import random_sentences
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import DataError
from pipeline.encoder.tokenise import RowTokenizer
from pipeline.extraction import plan as plan_module
from pipeline.extraction.length_report import length_report
from pipeline.extraction.plan import RowPlan, plan_rows, read_rows
from pipeline.extraction.token_spool import TokenSpool
from pipeline.extraction.work import plan_work
from pipeline.store.index import RowIndex
from pipeline.store.keys import Recipe, row_key, shard_name
from pipeline.store.layer_image import layer_file
from pipeline.store.local import LocalStore
from pipeline.store.writer import ShardTokens, key_array, row_offsets, tokens_file

MAX_LENGTH = 24
WIDTH = 4
RECIPE = Recipe(
    encoder={"weights": {}, "config": {}, "tokenizer": {}},
    max_length=MAX_LENGTH,
    long_texts="truncate",
    compute_dtype="float32",
    storage_dtype="float16",
)
ERROR_RECIPE = Recipe(**{**RECIPE.__dict__, "long_texts": "error"})


@pytest.fixture(scope="module")
def tokenizer(tiny_encoder) -> RowTokenizer:
    return RowTokenizer(tiny_encoder, max_length=MAX_LENGTH)


def plan_of(texts, tokenizer, recipe=RECIPE, store=None) -> RowPlan:
    examples = [(f"t{number}", text) for number, text in enumerate(texts)]
    index = (
        RowIndex([], lambda _shard, _file: None, width=WIDTH, dtype="float16")
        if store is None
        else store.index(width=WIDTH, dtype="float16")
    )
    rows = read_rows(lambda: iter(examples), recipe)
    with TokenSpool(len(rows.keys), Path(tempfile.gettempdir())) as spool:
        return plan_rows(
            rows, lambda: iter(examples), tokenizer, recipe, index, spool, shard_tokens=256
        )


@pytest.fixture
def plan(tokenizer) -> RowPlan:
    plan = plan_of(random_sentences(80), tokenizer)
    assert len(plan.shards) >= 3
    return plan


@pytest.fixture
def store(tmp_path) -> LocalStore:
    return LocalStore.of(tmp_path, RECIPE)


def fill(store: LocalStore, plan: RowPlan, layers) -> None:
    """Puts a plan's shards into the store, with zeros for states."""
    for shard in plan.shards:
        lengths = plan.lengths[shard.first : shard.end]
        flat = np.zeros(shard.tokens, np.int32)
        tokens = ShardTokens(
            per_token={
                "input_ids": flat,
                "segment_ids": flat.astype(np.int8),
                "word_index": flat,
                "char_offsets": np.zeros((shard.tokens, 2), np.int32),
            },
            row_offsets=row_offsets(lengths),
            row_keys=key_array(plan.keys[shard.first : shard.end]),
            row_full_length=lengths,
            row_words=lengths,
        )
        store.put(shard.name, "tokens.h5", tokens_file(tokens))
        for layer in layers:
            hidden = np.zeros((shard.tokens, WIDTH), np.float16)
            store.put(shard.name, f"layer_{layer:02d}.h5", *layer_file(hidden, layer=layer))


def work_of(plan: RowPlan, store: LocalStore, layers):
    return plan_work(
        plan, store, store.index(width=WIDTH, dtype="float16"), RECIPE, layers=layers, width=WIDTH
    )


def test_repeated_inputs_share_a_row(tokenizer):
    plan = plan_of(["ice", "fox", "ice", ("ice",), ("ice",), "fox"], tokenizer)
    assert plan.rows.example_rows.tolist() == [0, 1, 0, 2, 2, 1]
    assert plan.rows.example_ids == [f"t{number}" for number in range(6)]
    digest = RECIPE.digest()
    assert plan.keys == [row_key(digest, text) for text in ("ice", "fox", ("ice",))]


def test_repeats_are_seen_across_the_chunks_that_are_tokenised(tokenizer, monkeypatch):
    texts = ["ice", "fox", "wolf", "ice", "bear", "fox", "ice"]
    whole = plan_of(texts, tokenizer)
    monkeypatch.setattr(plan_module, "_TOKENISE_TEXTS", 2)
    parts = plan_of(texts, tokenizer)
    assert (
        parts.rows.example_rows.tolist()
        == whole.rows.example_rows.tolist()
        == [0, 1, 2, 0, 3, 1, 0]
    )
    assert parts.lengths.tolist() == whole.lengths.tolist()


def test_lengths_are_the_tokenizers(tokenizer):
    texts = list(dict.fromkeys(random_sentences(80)))
    plan = plan_of(texts, tokenizer)
    rows = tokenizer(texts)
    assert plan.lengths.tolist() == [row.length for row in rows]
    assert plan.full_lengths.tolist() == [row.full_length for row in rows]


def test_shards_hold_every_row_once_and_are_named_by_their_keys(plan):
    assert [row for shard in plan.shards for row in range(shard.first, shard.end)] == list(
        range(len(plan.keys))
    )
    for shard in plan.shards:
        assert shard.name == shard_name(plan.keys[shard.first : shard.end])
        assert shard.tokens == plan.lengths[shard.first : shard.end].sum()
    assert sum(shard.tokens for shard in plan.shards) == plan.tokens


def test_report_counts_examples_rows_and_what_was_cut(tokenizer):
    plan = plan_of(["ice fox", "ice fox", "wolf " * 30, "wolf " * 40, ""], tokenizer)
    assert plan.report() == {
        "examples": 5,
        "rows": 4,
        "tokens": 4 + 24 + 24 + 2,
        "truncated_rows": 2,
        "truncated_tokens": (32 - 24) + (42 - 24),
        "windowed_rows": 0,
        "longest_row_before_truncation": 42,
        "token_lengths": length_report(np.array([4, 4, 32, 42, 2], np.int32)),
    }


@given(st.lists(st.integers(1, 300), min_size=1))
def test_lengths_are_counted_once_and_shares_of_texts_do_not_exceed_theirs(lengths: list[int]):
    report = length_report(np.array(lengths, np.int32))
    for name, share in (("median", 0.5), ("percentile_90", 0.9), ("percentile_99", 0.99)):
        # The definition: the shortest length that so many texts do not exceed.
        assert report[name] == np.quantile(lengths, share, method="inverted_cdf")
    assert sum(report["histogram"].values()) == len(lengths)
    for bin_, count in report["histogram"].items():
        low, high = map(int, bin_.split("-"))
        assert count == sum(low <= length <= high for length in lengths)


def test_too_long_text_is_named_where_that_is_an_error(tokenizer):
    texts = ["ice", "wolf " * 22, "wolf " * 23, "fox", "wolf " * 23]
    with pytest.raises(DataError, match=r"text 't2' has 25 tokens and max_length is 24 \(2 texts"):
        plan_of(texts, tokenizer, ERROR_RECIPE)


def test_text_of_exactly_max_length_is_not_too_long(tokenizer):
    plan = plan_of(["wolf " * 22], tokenizer, ERROR_RECIPE)
    assert plan.lengths.tolist() == [24]


def test_empty_store_lacks_everything(plan, store):
    work = work_of(plan, store, [1, 3])
    assert [item.shard for item in work] == plan.shards
    for item in work:
        assert item.files == ["tokens.h5", "layer_01.h5", "layer_03.h5"]
        assert item.layers == [1, 3]
        assert item.compute == list(range(item.shard.first, item.shard.end))
        assert item.tokens == item.shard.tokens
        assert item.bytes == item.shard.tokens * WIDTH * 2 * 2  # float16, two layers


def test_complete_store_lacks_nothing(plan, store):
    fill(store, plan, [1, 3])
    assert work_of(plan, store, [1, 3]) == []
    assert work_of(plan, store, [3]) == []


def test_missing_layer_file_is_found(plan, store):
    fill(store, plan, [1, 3])
    lost = plan.shards[1]
    store.path(lost.name, "layer_03.h5").unlink()
    [item] = work_of(plan, store, [1, 3])
    assert (item.shard, item.files, item.layers) == (lost, ["layer_03.h5"], [3])
    assert item.compute == list(range(lost.first, lost.end))
    assert item.bytes == lost.tokens * WIDTH * 2


def test_missing_tokens_file_is_written_again_without_computing(plan, store):
    fill(store, plan, [1, 3])
    lost = plan.shards[1]
    store.path(lost.name, "tokens.h5").unlink()
    [item] = work_of(plan, store, [1, 3])
    assert (item.files, item.layers, item.compute, item.bytes) == (["tokens.h5"], [], [], 0)


def test_added_layer_is_computed_for_every_row(plan, store):
    fill(store, plan, [1])
    work = work_of(plan, store, [1, 3])
    assert [item.files for item in work] == [["layer_03.h5"]] * len(plan.shards)
    assert sum(len(item.compute) for item in work) == len(plan.keys)


def test_rows_that_other_shards_hold_are_not_computed(tokenizer, plan, store):
    fill(store, plan, [1, 3])
    sentences = random_sentences(80)
    other = plan_of([*reversed(sentences), ("wolf", "bear")], tokenizer)
    work = work_of(other, store, [1, 3])
    assert [row for item in work for row in item.compute] == [len(other.keys) - 1]
    assert sum(item.tokens for item in work) == 4


def test_row_whose_shard_lacks_a_layer_is_computed(tokenizer, plan, store):
    fill(store, plan, [1, 3])
    lost = plan.shards[0]
    store.path(lost.name, "layer_03.h5").unlink()
    other = plan_of(list(reversed(random_sentences(80))), tokenizer)
    lacking = set(plan.keys[lost.first : lost.end])
    assert {other.keys[row] for item in work_of(other, store, [1, 3]) for row in item.compute} == (
        lacking
    )
    assert all(item.compute == [] for item in work_of(other, store, [1]))


def test_stored_rows_are_not_tokenised_again(plan, tokenizer, store):
    fill(store, plan, [1])
    texts = random_sentences(80)
    asked: list = []

    def spy(inputs):
        asked.extend(inputs)
        return tokenizer(inputs)

    new = ("wolf", "wolf", "bear", "song")
    again = plan_of([*texts[:40], new, *texts[40:]], spy, store=store)
    assert asked == [new]
    expected = plan_of([*texts[:40], new, *texts[40:]], tokenizer)
    assert again.lengths.tolist() == expected.lengths.tolist()
    assert again.shards == expected.shards


def test_long_texts_are_tokenised_few_at_a_time(tokenizer, monkeypatch):
    monkeypatch.setattr(plan_module, "_TOKENISE_CHARACTERS", 40)
    sizes: list[int] = []
    tokenise = RowTokenizer.__call__

    def counting(self: RowTokenizer, texts: list) -> list:
        sizes.append(len(texts))
        return tokenise(self, texts)

    monkeypatch.setattr(RowTokenizer, "__call__", counting)
    texts = ["ice " * 3, "fox " * 20, "wolf", ("bear", "moon" * 12), "sun"]
    plan = plan_of(texts, tokenizer)
    assert sizes == [2, 2, 1]
    assert plan.lengths.tolist() == [row.length for row in tokenizer(texts)]
