"""Peak memory of an extraction and of a training epoch, on the tweets and on ten times as many."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.corpora import (
    PARAMS,
    default_encoder,
    extract_default,
    repeated_corpus,
)
from benchmarks.measure import Bar, peak_private_megabytes, report, table
from pipeline.core.environment import choose_device, use_threads
from pipeline.core.params import ParamsFile
from pipeline.corpus.storage import read_labels
from pipeline.features.hash_cache import HashCache
from pipeline.features.reader import open_features
from pipeline.heads.settings import HeadSettings
from pipeline.training.fit import fit_head

TIMES = 10
TRAININGS = 3
CORPUS = "tweets"
HEAD = "tweet_entities"


def main() -> None:
    """Prints the peaks and the bars. Each extraction and each training is a process of its own."""
    names = ("the tweets", f"{TIMES} times the tweets")
    with tempfile.TemporaryDirectory(prefix="icehouse-bench-") as name:
        folder = Path(name)
        encoder = default_encoder(folder)
        corpora = [
            repeated_corpus(folder / f"times_{times}", CORPUS, times) for times in (1, TIMES)
        ]
        extraction = [_peak_megabytes("extract", corpus, encoder) for corpus in corpora]
        # A training's peak differs by some megabytes from process to process.
        trainings = [
            [_peak_megabytes("train", corpus, encoder) for corpus in corpora]
            for _ in range(TRAININGS)
        ]
    training = [median(peaks) for peaks in zip(*trainings, strict=True)]
    table("peak resident memory of an extraction", dict(zip(names, extraction, strict=True)), "MB")
    table("peak private memory of a training epoch", dict(zip(names, training, strict=True)), "MB")
    report(
        "memory",
        {
            "extract_growth": Bar(extraction[1] / extraction[0], 1.10, at_most=True),
            "train_growth": Bar(training[1] / training[0], 1.10, at_most=True),
            "train_private_gb": Bar(training[1] / 1000, 1.5, at_most=True),
        },
    )


def _peak_megabytes(what: str, corpus: Path, encoder: Path) -> float:
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", what, str(corpus), str(encoder)],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(result.stdout.splitlines()[-1])


def _extract(corpus: Path, encoder: Path) -> float:
    """Peak resident memory, in megabytes."""
    extract_default(
        corpus, encoder, features=CORPUS, store=corpus / "store", out=corpus / "features"
    )
    unit = 1e6 if sys.platform == "darwin" else 1e3  # bytes there, kilobytes on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _train(corpus: Path) -> float:
    """Peak private memory of one epoch, in megabytes: what is mapped from files is not counted."""
    settings = ParamsFile(PARAMS).section(HeadSettings, "heads", HEAD)
    training = settings.training.model_copy(update={"epochs": 1})
    use_threads()
    return peak_private_megabytes(
        lambda: fit_head(
            settings.model_copy(update={"training": training}),
            read_labels(corpus / "labels", settings.label),
            open_features(corpus / "features"),
            hash_cache=HashCache(),
            device=choose_device(),
        )
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(
            _extract(Path(sys.argv[2]), Path(sys.argv[3]))
            if sys.argv[1] == "extract"
            else _train(Path(sys.argv[2]))
        )
    else:
        main()
