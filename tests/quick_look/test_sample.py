"""Rows that a quick look reads."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from conftest import random_sentences
from looked import SETTINGS, corpus_of, pairs_corpus, words_corpus
from pipelines import labelled

from pipeline.core.errors import DataError
from pipeline.corpus.texts import TextPair
from pipeline.ingest.prepare import PreparedCorpus
from pipeline.ingest.rows import Example
from pipeline.quick_look import sample as sampling
from pipeline.quick_look.sample import CorpusSample, draw_sample


def sampled(corpus: PreparedCorpus, **changes: Any) -> CorpusSample:
    return draw_sample(corpus, SETTINGS.model_copy(update=changes))


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "ROWS", {"train": 40, "dev": 15})
    monkeypatch.setattr(sampling, "FEWEST", {"train": 5, "dev": 3})


def test_rows_are_those_of_the_corpus_in_its_order_and_none_is_of_test() -> None:
    corpus = words_corpus()
    found = sampled(corpus)
    expected = [(example, split) for example, split in corpus.rows() if split != "test"]
    assert found.texts == [example.text for example, _ in expected]
    assert found.splits == [split for _, split in expected]
    assert found.of == dict(Counter(found.splits))
    assert found.labels["kind"] == [example.labels["kind"] for example, _ in expected]
    assert found.column("tags").values == [example.labels["tags"] for example, _ in expected]
    assert found.column("tags").kind == "bio"


@pytest.mark.usefixtures("few")
def test_no_more_rows_than_asked_for_and_the_same_ones_again() -> None:
    found = sampled(words_corpus(300))
    assert Counter(found.splits) == {"train": 40, "dev": 15}
    assert found.of["train"] > 100
    again = sampled(words_corpus(300))
    assert again == found
    assert again.digest() == found.digest()


@pytest.mark.usefixtures("few")
def test_most_rows_stay_when_the_corpus_grows() -> None:
    examples = labelled(random_sentences(300))
    before = set(sampled(corpus_of(examples[:280], stratify=None)).texts)
    after = set(sampled(corpus_of(examples, stratify=None)).texts)
    assert len(before & after) > 0.8 * len(before)


@pytest.mark.usefixtures("few")
def test_long_texts_make_a_small_sample_but_not_a_tiny_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sampling, "TOKENS", {"train": 500, "dev": 10})
    found = sampled(words_corpus(300))
    train = [
        text for text, split in zip(found.texts, found.splits, strict=True) if split == "train"
    ]
    assert 5 < len(train) < 40
    tokens = [sum(1 + len(word) // 4 for word in text) for text in train]
    assert 500 <= sum(tokens) < 500 + max(tokens)
    assert found.splits.count("dev") == 3
    whole = sampled(words_corpus(300), max_length=4, long_texts="window")
    assert whole == found
    cut = sampled(words_corpus(300), max_length=4)
    assert cut.splits.count("train") > len(train)


def test_a_corpus_in_folds_is_seen_as_its_first_run_sees_it() -> None:
    corpus = corpus_of(labelled(random_sentences(60)), split={"folds": 4})
    found = sampled(corpus)
    own = {example.text: split for example, split in corpus.rows()}
    assert {(own[text], split) for text, split in zip(found.texts, found.splits, strict=True)} == {
        ("fold_2", "dev"),
        ("fold_3", "train"),
        ("fold_4", "train"),
    }


def test_two_folds_are_too_few() -> None:
    with pytest.raises(DataError, match="has 2 folds, a head needs 3"):
        sampled(corpus_of(labelled(random_sentences(60)), split={"folds": 2}))


def test_pairs_are_kept_as_pairs() -> None:
    found = sampled(pairs_corpus())
    assert all(isinstance(text, TextPair) for text in found.texts)


def test_texts_of_other_scripts_count_by_their_bytes() -> None:
    def about(text: str) -> int:
        return sampling._about_tokens(Example(id="1", text=text, labels={}, line=1).text)

    assert about("abcd" * 100) == pytest.approx(100, abs=1)
    assert about("雪" * 100) == pytest.approx(75, abs=1)
