"""The rows that a new corpus begins with."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pipelines import CORPUS

from pipeline.corpus.texts import TextPair
from pipeline.extraction.settings import FeaturesSettings
from pipeline.heads.settings import HeadSettings
from pipeline.setup.rows import (
    MAX_LENGTH,
    are_long,
    default_layers,
    features_row,
    head_row,
    head_rows,
)

SHORT, LONG = "a few words", "many words " * MAX_LENGTH


@pytest.mark.parametrize(
    ("depth", "of_texts", "of_words"),
    [
        (2, [1, 2], [1, 2]),
        (6, [2, 4, 6], [1, 2, 4, 6]),
        (12, [4, 8, 12], [2, 4, 8, 12]),
        (None, [-3, -2, -1], [-4, -3, -2, -1]),
    ],
)
def test_layers_are_spread_over_the_depth(
    depth: int | None, of_texts: list[int], of_words: list[int]
) -> None:
    assert default_layers(CORPUS, depth) == {
        "kind": of_texts,
        "kinds": of_texts,
        "size": of_texts,
        "pos": of_words,
        "tags": of_words,
    }


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([SHORT] * 20, False),
        ([SHORT] * 19 + [LONG], False),
        ([SHORT] * 18 + [LONG] * 2, True),
        ([("word",) * 20], False),
        ([("word",) * 200], True),
        ([TextPair(LONG, SHORT)], True),
        ([], False),
    ],
)
def test_texts_are_long_if_too_many_would_be_cut(texts: list[Any], expected: bool) -> None:
    assert are_long(texts) is expected


@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("raw_bytes", [0, 10**9])
def test_features_keep_all_of_a_long_text(long: bool, pairs: bool, raw_bytes: int) -> None:
    layers = [[4, 6], [2, 6]]
    row = features_row("c", "e", layers=layers, long=long, pairs=pairs, raw_bytes=raw_bytes)
    settings = FeaturesSettings.model_validate_json(json.dumps(row))
    assert settings.layers == (2, 4, 6)
    assert settings.long_texts == ("window" if long else "truncate")
    assert settings.pairs == ("apart" if pairs else "together")
    assert settings.shard_tokens == (65536 if raw_bytes else 4096)


@pytest.mark.parametrize("kind", ["class", "classes", "number", "tags", "bio"])
def test_every_kind_of_label_has_a_valid_row(kind: str) -> None:
    row = head_row("c", "f", "label", kind, layers=[2, 4])
    settings = HeadSettings.model_validate_json(json.dumps(row))
    assert settings.layers == (2, 4)
    assert (settings.scheme == "bio") == (kind == "bio")
    assert (settings.crf is True) == (kind == "bio")
    # All that can be set is there to be seen and changed.
    written = {
        *row,
        *(name for name in ("pooling", "subwords", "scheme", "crf") if name not in row),
    }
    assert written == set(HeadSettings.model_fields)
    for part in ("recurrent", "training"):
        assert row[part].keys() == getattr(settings, part).model_dump().keys()


def test_pooling_reads_all_of_a_text() -> None:
    for kind in ("class", "classes", "number"):
        row = head_row("c", "f", "label", kind, layers=[2])
        assert row["pooling"] not in ("cls", "last")


def test_each_label_has_a_head_of_its_own_name() -> None:
    labels = {"top-ic": "class", "top_ic": "number", "x" * 200: "class"}
    settings = CORPUS.model_copy(update={"labels": labels})
    found = head_rows("c", settings, {label: [2] for label in labels})
    assert [row["label"] for row in found.values()] == ["top-ic", "top_ic", "x" * 200]
    assert list(found)[:2] == ["c_top_ic", "c_top_ic_2"]
    assert len(list(found)[2]) <= 80
