"""Answers a trained head gives for new text."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import click
from tqdm import tqdm

from pipeline.core.command import PARAMS, StageCommand, complete_rows
from pipeline.core.environment import choose_device, keep_freed_memory, use_threads
from pipeline.core.errors import DataError, ParameterError
from pipeline.core.files import atomic_file, canonical_json
from pipeline.core.params import ParamsFile
from pipeline.extraction.settings import FeaturesSettings

PATH = click.Path(path_type=Path)
BLOCK = 1024
"""Texts that are read, encoded and answered together; bounds the memory."""


@click.command(cls=StageCommand)
@click.argument("name", shell_complete=complete_rows("heads"))
@click.argument("source", type=click.Path(path_type=Path, allow_dash=True), default="-")
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "lines"]),
    help="JSON Lines with text, text and text_b, or words; or a text per line. "
    "[default: jsonl if SOURCE ends so, else lines]",
)
@click.option("--out", type=PATH, help="The file to write; by default standard output.")
@click.option("--models", type=PATH, default="models", show_default=True)
@click.option(
    "--encoder", type=PATH, help="Folder of the encoder. [default: that of the head's features]"
)
@PARAMS
def main(
    name: str,
    source: Path,
    form: str | None,
    out: Path | None,
    models: Path,
    encoder: Path | None,
    params_path: Path,
) -> None:
    """Writes what head NAME says of every text in SOURCE (by default standard input).

    Writes JSON Lines in the order of the texts: their id, and `label` and `probabilities`;
    `labels` and `probabilities`; `value`; or `tags` and `probabilities` per word, and `entities`
    with character offsets.
    """
    from pipeline.prediction.predict import Predictor, blocks_of
    from pipeline.prediction.texts import is_row, read_lines, read_rows

    use_threads()
    keep_freed_memory()
    with ExitStack() as stack:
        lines: BinaryIO = sys.stdin.buffer
        if str(source) != "-":
            try:
                lines = stack.enter_context(source.open("rb"))
            except OSError as error:
                raise DataError(f"{source}: cannot be read: {error.strerror}") from None
        label = "standard input" if str(source) == "-" else str(source)
        rows = form == "jsonl" if form else source.suffix == ".jsonl"
        texts = read_rows(lines, label) if rows else read_lines(lines, label)
        predictor = Predictor.of_folder(
            models / name,
            encoder or _encoder_of(models / name, ParamsFile(params_path)),
            device=choose_device(),
        )
        target = sys.stdout
        if out is not None:
            temporary = stack.enter_context(atomic_file(out))
            target = stack.enter_context(temporary.open("w", encoding="utf-8", newline="\n"))
        cut = count = 0
        with tqdm(unit=" texts", disable=None, desc="predicting") as bar:
            for block in blocks_of(texts, BLOCK):
                if not rows and count == 0 and is_row(block[0][1]):
                    click.echo(
                        f"{label}: read as a text per line, but the first is a row of JSON Lines; "
                        "for those, say --format jsonl",
                        err=True,
                    )
                answers = predictor(
                    [text for _, text in block],
                    names=[f"{label}: text {identity!r}" for identity, _ in block],
                )
                for (identity, _), row in zip(block, answers.rows, strict=True):
                    target.write(canonical_json({"id": identity, **row}) + "\n")
                cut += answers.cut
                count += len(block)
                bar.update(len(block))
    if cut:
        click.echo(f"{cut} texts were longer than the head's features read, and were cut", err=True)


def _encoder_of(head: Path, params: ParamsFile) -> Path:
    """The encoder that the features of a head are made with, as params.yaml has it."""
    from pipeline.heads.checkpoint import read_description

    features = read_description(head)["settings"]["features"]
    try:
        return (
            Path("data/encoders") / params.section(FeaturesSettings, "features", features).encoder
        )
    except ParameterError as error:
        raise ParameterError(f"{error}; or name the encoder's folder with --encoder") from None


if __name__ == "__main__":
    main()
