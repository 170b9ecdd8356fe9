"""Time and memory of the rivals of a head, against those of training it.

On the tweets (words), on the news (texts), on the tweets with four layers side by side, and for
memory on five times the tweets with four layers, whose words would take 1.1 GB in float32.
Each fit and each training is a process of its own. Times are seconds of all cores together.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.corpora import PARAMS, default_encoder, extract_default, repeated_corpus
from benchmarks.measure import Bar, peak_private_megabytes, report, table
from benchmarks.projects import change_params
from pipeline.core.environment import (
    allow_open_files,
    choose_device,
    flush_denormals,
    keep_freed_memory,
    use_threads,
)
from pipeline.core.params import ParamsFile
from pipeline.corpus.storage import read_labels, texts_of
from pipeline.features.hash_cache import HashCache
from pipeline.features.reader import open_features
from pipeline.heads.settings import HeadSettings
from pipeline.probes.settings import ProbeSettings

FOUR = (1, 2, 4, 6)
TIMES = 5
WORDS, TEXTS = "tweet_entities", "news_topic"


@dataclass(frozen=True)
class Cost:
    """What a fit took.

    Attributes:
        cpu_s: seconds of all cores together, without imports.
        peak_mb: private memory, with what libraries take.
    """

    cpu_s: float
    peak_mb: float


def main() -> None:
    """Prints what each took, and the bars."""
    with tempfile.TemporaryDirectory(prefix="icehouse-bench-") as name:
        folder = Path(name)
        params = _params_with_four_layers(folder)
        encoder = default_encoder(folder)
        tweets, news, many = (
            _extracted(folder / f"{corpus}_{times}", corpus, times, encoder)
            for corpus, times in (("tweets", 1), ("news", 1), ("tweets", TIMES))
        )
        works = {
            "words": (WORDS, tweets),
            "four layers": (f"{WORDS}_four", tweets),
            "texts": (TEXTS, news),
        }
        probes = {what: _cost("probe", *work, params) for what, work in works.items()}
        trainings = {what: _cost("train", *work, params) for what, work in works.items()}
        largest = _cost("probe", f"{WORDS}_four", many, params)
        words = _cost("tfidf", TEXTS, news, params)
        again = _seconds_of_a_second_head(news, params)
    costs = {f"probe, {what}": cost for what, cost in probes.items()}
    costs |= {f"probe, four layers, {TIMES} times the tweets": largest, "TF-IDF, texts": words}
    costs |= {f"training, {what}": cost for what, cost in trainings.items()}
    table("seconds of all cores", {what: cost.cpu_s for what, cost in costs.items()}, "s")
    table("peak private memory", {what: cost.peak_mb for what, cost in costs.items()}, "MB")
    peak = max(cost.peak_mb for cost in (*probes.values(), largest, words)) / 1000
    shares = {what: probes[what].cpu_s / trainings[what].cpu_s for what in works}
    report(
        "probe",
        {
            **{
                f"{what.replace(' ', '_')}": Bar(share, 1, at_most=True)
                for what, share in shares.items()
            },
            "peak_gb": Bar(peak, 0.5, at_most=True),
            "tfidf_s": Bar(words.cpu_s, 10, at_most=True),
            "second_head_s": Bar(again, 2, at_most=True),
        },
    )


def _params_with_four_layers(folder: Path) -> Path:
    """The default parameters, with a copy of the tagger that reads four layers side by side."""
    (folder / PARAMS.name).write_bytes(PARAMS.read_bytes())
    with change_params(folder) as params:
        row = json.loads(json.dumps(params["heads"][WORDS]))
        params["heads"][f"{WORDS}_four"] = {**row, "layers": list(FOUR), "combine": "concat"}
    return folder / PARAMS.name


def _extracted(folder: Path, name: str, times: int, encoder: Path) -> Path:
    corpus = repeated_corpus(folder, name, times)
    store, out = corpus / "store", corpus / "features"
    extract_default(corpus, encoder, features=name, store=store, out=out, layers=FOUR)
    return corpus


def _cost(what: str, head: str, corpus: Path, params: Path) -> Cost:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.probe", what, head, str(corpus), str(params)],
        check=True,
        capture_output=True,
        text=True,
    )
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def _seconds_of_a_second_head(corpus: Path, params: Path) -> float:
    """Seconds of the stage, imports included, for a head whose rivals another one has fitted."""
    seconds = 0.0
    for out in ("first", "second"):
        begin = time.perf_counter()
        subprocess.run(
            [
                *(sys.executable, "-m", "stages.probe", TEXTS, "--params", str(params)),
                *("--texts", str(corpus), "--labels", str(corpus / "labels")),
                *("--features", str(corpus / "features"), "--out", str(corpus / out)),
            ],
            env={**os.environ, "FEATURE_STORE": str(corpus / "store")},
            check=True,
            capture_output=True,
        )
        seconds = time.perf_counter() - begin
    return seconds


def _measure(what: str, head: str, corpus: Path, params: Path) -> Cost:
    """Runs one fit in this process."""
    use_threads()
    allow_open_files()
    run = _work(what, head, corpus, ParamsFile(params))
    begin = time.process_time()
    peak = peak_private_megabytes(run)
    return Cost(time.process_time() - begin, peak)


def _work(what: str, head: str, corpus: Path, params: ParamsFile) -> Callable[[], Any]:
    """A fit, with libraries imported and files opened."""
    features, hash_cache = open_features(corpus / "features"), HashCache()
    if what == "train":
        from pipeline.training.fit import fit_head

        flush_denormals()
        keep_freed_memory()
        settings = params.section(HeadSettings, "heads", head)
        labels = read_labels(corpus / "labels", settings.label)
        device = choose_device()
        return lambda: fit_head(settings, labels, features, hash_cache=hash_cache, device=device)
    asked = params.section(ProbeSettings, "heads", head)
    labels = read_labels(corpus / "labels", asked.label)
    if what == "tfidf":
        import sklearn.feature_extraction.text  # noqa: F401

        from pipeline.probes.tfidf import fit_tfidf

        return lambda: fit_tfidf(asked, labels, features, texts_of(corpus, labels))
    from pipeline.probes.probe import fit_probe

    return lambda: fit_probe(asked, labels, features, hash_cache=hash_cache)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        kind, row, *paths = sys.argv[1:]
        print(json.dumps(asdict(_measure(kind, row, *map(Path, paths)))))
    else:
        main()
