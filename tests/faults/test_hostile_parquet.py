"""Parquet files of a few hundred bytes that stand for gigabytes; need pyarrow, an extra."""

from __future__ import annotations

import importlib.util
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hostile import MEMORY, PREPARE, SPECIAL, refused, write_params
from import_graph import ROOT

from stages.init import main as init
from stages.prepare import main as prepare

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("pyarrow") is None, reason="pyarrow is an extra"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, columns: dict[str, Any]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table(columns), path, compression="zstd", store_schema=False)
    assert path.stat().st_size < 100_000


def repeated(text: str, rows: int) -> Any:
    """A column of equal strings, which are stored once."""
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([text]))


@pytest.mark.parametrize("kind", sorted(set(SPECIAL) - {"folder", "nothing", "itself"}))
def test_a_parquet_file_is_a_regular_file(folder: Path, kind: str) -> None:
    SPECIAL[kind][0](write_params(folder, format="parquet"))
    lines = refused(prepare, *PREPARE, folder=folder)
    assert "cannot be read as Parquet" in lines[0]


@pytest.mark.slow
@pytest.mark.parametrize("lists", [False, True])
def test_equal_strings_are_in_memory_once(folder: Path, lists: bool) -> None:
    """A thousand rows of 5 MB from 600 bytes: read, row after row, in 2 GB."""
    import pyarrow as pa

    text = repeated("x " * 2_500_000, 1000)
    words = pa.ListArray.from_arrays(list(range(1001)), text)
    changes = {"text": ..., "words": "text"} if lists else {}
    path = write_params(folder, format="parquet", **changes)
    write(path, {"text": words if lists else text, "topic": ["a", "b"] * 500})
    program = (
        "import sys; from pathlib import Path; from pipeline.core.params import ParamsFile\n"
        "from pipeline.ingest.formats import RawCorpus\n"
        "from pipeline.ingest.settings import CorpusSettings\n"
        "row = ParamsFile(Path('params.yaml')).section(CorpusSettings, 'corpora', 'hostile')\n"
        "assert sum(1 for _ in RawCorpus(Path(row.path), row)) == 1000\n"
    )
    subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[1:]])},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
        check=True,
        timeout=60,
    )


def test_a_row_of_too_many_words_is_refused(folder: Path) -> None:
    import pyarrow as pa

    path = write_params(folder, format="parquet", text=..., words="words")
    write(path, {"words": pa.array([[None] * 20_000_000], pa.list_(pa.string())), "topic": ["a"]})
    lines = refused(prepare, *PREPARE, folder=folder)
    assert "corpus:1: field 'words' has more than 16,777,216 characters, or items" in lines[0]


def test_a_file_that_says_it_has_more_rows_than_it_can_is_refused(folder: Path) -> None:
    import pyarrow as pa

    path = write_params(folder, format="parquet")
    write(path, {"text": pa.nulls(20_000_000, pa.string()), "topic": pa.nulls(20_000_000)})
    assert "says that it has 20,000,000 rows, in" in refused(prepare, *PREPARE, folder=folder)[0]


@pytest.mark.parametrize("value", [{"a": "b"}, [{"a": "b"}], [[["a"]]]])
def test_a_field_is_a_value_or_a_list_of_them(folder: Path, value: Any) -> None:
    path = write_params(folder, format="parquet")
    write(path, {"text": [value], "topic": ["a"]})
    assert "column 'text' holds neither values nor" in refused(prepare, *PREPARE, folder=folder)[0]


def test_a_damaged_file_is_one_line(folder: Path) -> None:
    path = write_params(folder, format="parquet")
    write(path, {"text": ["a"] * 100, "topic": ["a", "b"] * 50})
    good = path.read_bytes()
    for cut in (0, 4, 8, len(good) // 2, len(good) - 5):
        path.write_bytes(good[:cut])
        assert "cannot be read as Parquet" in refused(prepare, *PREPARE, folder=folder)[0]
        (folder / "new.parquet").write_bytes(good[:cut])
        refused(init, "new.parquet", "--no-ask", folder=folder)
