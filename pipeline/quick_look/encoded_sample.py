"""A sample under an encoder, at all of its layers, for as long as probes read it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.lock import only_writer
from pipeline.corpus.texts import Text, TextPair
from pipeline.encoder.settings import EncoderSettings
from pipeline.encoder.snapshot import DESCRIPTION, materialise, read_snapshot
from pipeline.extraction.run import extract
from pipeline.extraction.settings import FeaturesSettings
from pipeline.features.reader import Features, open_features
from pipeline.quick_look.sample import CorpusSample

FOLDER = "quick"
"""Folder in a store, of what quick looks read; its files are links into the store."""


@dataclass(frozen=True)
class EncodedSample:
    """Features of a sample.

    Attributes:
        sample: its rows.
        depth: encoder layers.
        whole: features of the inputs as they are: of pairs, both texts read together.
        apart: of pairs, features of all first texts and then of all second ones, else ``None``.
    """

    sample: CorpusSample
    depth: int
    whole: Features
    apart: Features | None


def materialised(settings: EncoderSettings, folder: Path) -> Path:
    """The folder of an encoder, which is written where it is absent, as its stage writes it.

    Raises:
        EncoderError: the encoder's source is not there, or is none.
    """
    if not (folder / DESCRIPTION).is_file():
        materialise(settings, folder)
    return folder


@contextmanager
def encoded_sample(
    sample: CorpusSample,
    *,
    encoder: Path,
    settings: FeaturesSettings,
    store_root: Path,
    project: Path,
    trust_remote_code: bool = False,
) -> Iterator[EncodedSample]:
    """Encodes a sample through the local store, which keeps what is computed.

    Args:
        sample: the rows.
        encoder: a materialised encoder.
        settings: how texts are read; all layers are, whichever it keeps.
        store_root: the local feature store. One quick look at a time uses it.
        project: the main checkout.
        trust_remote_code: whether Python code that comes with the encoder may run.

    Raises:
        EncoderError, DataError, MachineError, StoreError: see ``extract``.
    """
    depth = read_snapshot(encoder, verify=False).depth
    every = {"layers": tuple(range(depth + 1)), "pairs": "together"}
    settings = settings.model_copy(update=every)
    folder, digest = store_root / FOLDER, sample.digest()

    def features(name: str, texts: Iterable[tuple[str, Text]]) -> Features:
        rows = list(texts)
        extract(
            lambda: iter(rows),
            texts_sha256=digest,
            encoder_folder=encoder,
            settings=settings,
            store_root=store_root,
            project=project,
            out=folder / name,
            trust_remote_code=trust_remote_code,
        )
        return open_features(folder / name)

    with only_writer(folder, "a quick look"):
        try:
            pairs = [text for text in sample.texts if isinstance(text, TextPair)]
            yield EncodedSample(
                sample,
                depth,
                whole=features("whole", zip(sample.ids, sample.texts, strict=True)),
                apart=features("apart", _each_text(pairs)) if pairs else None,
            )
        finally:
            for name in ("whole", "apart"):
                shutil.rmtree(folder / name, ignore_errors=True)


def _each_text(pairs: Iterable[TextPair]) -> Iterator[tuple[str, Text]]:
    """Yields all first texts, and then all second ones, with ids of their own."""
    texts = [(pair.first, pair.second) for pair in pairs]
    for side in (0, 1):
        for number, pair in enumerate(texts):
            yield f"{number}_{side + 1}", pair[side]
