"""Pairs read apart: their texts are rows, shared between pairs and with texts that stand alone."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import h5py
import numpy as np
import pytest
from pipelines import extracted, labelled_pairs, prepared_pairs, prepared_singles
from tracked import digests

from pipeline.core.errors import DataError
from pipeline.core.files import sha256_file
from pipeline.corpus.storage import read_texts
from pipeline.corpus.texts import TextPair
from pipeline.extraction.plan import inputs, read_rows
from pipeline.extraction.recompute import recompute
from pipeline.extraction.run import extract
from pipeline.extraction.settings import FeaturesSettings
from pipeline.features.reader import open_features
from pipeline.ingest.rows import Example
from pipeline.store.export import export_features
from pipeline.store.keys import Recipe


def distinct(folder: Path) -> set[str]:
    return {part for _, text in read_texts(folder / "texts") for part in inputs(text, "apart")}


def test_pairs_share_rows_with_each_other_and_with_single_texts(
    tiny_encoder: Path, tmp_path: Path, encoded: list[int]
) -> None:
    pairs = prepared_pairs(tmp_path / "pairs")
    texts = distinct(pairs)
    assert len(texts) < 121, "most texts are in several pairs"
    extracted(pairs, tiny_encoder, store=tmp_path / "store", pairs="apart")
    assert sum(encoded) == len(texts)
    assert len(open_features(pairs / "features").row_offsets) == len(texts) + 1
    encoded.clear()
    singles = prepared_singles(tmp_path / "singles")
    alone = {str(text) for _, text in read_texts(singles / "texts")}
    extracted(singles, tiny_encoder, store=tmp_path / "store")
    assert sum(encoded) == len(alone - texts) < len(alone) / 4


def test_a_text_of_a_pair_has_the_states_that_it_has_alone(
    tiny_encoder: Path, tmp_path: Path
) -> None:
    pairs = prepared_pairs(tmp_path / "pairs")
    apart = open_features(extracted(pairs, tiny_encoder, pairs="apart"))
    singles = prepared_singles(tmp_path / "singles")
    alone = open_features(extracted(singles, tiny_encoder))
    id_of = {text: example for example, text in read_texts(singles / "texts")}
    compared = 0
    for example, pair in read_texts(pairs / "texts"):
        assert isinstance(pair, TextPair)
        for place, text in enumerate((pair.first, pair.second)):
            other = id_of[text]
            tokens = apart.tokens(example, text=place)
            assert tokens.input_ids.tolist() == alone.tokens(other).input_ids.tolist()
            assert not tokens.segment_ids.any()
            for layer in (2, 3):
                own = apart.states(example, layer=layer, text=place)
                assert own.tobytes() == alone.states(other, layer=layer).tobytes()
                compared += 1
    assert compared == 4 * 121
    with pytest.raises(IndexError):
        apart.states(example, layer=3, text=2)


def test_features_of_pairs_together_have_nothing_new(tiny_encoder: Path, tmp_path: Path) -> None:
    first = digests(extracted(prepared_pairs(tmp_path / "one"), tiny_encoder))
    asked = extracted(prepared_pairs(tmp_path / "two"), tiny_encoder, pairs="together")
    assert digests(asked) == first
    assert "pairs" not in json.loads((asked / "manifest.json").read_text(encoding="utf-8"))
    with h5py.File(asked / "features.h5") as file:
        assert set(file["examples"]) == {"id", "row"}


def test_bytes_do_not_depend_on_what_the_store_held(tiny_encoder: Path, tmp_path: Path) -> None:
    singles = prepared_singles(tmp_path / "singles")
    extracted(singles, tiny_encoder, store=tmp_path / "store")
    one = prepared_pairs(tmp_path / "one")
    two = prepared_pairs(tmp_path / "two")
    after = digests(extracted(one, tiny_encoder, store=tmp_path / "store", pairs="apart"))
    assert after == digests(extracted(two, tiny_encoder, pairs="apart"))


def test_the_report_counts_texts_and_the_rows_that_they_share(
    tiny_encoder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pairs = prepared_pairs(tmp_path)
    with caplog.at_level(logging.INFO):
        report = extract(
            lambda: read_texts(pairs / "texts"),
            texts_sha256=sha256_file(pairs / "texts" / "texts.jsonl"),
            encoder_folder=tiny_encoder,
            settings=FeaturesSettings(
                corpus="c",
                encoder="e",
                layers=(-1,),
                max_length=12,
                long_texts="truncate",
                pairs="apart",
                storage_dtype="float32",
                shard_tokens=512,
            ),
            store_root=tmp_path / "store",
            project=tmp_path,
            out=tmp_path / "features",
        )
    rows = len(distinct(pairs))
    assert (report["examples"], report["texts"], report["rows"]) == (121, 242, rows)
    assert sum(report["token_lengths"]["histogram"].values()) == 242
    assert f"{rows} rows, " in caplog.text


@pytest.mark.parametrize("position", [0, 60])
@pytest.mark.parametrize("text", ["a text alone", ("words", "alone")])
def test_an_example_that_is_no_pair_is_told_before_anything_is_written(
    tiny_encoder: Path, tmp_path: Path, position: int, text: str | tuple[str, ...]
) -> None:
    examples = labelled_pairs()
    examples[position] = Example("odd", text, examples[position].labels, 1)
    folder = prepared_pairs(tmp_path, examples)
    with pytest.raises(DataError, match="example 'odd' is no pair of texts"):
        extracted(folder, tiny_encoder, pairs="apart")
    assert not (folder / "features").exists()
    assert not list((folder / "store").rglob("*.h5"))


def test_a_text_that_is_too_long_is_told_in_either_place(
    tiny_encoder: Path, tmp_path: Path
) -> None:
    long = " ".join(["wolf"] * 60)
    labels = labelled_pairs()[0].labels
    for place, pair in enumerate((TextPair(long, "bear"), TextPair("bear", long))):
        examples = [
            *[Example(f"e{n}", TextPair("fox", f"{n}"), labels, 1) for n in range(60)],
            Example("odd", pair, labels, 1),
        ]
        settings_of = [
            Example(one.id, one.text, {**one.labels, "kind": f"k{n % 2}"}, 1)
            for n, one in enumerate(examples)
        ]
        folder = prepared_pairs(tmp_path / str(place), settings_of)
        with pytest.raises(DataError, match="text 'odd' has 62 tokens and max_length is 48"):
            extracted(folder, tiny_encoder, pairs="apart", long_texts="error")


def test_both_texts_are_read_in_windows_of_their_own(tiny_encoder: Path, tmp_path: Path) -> None:
    folder = prepared_pairs(tmp_path)
    features = extracted(
        folder, tiny_encoder, pairs="apart", long_texts="window", stride=4, max_length=12
    )
    opened = open_features(features)
    assert np.diff(opened.row_offsets).max() > 30
    opened.verify()


def test_rows_computed_afresh_agree(tiny_encoder: Path, tmp_path: Path) -> None:
    folder = prepared_pairs(tmp_path)
    opened = open_features(extracted(folder, tiny_encoder, pairs="apart"))
    found = recompute(
        opened,
        lambda: read_texts(folder / "texts"),
        encoder_folder=tiny_encoder,
        store_root=folder / "store",
        count=1000,
    )
    assert (found.rows, found.different, found.largest) == (len(distinct(folder)), [], 0.0)
    swapped = [
        (example, TextPair(text.second, text.first))
        for example, text in read_texts(folder / "texts")
        if isinstance(text, TextPair)
    ]
    lies = recompute(
        opened,
        lambda: iter(swapped),
        encoder_folder=tiny_encoder,
        store_root=folder / "store",
        count=1000,
    )
    assert lies.different


def test_what_is_given_away_has_the_rows_of_both_texts(tiny_encoder: Path, tmp_path: Path) -> None:
    opened = open_features(extracted(prepared_pairs(tmp_path), tiny_encoder, pairs="apart"))
    export_features(opened, tmp_path / "given.h5", layers=[3], progress=lambda _: None)
    with h5py.File(tmp_path / "given.h5") as file:
        rows = np.stack([file["examples/row"][()], file["examples/row_b"][()]], 1)
        assert np.array_equal(rows, opened.example_rows)
        begin, end = file["rows/offsets"][rows[5, 1] :][:2]
        expected = opened.states(opened.example_ids[5], layer=3, text=1)
        assert np.array_equal(file["layers/03"][begin:end], expected)


def test_a_row_knows_the_first_example_that_has_it_in_either_place() -> None:
    texts = [
        ("one", TextPair("a", "b")),
        ("two", TextPair("c", "a")),
        ("three", TextPair("b", "d")),
    ]
    recipe = Recipe({}, 8, "truncate", "float32", "float32")
    rows = read_rows(lambda: iter(texts), recipe, "apart")
    assert rows.pairs == "apart"
    assert rows.example_rows.tolist() == [[0, 1], [2, 0], [1, 3]]
    assert [rows.example_of(row) for row in range(4)] == ["one", "one", "two", "three"]
