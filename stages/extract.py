"""Stage: runs the frozen encoder over a corpus, once, and stores its hidden states."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from pipeline.core.command import PARAMS, LongCommand, echo_logs
from pipeline.core.environment import project_root, store_path
from pipeline.core.files import readable_json, remove_temporaries, sha256_file, write_text
from pipeline.core.params import ParamsFile
from pipeline.corpus.storage import TEXTS, read_texts
from pipeline.encoder.settings import trusts_code
from pipeline.extraction.run import extract
from pipeline.extraction.settings import FeaturesSettings


@click.command(cls=LongCommand)
@click.argument("name")
@click.option("--texts", type=click.Path(path_type=Path), required=True)
@click.option("--encoder", type=click.Path(path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--report", type=click.Path(path_type=Path), required=True)
@PARAMS
def main(name: str, texts: Path, encoder: Path, out: Path, report: Path, params_path: Path) -> None:
    """Writes features NAME: the hidden states of every text at the chosen layers."""
    params = ParamsFile(params_path)
    settings = params.section(FeaturesSettings, "features", name)
    remove_temporaries(report.parent, report.name)
    with echo_logs(f"features {name}: "):
        counts = extract(
            partial(read_texts, texts),
            texts_sha256=sha256_file(texts / TEXTS),
            encoder_folder=encoder,
            settings=settings,
            store_root=store_path(),
            project=project_root(),
            out=out,
            # No parameter of the stage in dvc.yaml: it lets the encoder run or not, and never
            # changes what comes out. Code that comes or goes is another encoder, a dependency.
            trust_remote_code=trusts_code(params, settings.encoder),
        )
    write_text(report, readable_json(counts))


if __name__ == "__main__":
    main()
