"""A quick look, from a sample to its table, which is printed line by line as it becomes known."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from pipeline.core.command import echo, echo_logs
from pipeline.core.environment import allow_open_files
from pipeline.core.errors import TrainingError
from pipeline.extraction.settings import FeaturesSettings
from pipeline.quick_look.encoded_sample import EncodedSample, encoded_sample
from pipeline.quick_look.layer_scores import LabelScores, layer_scores, read_dataset
from pipeline.quick_look.sample import CorpusSample
from pipeline.quick_look.score_table import heading, line, summary


def quick_look(
    sample: CorpusSample,
    labels: Sequence[str],
    *,
    usual: Mapping[str, Sequence[int]],
    settings: FeaturesSettings,
    encoder: Path,
    store_root: Path,
    project: Path,
    trust_remote_code: bool = False,
) -> list[LabelScores]:
    """Probes every layer of an encoder on some rows of a corpus, and prints what comes of it.

    Args:
        sample: some of its rows.
        labels: some of its labels, one at least.
        usual: by label, the layers that its head reads where nothing is known of the corpus.
        settings: how texts are read; with those of a features row, its rows are in the store then.
        encoder: a materialised encoder.
        store_root: the local feature store.
        project: the main checkout.
        trust_remote_code: whether Python code that comes with the encoder may run.

    Raises:
        TrainingError: no label can be learnt from the sample.
        EncoderError, DataError, MachineError, StoreError: see ``extract``.
    """
    allow_open_files()
    train, dev = (f"{sample.splits.count(split)} of {sample.of[split]}" for split in sample.of)
    with ExitStack() as stack:
        with echo_logs("quick look: ", err=True):
            encoded = stack.enter_context(
                encoded_sample(
                    sample,
                    encoder=encoder,
                    settings=settings,
                    store_root=store_root,
                    project=project,
                    trust_remote_code=trust_remote_code,
                )
            )
        echo(f"{settings.corpus}, {settings.encoder}: {train} training rows, {dev} dev rows")
        return print_layers(encoded, labels, usual=usual)


def print_layers(
    encoded: EncodedSample, labels: Sequence[str], *, usual: Mapping[str, Sequence[int]]
) -> list[LabelScores]:
    """Prints a table per label, with bars on a terminal; what cannot be learnt is left out.

    Raises:
        TrainingError: no label can be learnt from the sample.
    """
    found: list[LabelScores] = []
    problem: TrainingError | None = None
    bars = sys.stdout.isatty() and (sys.stdout.encoding or "").lower().startswith("utf")
    for label in labels:
        try:
            dataset = read_dataset(encoded, label)
        except TrainingError as error:
            problem = TrainingError(f"{label}, in a sample of the corpus: {error}")
            echo(f"left out: {problem}", err=True)
            continue
        echo(heading(label, dataset.label_type.probe_metric))
        count, rows = len(usual[label]), []
        longest = range(encoded.depth + 1)[-count:]
        for row in layer_scores(encoded, dataset, usual=usual[label]):
            echo(line(row, longest=longest, bars=bars))
            rows.append(row)
        found.append(LabelScores(label, dataset.label_type.probe_metric, count, rows))
        echo(summary(found[-1]))
    if problem is not None and not found:
        raise problem
    return found
