"""Peak memory of an extraction and of a training epoch, on the tweets and on ten times as many."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks.corpora import (
    PARAMS,
    default_encoder,
    default_examples,
    extract_default,
    with_word,
)
from benchmarks.measure import Bar, report, table
from pipeline.core.environment import choose_device, use_threads
from pipeline.core.params import ParamsFile
from pipeline.corpus.storage import read_labels
from pipeline.features.hash_cache import HashCache
from pipeline.features.reader import open_features
from pipeline.heads.settings import HeadSettings
from pipeline.ingest.prepare import prepare
from pipeline.ingest.rows import Example
from pipeline.ingest.settings import CorpusSettings
from pipeline.ingest.writer import write_labels, write_texts
from pipeline.training.fit import fit_head

TIMES = 10
TRAININGS = 3
CORPUS = "tweets"
HEAD = "tweet_entities"
STATUS = Path("/proc/self/status")


def main() -> None:
    """Prints the peaks and the bars. Each extraction and each training is a process of its own."""
    names = ("the tweets", f"{TIMES} times the tweets")
    with tempfile.TemporaryDirectory(prefix="icehouse-bench-") as name:
        folder = Path(name)
        encoder = default_encoder(folder)
        corpora = [_corpus(folder / f"times_{times}", times) for times in (1, TIMES)]
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


def _corpus(folder: Path, times: int) -> Path:
    """Prepares the tweets some times over; every text differs, so that each is a row of its own."""
    settings = ParamsFile(PARAMS).section(CorpusSettings, "corpora", CORPUS)
    examples = [
        _marked(example, f"copy{copy}")
        for copy in range(times)
        for example in default_examples(CORPUS)
    ]
    corpus = prepare(examples, settings)
    write_labels(folder / "labels", corpus, texts_sha256=write_texts(folder, corpus))
    return folder


def _marked(example: Example, word: str) -> Example:
    """The example with a word in front, which is no entity."""
    return replace(
        example,
        id=f"{word} {example.id}",
        text=with_word(example.text, word),
        labels={
            name: ("O", *tags) if isinstance(tags, tuple) else tags
            for name, tags in example.labels.items()
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
    if not STATUS.exists():
        sys.exit("private memory is read from /proc, which this system does not have")
    settings = ParamsFile(PARAMS).section(HeadSettings, "heads", HEAD)
    training = settings.training.model_copy(update={"epochs": 1})
    use_threads()
    ended = threading.Event()
    peak = [0.0]

    def watch() -> None:
        while not ended.wait(0.02):
            peak[0] = max(peak[0], _private_megabytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        fit_head(
            settings.model_copy(update={"training": training}),
            read_labels(corpus / "labels", settings.label),
            open_features(corpus / "features"),
            hash_cache=HashCache(),
            device=choose_device(),
        )
    finally:
        ended.set()
        watcher.join()
    return peak[0]


def _private_megabytes() -> float:
    for line in STATUS.read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == "RssAnon":
            return float(value.split()[0]) / 1e3
    raise SystemExit(f"{STATUS} does not say how much memory is private")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(
            _extract(Path(sys.argv[2]), Path(sys.argv[3]))
            if sys.argv[1] == "extract"
            else _train(Path(sys.argv[2]))
        )
    else:
        main()
