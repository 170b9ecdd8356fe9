"""Answers a trained head gives for new text."""

from __future__ import annotations

import glob
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import click
from tqdm import tqdm

from pipeline.core.command import PARAMS, StageCommand, complete_rows
from pipeline.core.environment import choose_device, keep_freed_memory, use_threads
from pipeline.core.errors import ParameterError
from pipeline.core.files import atomic_file, canonical_json, remove_temporaries
from pipeline.core.params import ParamsFile
from pipeline.encoder.settings import trusts_code
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
@click.option(
    "--trust-remote-code",
    is_flag=True,
    help="Run Python code that comes with the encoder, with all that you may do. "
    "[default: as the encoder's row of params.yaml says; with --encoder, do not]",
)
@PARAMS
def main(
    name: str,
    source: Path,
    form: str | None,
    out: Path | None,
    models: Path,
    encoder: Path | None,
    trust_remote_code: bool,
    params_path: Path,
) -> None:
    """Writes what head NAME says of every text in SOURCE (by default standard input).

    Writes JSON Lines in the order of the texts: their id, and `label` and `probabilities`;
    `labels` and `probabilities`; `value`; or `tags` and `probabilities` per word, and `entities`
    with character offsets.
    """
    from pipeline.prediction.predict import Predictor, blocks_of
    from pipeline.prediction.streams import StandardOutput, open_source
    from pipeline.prediction.texts import is_row, read_lines, read_rows, split_lines

    use_threads()
    keep_freed_memory()
    with ExitStack() as stack:
        stream: BinaryIO = sys.stdin.buffer
        if str(source) != "-":
            stream = stack.enter_context(open_source(source))
        label = "standard input" if str(source) == "-" else str(source)
        rows = form == "jsonl" if form else source.suffix == ".jsonl"
        lines = split_lines(stream, label)
        texts = read_rows(lines, label) if rows else read_lines(lines, label)
        if encoder is None:
            encoder, trusted = _encoder_of(models / name, ParamsFile(params_path))
            trust_remote_code |= trusted
        predictor = Predictor.of_folder(
            models / name, encoder, device=choose_device(), trust_remote_code=trust_remote_code
        )
        target: BinaryIO | StandardOutput = StandardOutput()
        if out is not None:
            remove_temporaries(out.parent, glob.escape(out.name))
            target = stack.enter_context(stack.enter_context(atomic_file(out)).open("wb"))
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
                    names=[f"{label}: text {identity!r:.100}" for identity, _ in block],
                )
                for (identity, _), row in zip(block, answers.rows, strict=True):
                    line = canonical_json({"id": identity, **row}) + "\n"
                    target.write(line.encode("utf-8"))
                cut += answers.cut
                count += len(block)
                bar.update(len(block))
        target.flush()
    if cut:
        click.echo(f"{cut} texts were longer than the head's features read, and were cut", err=True)


def _encoder_of(head: Path, params: ParamsFile) -> tuple[Path, bool]:
    """The encoder that the features of a head are made with, and whether its code may run."""
    from pipeline.heads.checkpoint import read_description

    features = read_description(head)["settings"]["features"]
    try:
        encoder = params.section(FeaturesSettings, "features", features).encoder
    except ParameterError as error:
        raise ParameterError(f"{error}; or name the encoder's folder with --encoder") from None
    return Path("data/encoders") / encoder, trusts_code(params, encoder)


if __name__ == "__main__":
    main()
