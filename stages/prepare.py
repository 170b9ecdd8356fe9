"""Stage: raw corpus to texts, and apart from them labels and splits."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.corpus.formats import read_examples
from pipeline.corpus.prepare import prepare
from pipeline.corpus.settings import CorpusSettings
from pipeline.corpus.storage import write_labels, write_texts
from pipeline.files import readable_json, write_text
from pipeline.params import ParamsFile
from stages.command import PARAMS, StageCommand


@click.command(cls=StageCommand)
@click.argument("name")
@click.option("--texts", type=click.Path(path_type=Path), required=True)
@click.option("--labels", type=click.Path(path_type=Path), required=True)
@click.option("--report", type=click.Path(path_type=Path), required=True)
@PARAMS
def main(name: str, texts: Path, labels: Path, report: Path, params_path: Path) -> None:
    """Validates corpus NAME, splits it, and parts texts from labels."""
    settings = ParamsFile(params_path).section(CorpusSettings, "corpora", name)
    corpus = prepare(read_examples(Path(settings.path), settings), settings)
    write_labels(labels, corpus, texts_sha256=write_texts(texts, corpus))
    write_text(report, readable_json(corpus.report))
    repeated = corpus.report["repeated_inputs"]
    click.echo(
        f"corpus {name}: {corpus.report['rows']} rows "
        f"({', '.join(f'{count} {split}' for split, count in corpus.report['splits'].items())}); "
        f"{repeated['rows_beyond_the_first']} repeat an earlier input; inputs with conflicting "
        f"labels: {repeated['inputs_with_conflicting_labels']}"
    )


if __name__ == "__main__":
    main()
