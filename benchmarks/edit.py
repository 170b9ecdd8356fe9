"""What an edit costs: 1% of the texts changed or appended, labels alone, against a cold run."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.corpora import (
    default_encoder,
    default_examples,
    default_texts,
    edited,
    extract_default,
    with_word,
    write_corpus,
)
from benchmarks.measure import Bar, collected_logs, interleaved, report, table
from pipeline.core.environment import use_threads
from pipeline.core.params import ParamsFile
from pipeline.corpus.storage import TEXTS
from pipeline.corpus.texts import Text
from pipeline.features.hash_cache import CACHE_FILE
from pipeline.features.reader import open_features
from pipeline.ingest.prepare import prepare
from pipeline.ingest.rows import Example
from pipeline.ingest.settings import CorpusSettings
from pipeline.ingest.writer import write_texts
from pipeline.store.local import LOG

SHARE = 0.01
ROUNDS = 3
"""Fewer than elsewhere: a cold extraction of the news takes the better part of a minute."""


def main() -> None:
    """Prints seconds of each extraction, bytes new to DVC's cache, and the bars."""
    use_threads()
    with tempfile.TemporaryDirectory(prefix="icehouse-bench-") as name:
        folder = Path(name)
        encoder = default_encoder(folder)
        texts = default_texts(folder / "prepared", "news")
        base = Corpus(folder / "base", encoder, texts)
        base.extract(folder / "base" / "store")
        more = [with_word(text, "appended") for text in texts[: round(SHARE * len(texts))]]
        versions = {
            "edited 1%": Corpus(folder / "edited", encoder, edited(texts, SHARE, seed=1)),
            "appended 1%": Corpus(folder / "appended", encoder, [*texts, *more]),
        }
        contestants: dict[str, Callable[[], object]] = {"cold": base.cold}
        for version, corpus in versions.items():
            contestants[version] = corpus.after(base)
        seconds = interleaved(contestants, rounds=ROUNDS)
        table(f"news, {len(texts)} texts, process start-up not counted", seconds, "s")
        for version, corpus in versions.items():
            corpus.same_as_cold()
            print(
                f"  {version}: {corpus.rows_computed} rows computed of {round(SHARE * len(texts))} "
                f"changed, {corpus.new_bytes(base) / 1e6:.1f} of {corpus.bytes() / 1e6:.1f} MB new "
                "to DVC's cache"
            )
    report(
        "edit",
        {
            "edited": Bar(seconds["edited 1%"] / seconds["cold"], 0.04, at_most=True),
            "appended": Bar(seconds["appended 1%"] / seconds["cold"], 0.04, at_most=True),
            "labels": Bar(_rows_of_changed_labels(), 0, at_most=True),
        },
    )


class Corpus:
    """A version of the texts, its store and its features."""

    def __init__(self, folder: Path, encoder: Path, texts: Sequence[Text]) -> None:
        self.folder = write_corpus(folder, texts)
        self.encoder = encoder
        self.rows_computed = -1

    def extract(self, store: Path, out: str = "features") -> None:
        """Extracts with a store, in whatever state that is."""
        with collected_logs() as said:
            extract_default(
                self.folder,
                self.encoder,
                features="news",
                store=store,
                out=self.folder / out,
            )
        found = re.search(r"(\d+) rows \(\d+ tokens\) to compute", " ".join(said))
        self.rows_computed = int(found[1]) if found else -1

    def cold(self) -> None:
        """Extracts into a new store."""
        shutil.rmtree(self.folder / "cold", ignore_errors=True)
        self.extract(self.folder / "cold", "cold_features")

    def after(self, base: Corpus) -> Callable[[], None]:
        """Extracts into the store that another version left, which stays as it is."""

        def link(source: str, target: str) -> None:
            if Path(source).name in (LOG, CACHE_FILE):
                shutil.copyfile(source, target)  # grows in place
            else:
                os.link(source, target)

        def run() -> None:
            shutil.rmtree(self.folder / "store", ignore_errors=True)
            shutil.copytree(base.folder / "store", self.folder / "store", copy_function=link)
            self.extract(self.folder / "store")

        return run

    def same_as_cold(self) -> None:
        """Stops where the bytes are not those of a cold extraction."""
        computed = self.rows_computed
        self.cold()
        self.rows_computed = computed
        cold, warm = (open_features(self.folder / out) for out in ("cold_features", "features"))
        if cold.manifest != warm.manifest:
            raise SystemExit(f"{self.folder}: differs from a cold extraction")

    def bytes(self) -> int:
        """Size of the features."""
        return sum(self._sizes().values())

    def new_bytes(self, base: Corpus) -> int:
        """Size of the files that the other version does not have."""
        known = {digest for _, digest in open_features(base.folder / "features").manifest.digests()}
        digests = dict(open_features(self.folder / "features").manifest.digests())
        return sum(size for name, size in self._sizes().items() if digests[name] not in known)

    def _sizes(self) -> dict[str, int]:
        features = open_features(self.folder / "features")
        return {
            name: (features.folder / name).stat().st_size for name, _ in features.manifest.digests()
        }


def _rows_of_changed_labels() -> int:
    """Rows to compute after every label of the news was exchanged: none, the texts are the same."""
    settings = ParamsFile(Path("params.yaml")).section(CorpusSettings, "corpora", "news")

    def changed(example: Example) -> Example:
        return replace(example, labels={"topic": f"not {example.labels['topic']}"})

    with tempfile.TemporaryDirectory() as name:
        before, after = Path(name) / "before", Path(name) / "after"
        examples = default_examples("news")
        write_texts(before, prepare(examples, settings))
        write_texts(after, prepare([changed(example) for example in examples], settings))
        same = (before / TEXTS).read_bytes() == (after / TEXTS).read_bytes()
    return 0 if same else len(examples)


if __name__ == "__main__":
    main()
