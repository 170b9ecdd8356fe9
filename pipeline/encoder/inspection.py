"""Look at a materialised encoder before anything is loaded: nothing but what it says is there.

transformers takes what it finds in a folder, and a folder may come from anybody. Code runs because
the user says so, in ``params.yaml`` or on the command line, and never because it lies there.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.core.errors import EncoderError
from pipeline.encoder.config import (
    DEPTH_NAMES,
    WIDTH_NAMES,
    check_config,
    check_tokenizer_config,
    config_size,
    json_object,
    own_code,
)
from pipeline.encoder.roles import CONFIG, INDEX, TOKENIZER_CONFIG
from pipeline.encoder.snapshot import DESCRIPTION, EncoderSnapshot, read_snapshot
from pipeline.encoder.source import indexed_weights

_LARGEST_TOKENIZER = 1 << 28
"""Bytes of a file of a tokenizer: the largest in use have 40 MB."""


def require_loadable(
    folder: Path, *, trust_remote_code: bool, verify: bool = False
) -> EncoderSnapshot:
    """Description of an encoder whose folder holds what it says, and of which no code runs unasked.

    Args:
        folder: a materialised encoder.
        trust_remote_code: whether the user lets Python code that comes with it run.
        verify: as for ``read_snapshot``.

    Raises:
        EncoderError: it has code that may not run, holds other files, or its configuration asks
            for what it is not.
    """
    snapshot = read_snapshot(folder, verify=verify)
    if snapshot.has_code and not trust_remote_code:
        raise EncoderError(
            f"{folder}: has Python code of its own, {min(snapshot.code)} for one, and nothing says "
            "that it may run; read it, and set trust_remote_code: true in its row of params.yaml, "
            "or say so to predict, as --trust-remote-code or trust_remote_code=True"
        )
    _refuse_other_files(snapshot)
    _check_configs(snapshot)
    return snapshot


def _refuse_other_files(snapshot: EncoderSnapshot) -> None:
    folder = snapshot.folder
    files = {name for digests in snapshot.fingerprint().values() for name in digests}
    for path in sorted(folder.iterdir()):
        if path.name not in files | {DESCRIPTION} and not path.name.startswith("."):
            raise EncoderError(
                f"{path}: is no part of the encoder, by its {DESCRIPTION}; remove it"
            )
    for name in sorted(files):
        if not (folder / name).is_file():
            raise EncoderError(
                f"{folder / name}: is missing, or no file; remove {folder} and run `dvc repro`"
            )
    if INDEX in snapshot.weights:
        for name in indexed_weights(folder / INDEX, str(folder)):
            if name not in snapshot.weights:
                raise EncoderError(
                    f"{folder}: its {INDEX} names {name!a:.60}, which is no part of the encoder; "
                    "remove it and run `dvc repro`"
                )
    for name in snapshot.tokenizer:
        if (folder / name).stat().st_size > _LARGEST_TOKENIZER:
            raise EncoderError(
                f"{folder / name}: has more than {_LARGEST_TOKENIZER >> 20} MiB; no tokenizer has"
            )


def _check_configs(snapshot: EncoderSnapshot) -> None:
    folder = str(snapshot.folder)
    configs = {CONFIG: json_object(snapshot.folder / CONFIG, folder)}
    check_config(configs[CONFIG], folder)
    if TOKENIZER_CONFIG in snapshot.tokenizer:
        path = snapshot.folder / TOKENIZER_CONFIG
        configs[TOKENIZER_CONFIG] = json_object(path, folder)
        check_tokenizer_config(configs[TOKENIZER_CONFIG], folder)
    if snapshot.has_code:
        own_code(configs, folder)
    for names, said in ((DEPTH_NAMES, snapshot.depth), (WIDTH_NAMES, snapshot.width)):
        found = config_size(configs[CONFIG], names, folder)
        if found != said:
            raise EncoderError(
                f"{folder}: {DESCRIPTION} says {said} where {CONFIG} has {names[0]} {found}; "
                "remove it and run `dvc repro`"
            )
