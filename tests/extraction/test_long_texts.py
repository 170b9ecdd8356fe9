"""Texts longer than the encoder's window, and pairs of texts, from the corpus to trained heads."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import WORDS, random_sentences
from pipelines import extracted, fit, head_inputs, head_settings, labelled, prepared

from pipeline.core.errors import DataError
from pipeline.corpus.texts import Text, TextPair
from pipeline.encoder.tokenise import RowTokenizer
from pipeline.extraction.length_report import length_report
from pipeline.extraction.recompute import recompute
from pipeline.extraction.run import extract
from pipeline.extraction.settings import FeaturesSettings
from pipeline.features.reader import Features, open_features

MAX_LENGTH, STRIDE = 64, 20
WINDOWS = {"max_length": MAX_LENGTH, "long_texts": "window", "stride": STRIDE}
PLAIN = [word for word in WORDS if word.isalpha()]


def document(words: int, seed: int = 0) -> str:
    """A text of so many words, each of them one token."""
    return " ".join(np.random.default_rng(seed).choice(PLAIN, words).tolist())


LONG = document(5000)
TEXTS: list[Text] = ["The cold river.", document(62), LONG, "", document(63, 1), tuple(PLAIN * 3)]


def features_of(
    folder: Path, texts: Sequence[Text], encoder: Path, **settings: Any
) -> tuple[Features, dict[str, Any]]:
    """Features of texts ``t0``, ``t1``, ... and the report that extraction gives."""
    values: dict[str, Any] = {
        "corpus": "c",
        "encoder": "e",
        "layers": (1, 3),
        "storage_dtype": "float32",
        "shard_tokens": 512,
        **WINDOWS,
        **settings,
    }
    report = extract(
        lambda: examples(texts),
        texts_sha256="0" * 64,
        encoder_folder=encoder,
        settings=FeaturesSettings(**values),
        store_root=folder / "store",
        project=folder,
        out=folder / "features",
    )
    return open_features(folder / "features"), report


def examples(texts: Sequence[Text]):
    return iter([(f"t{number}", text) for number, text in enumerate(texts)])


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


class Reference:
    """Transformers' own model and tokenizer, and long texts cut by hand."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModel, AutoTokenizer

        self.model = AutoModel.from_pretrained(folder).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)

    @torch.inference_mode()
    def states(self, ids: Sequence[int], types: Sequence[int]) -> list[np.ndarray]:
        output = self.model(
            torch.tensor([list(ids)]),
            token_type_ids=torch.tensor([list(types)]),
            output_hidden_states=True,
        )
        return [hidden[0].numpy() for hidden in output.hidden_states]

    def row(self, text: str, second: str | None = None) -> list[np.ndarray]:
        """By layer, (tokens, width): each token in the window that is best for it."""
        whole = self.tokenizer(text, second, return_token_type_ids=True, verbose=False)
        ids, types, texts = whole["input_ids"], whole["token_type_ids"], whole.sequence_ids()
        if len(ids) <= MAX_LENGTH:
            return self.states(ids, types)
        longer = 0 if second is None or texts.count(0) >= texts.count(1) else 1
        begin, end = texts.index(longer), len(ids) - texts[::-1].index(longer)
        room = MAX_LENGTH - (len(ids) - (end - begin))
        starts = [*range(begin, end - room, room - STRIDE), end - room]
        beside = [*range(begin)], [*range(end, len(ids))]
        windows = [[*beside[0], *range(start, start + room), *beside[1]] for start in starts]
        encoded = [
            self.states([ids[token] for token in window], [types[token] for token in window])
            for window in windows
        ]

        def best(token: int) -> int:
            if token < begin or token >= end:
                return 0 if token < begin else len(starts) - 1
            context = [min(token - start, start + room - 1 - token) for start in starts]
            return context.index(max(context))

        return [
            np.stack(
                [
                    encoded[best(token)][layer][windows[best(token)].index(token)]
                    for token in range(len(ids))
                ]
            )
            for layer in range(len(encoded[0]))
        ]


@pytest.fixture(scope="module")
def reference(tiny_encoder) -> Reference:
    return Reference(tiny_encoder)


@pytest.mark.parametrize("shard_tokens", [256, 100_000])
def test_a_document_of_5000_tokens_is_one_row_in_shards_of_any_size(
    tiny_encoder, tmp_path, shard_tokens
):
    features, report = features_of(tmp_path, TEXTS, tiny_encoder, shard_tokens=shard_tokens)
    lengths = [features.tokens(f"t{number}").input_ids.size for number in range(len(TEXTS))]
    assert lengths[:5] == [6, 64, 5002, 2, 65]
    assert lengths[5] > 64
    assert np.diff(features.row_offsets).tolist() == lengths
    assert (len(features.manifest.shards) > 1) == (shard_tokens == 256)
    assert features.per_row("row_full_length").tolist() == lengths
    assert features.states("t2", layer=3).shape == (5002, 64)
    assert features.tokens("t2").word_index.tolist() == [-1, *range(5000), -1]
    assert report == {
        "layers": [1, 3],
        "examples": 6,
        "rows": 6,
        "tokens": sum(lengths),
        "truncated_rows": 0,
        "truncated_tokens": 0,
        "windowed_rows": 3,
        "longest_row_before_truncation": 5002,
        "token_lengths": length_report(np.array(lengths, np.int32)),
    }


@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 1e-3), ("float32", 1e-5)])
def test_states_of_a_long_text_are_those_of_each_tokens_best_window(
    tiny_encoder, reference, tmp_path, dtype, tolerance
):
    texts = [LONG, document(63, 1), document(100, 2), document(8, 3)]
    features, _ = features_of(tmp_path, texts, tiny_encoder, storage_dtype=dtype)
    for number, text in enumerate(texts):
        expected = reference.row(text)
        for layer in (1, 3):
            states = features.states(f"t{number}", layer=layer)
            relative = tolerance if dtype == "float16" else 0
            np.testing.assert_allclose(states, expected[layer], rtol=relative, atol=tolerance)


def test_states_of_pairs_are_those_of_transformers_in_windows_too(
    tiny_encoder, reference, tmp_path
):
    pairs = [
        TextPair("the cold river", "a wolf and a bear"),
        TextPair("a wolf and a bear", "the cold river"),
        TextPair(document(300), document(12, 1)),
        TextPair(document(12, 1), document(90, 2)),
        TextPair(document(31, 3), document(31, 4)),
    ]
    features, report = features_of(tmp_path, pairs, tiny_encoder)
    assert report["windowed_rows"] == 3
    for number, pair in enumerate(pairs):
        expected = reference.row(pair.first, pair.second)
        for layer in (1, 3):
            states = features.states(f"t{number}", layer=layer)
            np.testing.assert_allclose(states, expected[layer], atol=1e-5)
    # Without segments, the two orders would not differ by more than positions.
    segments = features.tokens("t0").segment_ids
    assert segments.tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]


def test_texts_that_fit_have_the_states_that_they_have_without_windows(tiny_encoder, tmp_path):
    texts = [" ".join(words) for words in random_sentences(20)]
    windowed, _ = features_of(tmp_path / "one", texts, tiny_encoder)
    cut, _ = features_of(
        tmp_path / "other", texts, tiny_encoder, long_texts="truncate", stride=None
    )
    for number in range(len(texts)):
        one, other = (part.states(f"t{number}", layer=3) for part in (windowed, cut))
        assert one.tobytes() == other.tobytes()


def test_a_second_run_over_a_long_text_computes_nothing(tiny_encoder, tmp_path, encoded):
    features_of(tmp_path, TEXTS, tiny_encoder)
    assert sum(encoded) > 100  # windows
    before = digests(tmp_path / "features")
    encoded.clear()
    _, report = features_of(tmp_path, TEXTS, tiny_encoder)
    assert encoded == []
    assert digests(tmp_path / "features") == before
    assert report["windowed_rows"] == 3


def test_a_layer_added_later_has_the_bytes_of_one_extracted_at_once(
    tiny_encoder, tmp_path, monkeypatch
):
    """Its rows come back from the store, and are cut into windows without being tokenised."""
    texts = [*TEXTS, TextPair(document(200, 7), document(9, 8))]
    features_of(tmp_path / "once", texts, tiny_encoder, layers=(1, 3))
    features_of(tmp_path / "later", texts, tiny_encoder, layers=(1,))
    tokenised: list[int] = []
    original = RowTokenizer.__call__

    def spy(self: RowTokenizer, inputs: Sequence[Text]):
        tokenised.append(len(inputs))
        return original(self, inputs)

    monkeypatch.setattr(RowTokenizer, "__call__", spy)
    features_of(tmp_path / "later", texts, tiny_encoder, layers=(1, 3))
    assert sum(tokenised) == 0
    assert digests(tmp_path / "later" / "features") == digests(tmp_path / "once" / "features")


@pytest.mark.parametrize(
    "settings", [{}, {"compute_dtype": "bfloat16"}, {"long_texts": "truncate", "stride": None}]
)
def test_stored_rows_are_computed_afresh_with_their_recipe(tiny_encoder, tmp_path, settings):
    texts = [*TEXTS[:2], TextPair("the ice", "a wolf"), document(400, 4), TEXTS[5]]
    features, _ = features_of(tmp_path, texts, tiny_encoder, **settings)
    found = recompute(
        features,
        lambda: examples(texts),
        encoder_folder=tiny_encoder,
        store_root=tmp_path / "store",
        count=len(texts),
    )
    assert (found.rows, found.same_machine, found.different) == (len(texts), True, [])
    assert found.largest == 0


@pytest.mark.parametrize(
    ("words", "room"),
    [
        (41, "windows have room for 20 tokens, and stride is 20"),
        (80, "windows have room for 0 tokens, and stride is 20"),
    ],
)
def test_a_pair_whose_shorter_text_leaves_no_room_is_named(tiny_encoder, tmp_path, words, room):
    pair = TextPair(document(words, 1), document(words + 5, 2))
    with pytest.raises(DataError, match=f"^text pair 't1': beside its shorter text, {room}"):
        features_of(tmp_path, [TextPair("ice", "snow"), pair, pair], tiny_encoder)
    assert not (tmp_path / "features").exists()
    if words == 41:
        features, _ = features_of(tmp_path, [pair], tiny_encoder, stride=19)
        assert features.states("t0", layer=3).shape == (3 + 41 + 46, 64)


@pytest.mark.parametrize("task", ["sequence_classification", "token_classification"])
def test_heads_train_on_and_predict_long_documents(tiny_encoder, tmp_path, task: str):
    documents = [tuple(LONG.split()), tuple(document(5000, 2).split())]
    folder = prepared(tmp_path, labelled([*documents, *random_sentences(60)]))
    features = open_features(extracted(folder, tiny_encoder, **WINDOWS))
    assert np.diff(features.row_offsets)[:2].tolist() == [5002, 5002]
    settings = head_settings(task, training={"epochs": 1, "batch_size": 4})
    data = head_inputs(folder, settings).dataset
    assert data.splits["train"].lengths.max() == data.splits["test"].lengths.max() == 5002
    assert [counts["words_without_a_token"] for counts in data.report.values()] == [0, 0, 0]
    fitted = fit(folder, settings)
    assert np.isfinite(fitted.history[0].train_loss)
    [predicted] = [row for row in fitted.predictions["seed_5"] if row["id"] in ("s0", "s1")]
    if task == "token_classification":
        words = data.splits["train"].words
        assert words is not None
        assert words[0].first.tolist() == list(range(1, 5001))
        assert len(predicted["tags"]) == 5000
        assert None not in predicted["tags"]
