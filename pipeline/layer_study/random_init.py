"""A floor for layers: features of an encoder of the same shape whose weights are random.

What a head learns from those is what words and their order give without any pretraining.
This module loads an encoder; nothing that trains imports it.
"""

from __future__ import annotations

import shutil
import tempfile
from copy import deepcopy
from functools import partial
from pathlib import Path

import torch

from pipeline.core.command import explain
from pipeline.core.errors import EncoderError
from pipeline.core.files import sha256_file
from pipeline.corpus.storage import TEXTS, read_texts
from pipeline.encoder.inspection import require_loadable
from pipeline.encoder.model import class_of
from pipeline.encoder.quiet import quiet_transformers
from pipeline.encoder.settings import EncoderSettings
from pipeline.encoder.snapshot import materialise, read_snapshot
from pipeline.encoder.weights import no_larger_than, weight_sizes
from pipeline.extraction.run import extract
from pipeline.extraction.settings import FeaturesSettings

_SEED = 1810


def extract_random_init(
    settings: FeaturesSettings,
    *,
    texts: Path,
    encoder: Path,
    cache: Path,
    project: Path,
) -> Path:
    """Extracts features with random weights; what an earlier call left is taken over.

    Args:
        settings: of the features to compare with.
        texts: folder of the corpus's texts.
        encoder: the materialised encoder whose shape and tokenizer are taken.
        cache: a folder for all of it; it may be removed at any time.
        project: root of the project.

    Returns:
        The folder of the features.

    Raises:
        EncoderError: the encoder is not there, or runs code of its own.
    """
    random_encoder(encoder, cache / "encoder")
    extract(
        partial(read_texts, texts),
        texts_sha256=sha256_file(texts / TEXTS),
        encoder_folder=cache / "encoder",
        settings=settings,
        store_root=cache / "store",
        project=project,
        out=cache / "features",
    )
    return cache / "features"


def random_encoder(encoder: Path, out: Path) -> None:
    """Materialises an encoder with the configuration and tokenizer of another, weights drawn anew.

    The same seed draws them on every machine: equal bytes.

    Raises:
        EncoderError: there is no such encoder, or it runs code of its own.
    """
    if read_snapshot(encoder, verify=False).has_code:
        raise EncoderError(f"{encoder}: runs code of its own, of which no floor can be made")
    snapshot = require_loadable(encoder, trust_remote_code=False, verify=True)
    bound = no_larger_than(weight_sizes(snapshot), encoder)
    with tempfile.TemporaryDirectory(prefix="icehouse-floor-") as name:
        folder = Path(name)
        with quiet_transformers(), torch.random.fork_rng(devices=[]):
            from transformers import AutoConfig

            try:
                config = AutoConfig.from_pretrained(
                    encoder, local_files_only=True, trust_remote_code=False
                )
                with bound, torch.device("meta"):  # sizes without memory
                    class_of(config).from_config(deepcopy(config), trust_remote_code=False)
                torch.manual_seed(_SEED)
                model = class_of(config).from_config(config, trust_remote_code=False)
            except Exception as error:  # transformers raises anything
                if explain(error) is not None:
                    raise
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                raise EncoderError(f"{encoder}: no model can be made of it: {reason}") from error
            model.save_pretrained(folder)
        for file in snapshot.tokenizer:
            shutil.copyfile(encoder / file, folder / file)
        materialise(EncoderSettings(source=str(folder), revision=None), out)
