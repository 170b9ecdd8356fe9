"""What benchmarks work on: the default encoder and corpora, prepared in a folder of their own."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from pipeline.core.files import canonical_json, sha256_file, write_text
from pipeline.core.params import ParamsFile
from pipeline.corpus.storage import TEXTS, read_texts
from pipeline.corpus.texts import Text, TextPair, fields
from pipeline.encoder.settings import EncoderSettings
from pipeline.encoder.snapshot import materialise
from pipeline.extraction.run import extract
from pipeline.extraction.settings import FeaturesSettings
from pipeline.ingest.formats import read_examples
from pipeline.ingest.prepare import prepare
from pipeline.ingest.rows import Example
from pipeline.ingest.settings import CorpusSettings
from pipeline.ingest.writer import write_labels, write_texts

PARAMS = Path("tests") / "params.yaml"
"""Default rows that stay: bars were set for these heads; the sample's may become better ones."""


def default_encoder(folder: Path, name: str = "minilm") -> Path:
    """Materialises an encoder of ``params.yaml`` below ``folder``."""
    settings = ParamsFile(PARAMS).section(EncoderSettings, "encoders", name)
    materialise(settings, folder / "encoder")
    return folder / "encoder"


def default_examples(name: str) -> list[Example]:
    """The rows of a default corpus."""
    settings = _settings(name)
    return list(read_examples(Path(settings.path), settings))


def default_texts(folder: Path, name: str) -> list[Text]:
    """Prepares a default corpus below ``folder``; returns its texts."""
    write_texts(folder, prepare(default_examples(name), _settings(name)))
    return [text for _, text in read_texts(folder)]


def repeated_corpus(folder: Path, name: str, times: int) -> Path:
    """Prepares a default corpus some times over, with its labels in ``labels``.

    Where it is more than once every text differs, so that each is a row of its own.
    """
    examples = [
        example if times == 1 else _marked(example, f"copy{copy}")
        for copy in range(times)
        for example in default_examples(name)
    ]
    corpus = prepare(examples, _settings(name))
    write_labels(folder / "labels", corpus, texts_sha256=write_texts(folder, corpus))
    return folder


def _marked(example: Example, word: str) -> Example:
    """The example with a word in front, which is no entity."""
    return replace(
        example,
        id=f"{word} {example.id}",
        text=with_word(example.text, word),
        labels={
            name: ("O", *tags) if isinstance(tags, tuple) else tags
            for name, tags in example.labels.items()
        },
    )


def write_corpus(folder: Path, texts: Sequence[Text]) -> Path:
    """Writes texts as ``prepare`` does."""
    lines = (
        canonical_json({"id": str(number), **fields(text)}) for number, text in enumerate(texts)
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / TEXTS, "".join(line + "\n" for line in lines))
    return folder


def edited(texts: Sequence[Text], share: float, seed: int) -> list[Text]:
    """The texts with a word put in front of some of them, scattered."""
    chosen = set(random.Random(seed).sample(range(len(texts)), round(share * len(texts))))  # noqa: S311
    return [with_word(text, f"edit{seed}") if n in chosen else text for n, text in enumerate(texts)]


def with_word(text: Text, word: str) -> Text:
    """The text with a word in front."""
    if isinstance(text, TextPair):
        return TextPair(f"{word} {text.first}", text.second)
    return f"{word} {text}" if isinstance(text, str) else (word, *text)


def extract_default(
    corpus: Path,
    encoder: Path,
    *,
    features: str,
    store: Path,
    out: Path,
    layers: Sequence[int] | None = None,
) -> None:
    """Extracts a corpus with the settings of a features row of ``params.yaml``.

    Args:
        corpus: prepared texts.
        encoder: a materialised encoder.
        features: name of the row.
        store: the store's folder.
        out: the features' folder.
        layers: that are kept, if not those of the row.
    """
    settings = _features_settings(features)
    if layers is not None:
        settings = settings.model_copy(update={"layers": tuple(layers)})
    extract(
        lambda: read_texts(corpus),
        texts_sha256=sha256_file(corpus / TEXTS),
        encoder_folder=encoder,
        settings=settings,
        store_root=store,
        project=corpus,  # no DVC project: nothing is imported
        out=out,
    )


@cache
def _features_settings(name: str) -> FeaturesSettings:
    return ParamsFile(PARAMS).section(FeaturesSettings, "features", name)


def _settings(name: str) -> CorpusSettings:
    return ParamsFile(PARAMS).section(CorpusSettings, "corpora", name)
