"""A sample of a small corpus under the tiny encoder, for tests of quick looks."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from conftest import random_sentences
from pipelines import CORPUS, labelled

from pipeline.corpus.texts import TextPair
from pipeline.extraction.settings import FeaturesSettings
from pipeline.ingest.prepare import PreparedCorpus, prepare
from pipeline.ingest.rows import Example
from pipeline.ingest.settings import CorpusSettings
from pipeline.quick_look.encoded_sample import EncodedSample, encoded_sample
from pipeline.quick_look.sample import CorpusSample, draw_sample

SETTINGS = FeaturesSettings(
    corpus="c",
    encoder="e",
    layers=(-1,),
    max_length=48,
    long_texts="truncate",
    storage_dtype="float32",
    shard_tokens=512,
)


def corpus_of(examples: Sequence[Example], **changes: Any) -> PreparedCorpus:
    """A prepared corpus, in the splits of the tests' own one unless changed."""
    return prepare(examples, CorpusSettings.model_validate(CORPUS.model_dump() | changes))


def words_corpus(count: int = 150) -> PreparedCorpus:
    """Sentences of words with labels of every kind."""
    return corpus_of(labelled(random_sentences(count)))


def pairs_corpus(count: int = 160) -> PreparedCorpus:
    """Pairs of texts, half of which are the same text twice; labelled by that."""
    texts = [" ".join(words) for words in random_sentences(count, longest=12)]
    pairs = [
        TextPair(text, text if number % 2 else texts[number - 1])
        for number, text in enumerate(texts)
    ]
    examples = [
        Example(
            id=f"p{number}",
            text=pair,
            labels={"same": "yes" if pair.first == pair.second else "no"},
            line=number + 1,
        )
        for number, pair in enumerate(pairs)
    ]
    return corpus_of(
        examples, words=None, text="a", text_b="b", labels={"same": "class"}, stratify="same"
    )


def encoded(
    corpus: PreparedCorpus | CorpusSample, folder: Path, encoder: Path
) -> AbstractContextManager[EncodedSample]:
    """A sample of a corpus, encoded through the store ``folder / "store"``."""
    return encoded_sample(
        corpus if isinstance(corpus, CorpusSample) else draw_sample(corpus, SETTINGS),
        encoder=encoder,
        settings=SETTINGS,
        store_root=folder / "store",
        project=folder,
    )
