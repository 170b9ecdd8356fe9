"""Extractions that are cut short: run in processes of their own, which start in a moment.

A fork server imports torch and transformers once; every extraction is then a fork of it.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path

from click.testing import CliRunner

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        "pipeline.encoder.forward",
        "transformers.models.bert.modeling_bert",
        "transformers.models.auto",
        "pipeline.encoder.tokenise",
        "dvc.config",
        "stages.extract",
    ]
)


def start(project: Path, encoder: Path, *, file_limit: int | None = None) -> BaseProcess:
    """Starts the extraction of the prepared corpus in ``project`` into ``project/features``.

    Args:
        project: from ``pipelines.prepared``; what is printed goes into ``project/output``.
        encoder: a materialised encoder.
        file_limit: bytes that a file may have, as on a disk that is full.
    """
    process = _CONTEXT.Process(target=_extract, args=(project, encoder, file_limit))
    process.start()
    return process


def _extract(project: Path, encoder: Path, file_limit: int | None) -> None:
    from pipeline.extraction import compute
    from stages.extract import main

    os.chdir(project)
    (project / ".dvc").mkdir(exist_ok=True)
    (project / "params.yaml").write_text(
        "features:\n"
        "  features: {corpus: c, encoder: e, layers: [1, 2, -1], max_length: 48,\n"
        "             long_texts: truncate, storage_dtype: float32, shard_tokens: 256}\n",
        encoding="utf-8",
    )
    arguments = ["features", "--texts", "texts", "--encoder", str(encoder)]
    arguments += ["--out", "features", "--report", "report.json"]
    # Shards of a small corpus would all be written at once, after the last row is encoded.
    compute._BLOCK_TOKENS = 512
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most if file_limit is None else file_limit, most))
    result = CliRunner().invoke(main, arguments)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    (project / "output").write_text(result.stderr, encoding="utf-8")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    sys.exit(result.exit_code)
