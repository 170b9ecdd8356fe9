"""A small corpus taken through prepare and extract, for tests of what comes after."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from conftest import random_sentences

from pipeline.core.files import sha256_file
from pipeline.corpus.storage import read_labels, read_texts
from pipeline.corpus.texts import Label, TextPair
from pipeline.extraction.run import extract
from pipeline.extraction.settings import FeaturesSettings
from pipeline.features.hash_cache import HashCache
from pipeline.features.reader import open_features
from pipeline.heads.model import Head
from pipeline.heads.settings import HeadSettings
from pipeline.ingest.prepare import prepare
from pipeline.ingest.rows import Example
from pipeline.ingest.settings import CorpusSettings, SplitSettings
from pipeline.ingest.writer import write_labels, write_texts
from pipeline.tasks.label_type import LabelType
from pipeline.tasks.registry import label_types_of_task
from pipeline.training.data import HeadInputs, TrainingData
from pipeline.training.fit import FittedHead, fit_head

CORPUS = CorpusSettings(
    path="raw",
    format="jsonl",
    id="id",
    words="words",
    labels={
        "kind": "class",
        "kinds": "classes",
        "size": "number",
        "pos": "tags",
        "tags": "iob2",
    },
    split=SplitSettings(train=0.6, dev=0.2, test=0.2),
    stratify="kind",
    seed=1,
)

PAIRS = CORPUS.model_copy(
    update={
        "words": None,
        "text": "text",
        "text_b": "text_b",
        "labels": {"kind": "class", "kinds": "classes", "size": "number"},
    }
)

LABELS: dict[str, str] = {
    "sequence_classification": "kind",
    "multilabel_classification": "kinds",
    "regression": "size",
    "token_classification": "tags",
}
"""The label of the corpus that each task learns."""

COLUMN_KINDS = {"kind": "class", "kinds": "classes", "size": "number", "pos": "tags", "tags": "bio"}
"""What each label column of the prepared corpus holds."""

COLD = {"ice", "snow", "winter", "cold"}
SKY = {"sun", "moon", "star"}
BEASTS = {"wolf", "bear", "fox"}


def labels_of(words: Sequence[str]) -> dict[str, Label]:
    """Labels of every kind, which follow from the words, so that heads can learn them."""
    present = set(words)
    topics = {"beasts": present & BEASTS, "cold": present & COLD, "sky": present & SKY}
    return {
        "kind": "cold" if topics["cold"] else "other",
        "kinds": tuple(topic for topic, found in topics.items() if found),
        "size": float(len(words)),
        "pos": tuple("letter" if len(word) == 1 else "word" for word in words),
        "tags": tuple("B-beast" if word in BEASTS else "O" for word in words),
    }


def labelled(sentences: Sequence[tuple[str, ...]]) -> list[Example]:
    """Examples with labels of every kind."""
    return [
        Example(id=f"s{number}", text=words, labels=labels_of(words), line=number + 1)
        for number, words in enumerate(sentences)
    ]


def many_beasts(count: int = 240) -> list[Example]:
    """Short sentences full of beasts, from which a tagger learns to be sure, whatever its seed.

    Of 8 seeds on an AMD EPYC, the least sure gave a beast 0.92; of sentences drawn without more
    ado, 0.61, and other bits of another processor are as good as another seed.
    """
    draw = random.Random(3)  # noqa: S311
    beasts = sorted(BEASTS)
    return labelled(
        [
            tuple(draw.choice(beasts) if draw.random() < 0.4 else word for word in words)
            for words in random_sentences(count, longest=6)
        ]
    )


def labelled_pairs(count: int = 120, *, seed: int = 0) -> list[Example]:
    """Pairs out of half as many sentences, with labels of how the two differ.

    Most texts are in several pairs, some first and some second, and one is paired with itself.
    """
    sentences = random_sentences(count // 2, seed=seed)
    draw = random.Random(seed)  # noqa: S311
    examples = []
    for number in range(count):
        first, second = draw.choice(sentences), draw.choice(sentences)
        labels: dict[str, Label] = {
            "kind": "longer" if len(first) > len(second) else "other",
            "kinds": tuple(
                kind
                for kind, words in (("beasts", BEASTS), ("cold", COLD), ("sky", SKY))
                if words & {*first} and words & {*second}
            ),
            "size": float(len(first) - len(second)),
        }
        pair = TextPair(" ".join(first), " ".join(second))
        examples.append(Example(id=f"p{number}", text=pair, labels=labels, line=number + 1))
    twice = " ".join(sentences[0])
    return [*examples, replace(examples[0], id="same", text=TextPair(twice, twice))]


def prepared_pairs(
    folder: Path, examples: Sequence[Example] | None = None, *, folds: int | None = None
) -> Path:
    """Writes ``texts`` and ``labels`` of a corpus of pairs below ``folder``."""
    return _prepared(folder, examples or labelled_pairs(), PAIRS, folds)


def prepared_singles(folder: Path) -> Path:
    """Writes a corpus of raw texts, among them all those of ``prepared_pairs``."""
    examples = [
        replace(one, text=" ".join(one.text), labels={"kind": one.labels["kind"]})
        for one in labelled(random_sentences(60))
        if isinstance(one.text, tuple)
    ]
    settings = PAIRS.model_copy(update={"text_b": None, "labels": {"kind": "class"}})
    return _prepared(folder, examples, settings, None)


def prepared(
    folder: Path, examples: Sequence[Example] | None = None, *, folds: int | None = None
) -> Path:
    """Writes ``texts`` and ``labels`` of a corpus below ``folder``."""
    return _prepared(folder, examples or labelled(random_sentences(120)), CORPUS, folds)


def _prepared(
    folder: Path, examples: Sequence[Example], settings: CorpusSettings, folds: int | None
) -> Path:
    split = settings.split if folds is None else SplitSettings(folds=folds)
    corpus = prepare(examples, settings.model_copy(update={"split": split}))
    write_labels(folder / "labels", corpus, texts_sha256=write_texts(folder / "texts", corpus))
    return folder


def extracted(
    folder: Path,
    encoder: Path,
    *,
    store: Path | None = None,
    **settings: Any,
) -> Path:
    """Extracts the prepared corpus in ``folder`` into ``folder/features``."""
    values: dict[str, Any] = {
        "corpus": "c",
        "encoder": "e",
        "layers": (2, -1),
        "max_length": 48,
        "long_texts": "truncate",
        "storage_dtype": "float32",
        "shard_tokens": 512,
        **settings,
    }
    extract(
        lambda: read_texts(folder / "texts"),
        texts_sha256=sha256_file(folder / "texts" / "texts.jsonl"),
        encoder_folder=encoder,
        settings=FeaturesSettings(**values),
        store_root=store or folder / "store",
        project=folder,
        out=folder / "features",
    )
    return folder / "features"


def head_settings(task: str, **changes: Any) -> HeadSettings:
    """A small head that trains in a moment; entities, unless ``label`` says otherwise."""
    label = changes.get("label") or LABELS[task]
    own = label_types_of_task(task)[0]
    values: dict[str, Any] = {
        "corpus": "c",
        "features": "f",
        "label": label,
        "task": task,
        "layers": (-1,),
        "combine": "concat",
        "pooling": None if own.on_words else "cls",
        "subwords": "first" if own.on_words else None,
        "scheme": "bio" if label == "tags" else None,
        "crf": False if own.on_words else None,
        "recurrent": {
            "cell": "lstm",
            "hidden_size": 16,
            "num_layers": 1,
            "bidirectional": True,
            "dropout": 0.2,
            "locked_dropout": False,
        },
        "training": {
            "epochs": 3,
            "batch_size": 8,
            "learning_rate": 0.01,
            "schedule": "constant",
            "warmup": 0.0,
            "weight_decay": 0.01,
            "gradient_clip": 1.0,
            "class_weights": None,
            "metric": "entity_f1"
            if label == "tags"
            else ("macro_f1" if own.on_words else own.metrics[0]),
            "patience": 3,
            "seeds": (5,),
        },
    }
    for key, value in changes.items():
        values[key] = {**values[key], **value} if isinstance(value, dict) else value
    return HeadSettings(**values)


def label_type_of(settings: HeadSettings) -> LabelType:
    """What such a head learns of the corpus."""
    return settings.label_type(COLUMN_KINDS[settings.label])


def new_head(settings: HeadSettings, names: Sequence[str], *, width: int) -> Head:
    """Such a head with random weights."""
    return Head.build(settings, label_type_of(settings), names, width=width)


def fit(folder: Path, settings: HeadSettings) -> FittedHead:
    """Trains a head on what ``prepared`` and ``extracted`` put into a folder."""
    return fit_head(
        settings,
        read_labels(folder / "labels", settings.label),
        open_features(folder / "features"),
        hash_cache=HashCache(),
        device=torch.device("cpu"),
    )


def head_inputs(folder: Path, settings: HeadSettings) -> HeadInputs:
    """What such a head reads and learns."""
    data = TrainingData(
        read_labels(folder / "labels", settings.label),
        open_features(folder / "features"),
        hash_cache=HashCache(),
        device=torch.device("cpu"),
    )
    return data.for_head(settings)
