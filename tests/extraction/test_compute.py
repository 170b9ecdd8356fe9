from __future__ import annotations

import errno
import io
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import VOCABULARY, random_sentences

from pipeline.core import files as files_module
from pipeline.core.errors import EncoderError, StoreError
from pipeline.encoder.packing import pack_by_length
from pipeline.encoder.packs import EncodedPack, PackStates, Piece
from pipeline.encoder.tokenise import RowTokenizer
from pipeline.encoder.tokenised import TokenisedRow
from pipeline.extraction import compute as compute_module
from pipeline.extraction.compute import compute_missing
from pipeline.extraction.plan import RowPlan, plan_rows, read_rows
from pipeline.extraction.token_spool import TokenSpool
from pipeline.extraction.work import plan_work
from pipeline.store.keys import Recipe
from pipeline.store.local import LocalStore

WIDTH = 4
LAYERS = [1, 3]
PACK_TOKENS = 100
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

    def encode_packs(
        self, rows: Sequence[TokenisedRow], dtype: torch.dtype
    ) -> Iterator[EncodedPack]:
        self.calls.append(list(rows))
        for numbers in pack_by_length([row.length for row in rows], PACK_TOKENS):
            pack = [rows[number] for number in numbers]
            ends = np.cumsum([row.length for row in pack]).tolist()
            pieces = [
                Piece(number, end - row.length, 0, row.length)
                for number, row, end in zip(numbers, pack, ends, strict=True)
            ]
            by_layer = {
                layer: torch.from_numpy(
                    np.concatenate([self.state(row, layer) for row in pack])
                ).to(dtype)
                for layer in self.layers
            }
            finite = {layer: bool(states.isfinite().all()) for layer, states in by_layer.items()}
            yield EncodedPack(pieces, partial(PackStates, by_layer, finite))

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

        index = self.store.index(width=WIDTH, dtype=self.recipe.storage_dtype)
        rows = read_rows(examples, self.recipe)
        with TokenSpool(len(rows.keys), self.store.folder) as spool:
            plan = plan_rows(
                rows, examples, self.tokenizer, self.recipe, index, spool, shard_tokens=256
            )
            compute_missing(
                spool,
                self.tokenizer,
                load_encoder,
                plan=plan,
                work=plan_work(plan, self.store, index, self.recipe, layers=layers, width=WIDTH),
                store=self.store,
                index=index,
                recipe=self.recipe,
                width=WIDTH,
                pack_tokens=PACK_TOKENS,
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
    index = run.store.index(width=WIDTH, dtype=run.recipe.storage_dtype)
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
    monkeypatch.setattr(compute_module, "_block_tokens", lambda *_: 1)
    blocks, encoder = Run(tmp_path / "blocks", tiny_encoder), FakeEncoder()
    plan = blocks(SENTENCES, encoder)
    assert len(encoder.calls) == len(plan.shards)
    assert files_of(blocks) == files_of(run)


def test_run_that_was_stopped_keeps_the_blocks_it_finished(run, monkeypatch):
    class Stopping(FakeEncoder):
        def encode_packs(self, rows, dtype):
            if len(self.calls) == 2:
                raise KeyboardInterrupt
            return super().encode_packs(rows, dtype)

    monkeypatch.setattr(compute_module, "_block_tokens", lambda *_: 1)
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
    assert (
        run.store.index(width=WIDTH, dtype=run.recipe.storage_dtype).states(plan.keys[0], 3)[0, 1]
        == 70_000.0
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_value_that_is_not_finite_stops_in_float32_too(tmp_path, tiny_encoder, value):
    run = Run(tmp_path, tiny_encoder, storage_dtype="float32")
    with pytest.raises(StoreError, match=r"layer 3 of text 't0' .* not finite in float32$"):
        run([("cold", "wolf")], FakeEncoder(values=value))


class Pipelined(FakeEncoder):
    """Calls a function when a block begins to be encoded, with the block's number from 1 on."""

    def __init__(self, begun: Callable[[int], object]) -> None:
        super().__init__()
        self.begun = begun

    def encode_packs(
        self, rows: Sequence[TokenisedRow], dtype: torch.dtype
    ) -> Iterator[EncodedPack]:
        self.begun(len(self.calls) + 1)
        yield from super().encode_packs(rows, dtype)


def watch_reading(monkeypatch, begun: Callable[[int], object]) -> list[int]:
    """Calls a function before the tokens of a block are read, with its number from 1 on.

    Returns:
        The numbers, also of blocks that are read later.
    """
    numbers: list[int] = []
    read = compute_module._Shards.read

    def watched(self, work):
        numbers.append(len(numbers) + 1)
        begun(numbers[-1])
        return read(self, work)

    monkeypatch.setattr(compute_module._Shards, "read", watched)
    return numbers


@pytest.fixture
def meeting() -> threading.Barrier:
    """Who waits here goes on when another thread does so too, and fails where none ever does."""
    return threading.Barrier(2, timeout=20)


@pytest.fixture
def _block_per_shard(monkeypatch) -> None:
    monkeypatch.setattr(compute_module, "_block_tokens", lambda *_: 1)


def watch_writing(run: Run, monkeypatch, begun: Callable[[str, str], object]) -> None:
    """Calls a function before a file is written."""
    put = run.store.put

    def watched(shard: str, file: str, *data: bytes | memoryview) -> None:
        begun(shard, file)
        put(shard, file, *data)

    monkeypatch.setattr(run.store, "put", watched)


def assert_whole(run: Run) -> None:
    """The store holds no half file, and no file that was not noted before."""
    for path in run.store.folder.rglob("*"):
        assert not path.name.endswith(".tmp")
        if path.suffix == ".h5":
            assert run.store.holds(path.parent.name, path.name)


@pytest.mark.usefixtures("_block_per_shard")
def test_the_next_block_and_no_other_is_read_while_one_is_encoded(run, meeting, monkeypatch):
    numbers = watch_reading(monkeypatch, lambda block: meeting.wait() if block == 2 else None)
    ahead: list[int] = []

    def begun(block: int) -> None:
        if block == 1:
            meeting.wait()
        ahead.append(numbers[-1] - block)

    plan = run(SENTENCES, Pipelined(begun))
    assert len(plan.shards) >= 3
    assert max(ahead) == ahead[0] == 1
    assert_stored(run, plan, SENTENCES)


@pytest.mark.usefixtures("_block_per_shard")
def test_a_block_is_written_while_the_next_is_encoded(run, meeting, monkeypatch):
    written: list[str] = []

    def writing(shard: str, _file: str) -> None:
        written.append(shard)
        if len(written) == 1:
            meeting.wait()

    watch_writing(run, monkeypatch, writing)
    plan = run(SENTENCES, Pipelined(lambda block: meeting.wait() if block == 2 else None))
    assert set(written) == {shard.name for shard in plan.shards}
    assert_stored(run, plan, SENTENCES)


@pytest.mark.usefixtures("_block_per_shard")
def test_encoding_is_never_two_blocks_ahead_of_writing(run, monkeypatch):
    """Otherwise a slow disk would fill the memory."""
    third = threading.Event()
    overtaken: list[bool] = []

    def writing(_shard: str, _file: str) -> None:
        if not overtaken:
            overtaken.append(third.wait(0.3))

    watch_writing(run, monkeypatch, writing)
    run(SENTENCES, Pipelined(lambda block: third.set() if block == 3 else None))
    assert third.is_set()
    assert overtaken
    assert not any(overtaken)


@pytest.mark.usefixtures("_block_per_shard")
@pytest.mark.parametrize("fails", ["first", "last"])
def test_an_error_in_writing_stops_the_run_and_leaves_whole_files(
    run, tmp_path, tiny_encoder, monkeypatch, fails
):
    files = 3 * len(Run(tmp_path / "whole", tiny_encoder)(SENTENCES, FakeEncoder()).shards)
    wrong = 2 if fails == "first" else files
    writes: list[str] = []
    write_all = files_module._write_all

    def half(file: io.FileIO, data: bytes | memoryview) -> None:
        name = Path(str(file.name)).name
        if ".h5." in name and "sha256" not in name:
            if not file.tell():
                writes.append(name)
            if len(writes) >= wrong:  # a full disk stays full
                write_all(file, data[: len(data) // 2])
                raise OSError(errno.ENOSPC, "No space left on device")
        write_all(file, data)

    encoder = FakeEncoder()
    with monkeypatch.context() as patched:
        patched.setattr(files_module, "_write_all", half)
        with pytest.raises(OSError, match="No space left on device"):
            run(SENTENCES, encoder)
    assert len(writes) >= wrong
    assert len(encoder.calls) == (2 if fails == "first" else files // 3)
    assert_whole(run)
    assert len(files_of(run)) == wrong - 1
    again = FakeEncoder()
    plan = run(SENTENCES, again)
    assert_stored(run, plan, SENTENCES)
    if fails == "last":
        assert len(again.calls) <= 1


@pytest.mark.usefixtures("_block_per_shard")
def test_an_error_in_reading_stops_the_run_and_leaves_the_blocks_before(run, monkeypatch):
    def fail(block: int) -> None:
        if block == 3:
            raise OSError(errno.EIO, "Input/output error")

    stopped = FakeEncoder()
    with monkeypatch.context() as patched:
        watch_reading(patched, fail)
        with pytest.raises(OSError, match="Input/output error"):
            run(SENTENCES, stopped)
    assert len(stopped.calls) == 2
    assert_whole(run)
    assert len(files_of(run)) == 2 * 3
    again = FakeEncoder()
    plan = run(SENTENCES, again)
    assert len(stopped.rows) + len(again.rows) == len(SENTENCES)
    assert_stored(run, plan, SENTENCES)


@pytest.mark.usefixtures("_block_per_shard")
def test_an_error_in_encoding_stops_the_run_and_leaves_the_blocks_before(run):
    def fail(block: int) -> None:
        if block == 3:
            raise EncoderError("its weights are damaged")

    with pytest.raises(EncoderError, match="its weights are damaged"):
        run(SENTENCES, Pipelined(fail))
    assert_whole(run)
    assert len(files_of(run)) == 2 * 3
