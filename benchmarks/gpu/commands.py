"""The stages as commands, in a small project: what they say, and where memory is too little."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.gpu.inputs import Bench
from benchmarks.gpu.runner import Part
from pipeline.core.files import sha256_file
from pipeline.ingest.prepare import prepare
from pipeline.ingest.rows import Example
from pipeline.ingest.settings import CorpusSettings
from pipeline.ingest.writer import write_labels, write_texts

ROOT = Path(__file__).parents[2]

_PARAMS = "params.yaml"

_LONGEST = 120.0
"""Seconds that a command may take."""

_LIMITS = {"extract": 256, "train": 16, "predict": 256}
"""Megabytes of the GPU's memory that are too few for each stage: the encoder's weights fit, a pack
of it does not; of a head not even a step does."""

_NAMED = {"extract": "ICEHOUSE_GPU_TOKENS", "train": "batch_size", "predict": "ICEHOUSE_GPU_TOKENS"}
"""Setting that a stage names when memory is too little for it."""

_FEW_TOKENS = "1024"
"""Tokens at once with which extraction fits into its limit."""

_CORPUS = {
    "path": "tweets.conll",
    "format": "conll",
    "columns": ["words", "entities"],
    "id": None,
    "words": "words",
    "labels": {"entities": "iob2"},
    "split": {"train": 0.8, "dev": 0.1, "test": 0.1},
    "stratify": None,
    "seed": 13,
}


@dataclass(frozen=True)
class Project:
    """A project with one corpus, one encoder and one head, in a folder of its own.

    Attributes:
        folder: of it.
        device: what stages are told to compute on.
    """

    folder: Path
    device: str

    @classmethod
    def of(cls, bench: Bench) -> Project:
        """The project, prepared, with the smaller encoder; made once."""
        folder = bench.folder / "project"
        if not (folder / _PARAMS).exists():  # the last thing that is written
            _write_project(folder, bench)
        return cls(folder, bench.device.type)

    def extract(self, out: str, **options: Any) -> dict[str, Any]:
        """``stages.extract`` into features of some name."""
        return self.stage(
            "extract",
            *("tweets", "--texts", "texts", "--encoder", "encoder"),
            *("--out", f"features/{out}", "--report", f"reports/{out}.json"),
            **options,
        )

    def train(self, out: str, **options: Any) -> dict[str, Any]:
        """``stages.train`` into a head of some name."""
        files = ("history", "scores", "layers")
        return self.stage(
            *("train", "tagger", "--labels", "labels", "--features", "features/tweets"),
            *("--out", f"models/{out}"),
            *(part for name in files for part in (f"--{name}", f"reports/{out}/{name}.csv")),
            **options,
        )

    def predict(self, out: str, **options: Any) -> dict[str, Any]:
        """``stages.predict`` of some lines of text."""
        return self.stage(
            *("predict", "tagger", "lines.txt", "--encoder", "encoder", "--out", out), **options
        )

    def stage(
        self, name: str, *arguments: str, megabytes: int = 0, **environment: str
    ) -> dict[str, Any]:
        """Runs a stage; gives its seconds, exit code and last lines, and what it took of a GPU."""
        found = self.folder / "gpu.json"
        found.unlink(missing_ok=True)
        limited = ("-m", "benchmarks.gpu.limited", str(megabytes), str(found))
        begin = time.perf_counter()
        done = subprocess.run(
            [sys.executable, *limited, f"stages.{name}", *arguments],
            cwd=self.folder,
            env=self._environment() | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=_LONGEST,
        )
        figures = {"seconds": time.perf_counter() - begin, "rc": done.returncode}
        if found.exists():
            figures |= json.loads(found.read_text(encoding="utf-8"))
        said, errors = (_lines(stream) for stream in (done.stdout, done.stderr))
        return {**figures, "said": said[-3:], "errors": errors[-3:]}

    def _environment(self) -> dict[str, str]:
        kept = {name: v for name, v in os.environ.items() if not name.startswith("ICEHOUSE_")}
        path = [str(ROOT), str(self.folder / "installed"), os.environ.get("PYTHONPATH", "")]
        return kept | {
            "PYTHONPATH": os.pathsep.join(part for part in path if part),
            "FEATURE_STORE": str(self.folder / "store"),
            "ICEHOUSE_DEVICE": self.device,
        }


def _write_project(folder: Path, bench: Bench) -> None:
    settings = CorpusSettings.model_validate_json(json.dumps(_CORPUS))
    shutil.rmtree(folder, ignore_errors=True)  # what a stopped step left
    folder.mkdir()
    examples = [_tagged(number, words) for number, words in enumerate(bench.texts("tweets"))]
    prepared = prepare(examples, settings)
    digest = write_texts(folder / "texts", prepared)
    write_labels(folder / "labels", prepared, texts_sha256=digest)
    (folder / "encoder").symlink_to(bench.encoder_folder("minilm"), target_is_directory=True)
    lines = (text.replace("\n", " ") + "\n" for text in bench.texts("news")[:50])
    (folder / "lines.txt").write_text("".join(lines), encoding="utf-8")
    tagger = {"corpus": "tweets", "features": "tweets", "label": "entities", "layers": [-1]}
    params = {
        "encoders": {"encoder": {"source": str(folder / "encoder"), "revision": None}},
        "corpora": {"tweets": _CORPUS},
        "features": {
            "tweets": {
                "corpus": "tweets",
                "encoder": "encoder",
                "layers": [-1],
                "max_length": 128,
                "long_texts": "truncate",
                "compute_dtype": bench.fast,
                "storage_dtype": "float16",
                "shard_tokens": 4096,
            }
        },
        "heads": {
            "tagger": tagger | {"task": "token_classification", "training": {"epochs": 2}},
        },
    }
    try:
        version("icehouse")
    except PackageNotFoundError:  # stages ask for it, and refuse environments of other projects
        metadata = folder / "installed" / "icehouse-0.dist-info" / "METADATA"
        metadata.parent.mkdir(parents=True)
        metadata.write_text("Metadata-Version: 2.1\nName: icehouse\nVersion: 0\n", "utf-8")
    # JSON is YAML.
    (folder / _PARAMS).write_text(json.dumps(params, indent=1), encoding="utf-8")


def _tagged(number: int, words: Sequence[str]) -> Example:
    """A sentence whose longest word is an entity."""
    entity = max(range(len(words)), key=lambda place: len(words[place]))
    tags = tuple("B-long" if place == entity else "O" for place in range(len(words)))
    return Example(id=str(number), text=tuple(words), labels={"entities": tags}, line=number + 1)


def _lines(stream: str) -> list[str]:
    """What is left on a terminal of each line, at most 300 characters of it."""
    return [line.rsplit("\r", 1)[-1][:300] for line in stream.splitlines() if line.strip()]


def stages(bench: Bench) -> Iterator[Part]:
    """Extraction, training twice with one seed, and prediction."""
    project = Project.of(bench)
    yield "extract", partial(project.extract, "tweets")
    yield "train", partial(project.train, "tagger")
    yield "train_again", partial(project.train, "again")
    yield "same_files", partial(_same_files, project.folder)
    yield "predict", partial(project.predict, "answers.jsonl")


def _same_files(folder: Path) -> dict[str, bool]:
    """Whether both trainings wrote the same, file by file."""
    found = {}
    for top in ("models", "reports"):
        first, second = folder / top / "tagger", folder / top / "again"
        for path in sorted(path for path in first.rglob("*") if path.is_file()):
            other = second / path.relative_to(first)
            name = str(path.relative_to(first))
            found[name] = other.exists() and sha256_file(path) == sha256_file(other)
    if not found:
        raise FileNotFoundError("no training has written anything")
    return found


def memory(bench: Bench) -> Iterator[Part]:
    """Stages on too little memory: one line that names a setting, and exit code 2."""
    project = Project.of(bench)
    runs = {
        "extract": partial(project.extract, "small", FEATURE_STORE=str(project.folder / "small")),
        "train": partial(project.train, "small"),
        "predict": partial(project.predict, "small.jsonl"),
    }
    for name, run in runs.items():
        if bench.rehearsal and name != "extract":
            yield name, lambda: {"skipped": "a CPU's memory has no limit; extract tries the code"}
        else:
            yield f"{name}_in_{_LIMITS[name]}_mb", partial(_refused, name, run)
    if not bench.rehearsal:
        less = partial(runs["extract"], megabytes=_LIMITS["extract"])
        yield f"extract_with_{_FEW_TOKENS}_tokens", partial(less, ICEHOUSE_GPU_TOKENS=_FEW_TOKENS)


def _refused(name: str, run: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """A stage on too little memory, and whether it ends as it should."""
    figures = run(megabytes=_LIMITS[name])
    told = [_NAMED[name] in line for line in figures["errors"]] == [True]
    return {"as_promised": figures["rc"] == 2 and told, **figures}
