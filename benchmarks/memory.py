"""Peak memory of an extraction, on the tweets and on ten times as many."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.corpora import (
    default_encoder,
    default_texts,
    extract_default,
    with_word,
    write_corpus,
)
from benchmarks.measure import Bar, report, table

TIMES = 10


def main() -> None:
    """Prints the peaks and the bar. Each extraction runs in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="icehouse-bench-") as name:
        folder = Path(name)
        encoder = default_encoder(folder)
        texts = default_texts(folder / "prepared", "tweets")
        once = write_corpus(folder / "once", texts)
        # Every text differs from every other, so that each is a row of its own.
        many = [with_word(text, f"copy{copy}") for copy in range(TIMES) for text in texts]
        times = write_corpus(folder / "times", many)
        peaks = {
            "the tweets": _peak_megabytes(once, encoder),
            f"{TIMES} times the tweets": _peak_megabytes(times, encoder),
        }
    table("peak resident memory of an extraction", peaks, "MB")
    small, large = peaks.values()
    report("memory", {"extract_growth": Bar(large / small, 1.10, at_most=True)})


def _peak_megabytes(corpus: Path, encoder: Path) -> float:
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", str(corpus), str(encoder)],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(result.stdout.splitlines()[-1])


def _measure(corpus: Path, encoder: Path) -> None:
    extract_default(
        corpus, encoder, features="tweets", store=corpus / "store", out=corpus / "features"
    )
    unit = 1e6 if sys.platform == "darwin" else 1e3  # bytes there, kilobytes on Linux
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _measure(Path(sys.argv[1]), Path(sys.argv[2]))
    else:
        main()
