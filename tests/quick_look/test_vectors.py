"""Vectors of a sample, against the states of each example by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from looked import encoded, pairs_corpus, words_corpus

from pipeline.corpus.texts import TextPair
from pipeline.quick_look.encoded_sample import EncodedSample
from pipeline.quick_look.layer_scores import read_dataset
from pipeline.quick_look.vectors import SampleVectors


@pytest.fixture(scope="module")
def words(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EncodedSample]:
    with encoded(words_corpus(), tmp_path_factory.mktemp("words"), tiny_encoder) as found:
        yield found


def test_texts_are_the_means_of_their_tokens(words: EncodedSample) -> None:
    split = read_dataset(words, "kind").splits["dev"]
    found = SampleVectors(words.whole).of_texts((0, 3), split)
    for place, row_id in enumerate(split.ids):
        means = [words.whole.states(row_id, layer=layer).mean(0) for layer in (0, 3)]
        assert found[place] == pytest.approx(np.concatenate(means), abs=1e-6)


def test_words_are_their_first_tokens(words: EncodedSample) -> None:
    split = read_dataset(words, "tags").splits["train"]
    found = SampleVectors(words.whole).of_words((1, 2), split)
    expected = []
    for place, row_id in enumerate(split.ids):
        index = words.whole.tokens(row_id).word_index
        states = [words.whole.states(row_id, layer=layer) for layer in (1, 2)]
        for word in range(len(split.gold[place])):
            tokens = np.flatnonzero(index == word)
            if len(tokens):
                expected.append(np.concatenate([of_layer[tokens[0]] for of_layer in states]))
    assert np.array_equal(found, np.array(expected))


def test_pairs_apart_are_made_of_each_text_by_itself(tiny_encoder: Path, tmp_path: Path) -> None:
    with encoded(pairs_corpus(40), tmp_path, tiny_encoder) as found:
        assert found.apart is not None
        pairs = [text for text in found.sample.texts if isinstance(text, TextPair)]
        first, second = found.apart.example_rows.reshape(2, -1)
        vectors = SampleVectors(found.apart).of_pairs(2, first, second)
        for place, pair in enumerate(pairs):
            u, v = (found.apart.states(f"{place}_{side}", layer=2).mean(0) for side in (1, 2))
            cosine = u @ v / np.linalg.norm(u) / np.linalg.norm(v)
            expected = np.concatenate([u, v, abs(u - v), u * v, [cosine]])
            assert vectors[place] == pytest.approx(expected, abs=1e-6)
            if pair.first == pair.second:
                assert first[place] == second[place], "one text, one row"
