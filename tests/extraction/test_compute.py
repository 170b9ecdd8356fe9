from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from conftest import VOCABULARY, random_sentences

from pipeline.encoder.tokenise import RowTokenizer, TokenisedRow
from pipeline.errors import StoreError
from pipeline.extraction import compute as compute_module
from pipeline.extraction.compute import compute_missing
from pipeline.extraction.plan import RowPlan, plan_rows, plan_work, read_rows
from pipeline.store.keys import Recipe
from pipeline.store.local import LocalStore

WIDTH = 4
LAYERS = [1, 3]
SENTENCES = list(dict.fromkeys(random_sentences(80)))


class FakeEncoder:
    """Gives every token ``1000 * layer + its id`` as its state, and remembers what it was asked.

    Like the true one, it gives the shortest rows first.
    """

    def __init__(self, layers: Sequence[int] = LAYERS, values: float | None = None) -> None:
        self.layers = layers
        self.values = values
        self.calls: list[list[TokenisedRow]] = []

    @property
    def rows(self) -> list[TokenisedRow]:
        return [row for call in self.calls for row in call]

    def encode(self, rows: Sequence[TokenisedRow]) -> Iterator[tuple[int, dict]]:
        self.calls.append(list(rows))
        for index in sorted(range(len(rows)), key=lambda index: rows[index].length):
            yield index, {layer: self.state(rows[index], layer) for layer in self.layers}

    def state(self, row: TokenisedRow, layer: int) -> np.ndarray:
        states = np.repeat(row.input_ids[:, None] + 1000.0 * layer, WIDTH, axis=1)
        if self.values is not None and layer == 3 and VOCABULARY.index("wolf") in row.input_ids:
            states[:, 1] = self.values
        return states.astype(np.float32)


class Run:
    """Plans and computes corpora against one store."""

    def __init__(self, folder: Path, encoder: Path, storage_dtype: str = "float16") -> None:
        self.recipe = Recipe(
            encoder={"weights": {}, "config": {}, "tokenizer": {}},
            max_length=32,
            long_texts="truncate",
            compute_dtype="float32",
            storage_dtype=storage_dtype,
        )
        self.tokenizer = RowTokenizer(encoder, max_length=32)
        self.store = LocalStore.of(folder, self.recipe)
        self.progress: list[int] = []

    def __call__(self, texts, encoder: FakeEncoder | None, layers: Sequence[int] = LAYERS):
        """Without an encoder, a run that asks for one fails."""

        def examples():
            return iter([(f"t{number}", text) for number, text in enumerate(texts)])

        def load_encoder():
            assert encoder is not None, "nothing should have to be computed"
            return encoder

        index = self.store.index()
        plan = plan_rows(
            read_rows(examples, self.recipe),
            examples,
            self.tokenizer,
            self.recipe,
            index,
            shard_tokens=256,
        )
        compute_missing(
            examples,
            self.tokenizer,
            load_encoder,
            plan=plan,
            work=plan_work(plan, self.store, index, self.recipe, layers=layers, width=WIDTH),
            store=self.store,
            index=index,
            recipe=self.recipe,
            width=WIDTH,
            machine={"device": "cpu"},
            progress=self.progress.append,
        )
        return plan

    def log(self) -> list[dict]:
        lines = (self.store.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture
def run(tmp_path, tiny_encoder) -> Run:
    return Run(tmp_path / "store", tiny_encoder)


def assert_stored(run: Run, plan: RowPlan, texts, layers: Sequence[int] = LAYERS) -> None:
    """The store holds the fake encoder's states of every text."""
    index = run.store.index()
    for row, text in zip(run.tokenizer(texts), plan.rows.example_rows, strict=True):
        for layer in layers:
            expected = FakeEncoder().state(row, layer).astype(run.recipe.storage_dtype)
            np.testing.assert_array_equal(index.states(plan.keys[text], layer), expected)


def files_of(run: Run) -> dict[str, bytes]:
    return {
        path.relative_to(run.store.folder).as_posix(): path.read_bytes()
        for path in run.store.folder.rglob("*.h5")
    }


def test_every_row_is_encoded_once_and_stored(run):
    encoder = FakeEncoder()
    texts = [*SENTENCES, *SENTENCES[:9]]
    plan = run(texts, encoder)
    assert len(plan.shards) >= 3
    assert len(encoder.rows) == len(SENTENCES)
    assert_stored(run, plan, texts)


def test_encoder_is_not_loaded_where_nothing_is_missing(run):
    run(SENTENCES, FakeEncoder())
    before = files_of(run)
    run(SENTENCES, None)
    assert files_of(run) == before


def test_rows_of_other_shards_are_not_encoded_again(run):
    run(SENTENCES, FakeEncoder())
    texts = SENTENCES[::-1]
    plan = run(texts, None)
    assert_stored(run, plan, texts)


def test_new_row_among_stored_ones_is_the_only_one_encoded(run):
    run(SENTENCES, FakeEncoder())
    encoder = FakeEncoder()
    texts = [*SENTENCES[:40], ("wolf", "wolf", "bear"), *SENTENCES[40:]]
    plan = run(texts, encoder)
    assert [len(call) for call in encoder.calls] == [1]
    expected = run.tokenizer([("wolf", "wolf", "bear")])[0].input_ids
    np.testing.assert_array_equal(encoder.rows[0].input_ids, expected)
    assert_stored(run, plan, texts)


def test_added_layer_writes_that_layer_only(run):
    run(SENTENCES, FakeEncoder([1]), layers=[1])
    before = {path: path.stat().st_ino for path in run.store.folder.rglob("*.h5")}
    plan = run(SENTENCES, FakeEncoder([1, 3]), layers=[1, 3])
    after = {path: path.stat().st_ino for path in run.store.folder.rglob("*.h5")}
    assert before.items() <= after.items()
    assert {path.name for path in after.keys() - before.keys()} == {"layer_03.h5"}
    assert_stored(run, plan, SENTENCES)


def test_small_blocks_give_the_same_files(run, tmp_path, tiny_encoder, monkeypatch):
    run(SENTENCES, FakeEncoder())
    monkeypatch.setattr(compute_module, "_BLOCK_TOKENS", 1)
    blocks, encoder = Run(tmp_path / "blocks", tiny_encoder), FakeEncoder()
    plan = blocks(SENTENCES, encoder)
    assert len(encoder.calls) == len(plan.shards)
    assert files_of(blocks) == files_of(run)


def test_run_that_was_stopped_keeps_the_blocks_it_finished(run, monkeypatch):
    class Stopping(FakeEncoder):
        def encode(self, rows):
            if len(self.calls) == 2:
                raise KeyboardInterrupt
            return super().encode(rows)

    monkeypatch.setattr(compute_module, "_BLOCK_TOKENS", 1)
    stopped, encoder = Stopping(), FakeEncoder()
    with pytest.raises(KeyboardInterrupt):
        run(SENTENCES, stopped)
    plan = run(SENTENCES, encoder)
    assert len(stopped.rows) > 0
    assert len(stopped.rows) + len(encoder.rows) == len(SENTENCES)
    assert_stored(run, plan, SENTENCES)


def test_progress_counts_the_tokens_encoded(run):
    plan = run(SENTENCES, FakeEncoder())
    assert sum(run.progress) == plan.tokens


def test_log_says_which_shards_were_written(run):
    plan = run(SENTENCES, FakeEncoder())
    [entry] = run.log()
    assert entry.pop("seconds") >= 0
    assert entry == {
        "device": "cpu",
        "shards": [shard.name for shard in plan.shards],
        "layers": LAYERS,
        "rows": len(SENTENCES),
        "tokens": plan.tokens,
    }


def test_value_too_large_for_float16_stops_with_layer_and_text(run):
    texts = [("ice",), ("bear", "fox"), ("cold", "wolf"), ("snow",)]
    with pytest.raises(
        StoreError, match=r"layer 3 of text 't2' .* not finite in float16; set storage_dtype"
    ):
        run(texts, FakeEncoder(values=70_000.0))
    assert files_of(run) == {}


def test_value_too_large_for_float16_fits_float32(tmp_path, tiny_encoder):
    run = Run(tmp_path, tiny_encoder, storage_dtype="float32")
    plan = run([("cold", "wolf")], FakeEncoder(values=70_000.0))
    assert run.store.index().states(plan.keys[0], 3)[0, 1] == 70_000.0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_value_that_is_not_finite_stops_in_float32_too(tmp_path, tiny_encoder, value):
    run = Run(tmp_path, tiny_encoder, storage_dtype="float32")
    with pytest.raises(StoreError, match=r"layer 3 of text 't0' .* not finite in float32$"):
        run([("cold", "wolf")], FakeEncoder(values=value))
