"""Invariant 8: what a head says of new text is what it said of the same text in training."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pipelines import extracted, fit, head_settings, many_beasts, prepared, prepared_pairs

from pipeline.core.errors import DataError, EncoderError
from pipeline.corpus.storage import read_texts
from pipeline.corpus.texts import Text, TextPair
from pipeline.encoder.settings import EncoderSettings
from pipeline.encoder.snapshot import materialise
from pipeline.heads.checkpoint import save_head
from pipeline.prediction.predict import Predictor, blocks_of

CPU = torch.device("cpu")
ANSWERS = ("label", "labels", "value", "tags", "probabilities")


@pytest.fixture(scope="module")
def folder(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = prepared(tmp_path_factory.mktemp("predict"))
    extracted(where, tiny_encoder, storage_dtype="float16", max_length=24)
    return where


def trained(folder: Path, where: Path, task: str, **changes: Any) -> list[dict[str, Any]]:
    """Saves a head into ``where``; returns its predictions."""
    changes = {"training": {"epochs": 2}, **changes}
    fitted = fit(folder, head_settings(task, **changes))
    where.mkdir()
    save_head(where, fitted.head, fitted.description)
    return fitted.predictions["seed_5"]


@pytest.fixture(scope="module")
def tagger(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    folder = prepared(tmp_path_factory.mktemp("beasts"), many_beasts())
    extracted(folder, tiny_encoder, storage_dtype="float16", max_length=24)
    where = tmp_path_factory.mktemp("tagger") / "head"
    trained(
        folder,
        where,
        "token_classification",
        recurrent={"dropout": 0.0},
        training={"epochs": 20, "patience": 20},
    )
    return Predictor.of_folder(where, tiny_encoder, device=CPU)


@pytest.mark.parametrize(
    ("task", "changes"),
    [
        ("sequence_classification", {}),
        ("sequence_classification", {"pooling": "attention", "layers": (2, -1), "combine": "mix"}),
        ("multilabel_classification", {"pooling": "mean"}),
        ("regression", {"pooling": "last"}),
        ("token_classification", {}),
        ("token_classification", {"crf": True, "scheme": "bioes", "subwords": "mean"}),
        ("token_classification", {"label": "pos", "recurrent": {"cell": "gru"}}),
    ],
)
def test_answers_equal_the_predictions_of_training_in_any_order(
    task: str, changes: dict[str, Any], folder: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    expected = {row["id"]: row for row in trained(folder, tmp_path / "head", task, **changes)}
    texts = dict(read_texts(folder / "texts"))
    predictor = Predictor.of_folder(tmp_path / "head", tiny_encoder, device=CPU)
    ids = list(expected)
    random.Random(3).shuffle(ids)  # noqa: S311
    cut = 0
    for count in (1, 7, len(ids)):
        answers = predictor([texts[example] for example in ids[:count]])
        cut = answers.cut
        for example, row in zip(ids, answers.rows, strict=False):
            assert {name: row.get(name) for name in ANSWERS} == {
                name: expected[example].get(name) for name in ANSWERS
            }
    assert cut > 0, "some texts were cut, as in extraction"


@pytest.mark.parametrize("pairs", ["apart", "together"])
@pytest.mark.parametrize(
    ("task", "changes"),
    [
        ("sequence_classification", {"pooling": "attention", "recurrent": {"hidden_size": 23}}),
        ("multilabel_classification", {}),
        ("regression", {"pooling": "mean", "layers": (2, -1), "combine": "mix"}),
    ],
)
@pytest.mark.parametrize("long_texts", [{"max_length": 24}, {"max_length": 24, "stride": 4}])
def test_answers_of_pairs_equal_the_predictions_of_training(
    pairs: str,
    task: str,
    changes: dict[str, Any],
    long_texts: dict[str, int],
    tiny_encoder: Path,
    tmp_path: Path,
) -> None:
    how = "window" if "stride" in long_texts else "truncate"
    if (how, pairs) == ("window", "together"):
        long_texts = {"max_length": 48, "stride": 1}
    corpus = prepared_pairs(tmp_path / "corpus")
    extracted(
        corpus, tiny_encoder, storage_dtype="float16", pairs=pairs, long_texts=how, **long_texts
    )
    expected = {row["id"]: row for row in trained(corpus, tmp_path / "head", task, **changes)}
    texts = dict(read_texts(corpus / "texts"))
    predictor = Predictor.of_folder(tmp_path / "head", tiny_encoder, device=CPU)
    ids = list(expected)
    random.Random(3).shuffle(ids)  # noqa: S311
    for count in (1, 7, len(ids)):
        answers = predictor([texts[example] for example in ids[:count]])
        for example, row in zip(ids, answers.rows, strict=False):
            assert {name: row.get(name) for name in ANSWERS} == {
                name: expected[example].get(name) for name in ANSWERS
            }
        assert len(answers.rows) == count
    assert answers.cut > 0 if how == "truncate" else answers.cut == 0
    if pairs == "apart":
        for text in ("a text alone", ("words",)):
            with pytest.raises(DataError, match="line 2: the head compares two texts"):
                predictor([texts[ids[0]], text], ["line 1", "line 2"])


@settings(
    max_examples=500,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(text=st.text(max_size=60))
def test_an_entity_is_what_stands_at_its_place(tagger: Predictor, text: str) -> None:
    (row,) = tagger([f"{text} wolf and Bear"]).rows
    for entity in row["entities"]:
        assert f"{text} wolf and Bear"[entity["start"] : entity["end"]] == entity["text"]


def test_a_raw_text_is_split_and_tagged(tagger: Predictor) -> None:
    text = "(the wolf) sees a bear!"
    (row,) = tagger([text]).rows
    words = [text[begin:end] for begin, end in row["words"]]
    assert words == ["(", "the", "wolf", ")", "sees", "a", "bear", "!"]
    assert len(row["tags"]) == len(words)
    assert [entity["text"] for entity in row["entities"]] == ["wolf", "bear"]


def test_a_text_without_words_has_no_tags(tagger: Predictor) -> None:
    for row in tagger(["", "  \n", ()]).rows:
        assert (row["tags"], row["entities"]) == ([], [])


def test_a_tagger_reads_no_pairs(tagger: Predictor) -> None:
    with pytest.raises(DataError, match="not a pair of texts"):
        tagger([TextPair("a", "b")])


def test_another_encoder_is_refused(
    folder: Path, tiny_bert: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from conftest import write_tiny_bert

    trained(folder, tmp_path / "head", "sequence_classification")
    other = write_tiny_bert(tmp_path_factory.mktemp("other"), seed=9)
    materialise(EncoderSettings(source=str(other), revision=None), tmp_path / "encoder")
    with pytest.raises(EncoderError, match="is not the encoder that"):
        Predictor.of_folder(tmp_path / "head", tmp_path / "encoder", device=CPU)


def test_a_long_text_is_an_error_where_training_called_it_one(
    tiny_encoder: Path, tmp_path: Path
) -> None:
    where = prepared(tmp_path / "corpus")
    extracted(where, tiny_encoder, long_texts="error", max_length=60)
    trained(where, tmp_path / "head", "sequence_classification")
    predictor = Predictor.of_folder(tmp_path / "head", tiny_encoder, device=CPU)
    with pytest.raises(DataError, match=r"text 2 has \d+ tokens"):
        predictor(["ice", "ice " * 80])
    with pytest.raises(DataError, match=r"^row 7 has \d+ tokens"):
        predictor(["ice", "ice " * 80], names=["row 6", "row 7"])


def test_states_that_the_store_would_not_hold_are_an_error_as_in_extraction(
    folder: Path, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(folder, tmp_path / "head", "sequence_classification")
    predictor = Predictor.of_folder(tmp_path / "head", tiny_encoder, device=CPU)

    def large(*_: object) -> Iterator[tuple[int, dict[int, Any]]]:
        yield 0, {predictor.description["layers"][0]: np.full((3, 64), 1e5, np.float32)}

    monkeypatch.setattr("pipeline.prediction.predict.encode_rows", large)
    with pytest.raises(DataError, match="text 1 has states that are not finite in float16; train"):
        predictor(["ice"])


def test_blocks_hold_all_texts_in_order() -> None:
    texts: list[tuple[str, Text]] = [(str(number), f"text {number}") for number in range(7)]
    blocks = list(blocks_of(iter(texts), 3))
    assert [len(block) for block in blocks] == [3, 3, 1]
    assert [item for block in blocks for item in block] == texts
