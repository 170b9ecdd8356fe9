"""Parquet and Hugging Face data sets; the real libraries are used where they are installed."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner
from example_settings import JSONL, corpus_settings

from pipeline.core.errors import DataError
from pipeline.ingest.formats import RawCorpus, read_examples
from pipeline.ingest.hub_features import class_names, features_of, named
from pipeline.setup.preview import preview_file
from stages.fetch import main

FEATURES = {
    "text": {"dtype": "string", "_type": "Value"},
    "topic": {"names": ["x", "y"], "_type": "ClassLabel"},
    "tags": {"feature": {"names": ["O", "B-x"], "_type": "ClassLabel"}, "_type": "Sequence"},
    "deep": {"feature": {"feature": {"names": ["a"], "_type": "ClassLabel"}}, "_type": "List"},
}
COMMIT = "0123456789abcdef0123456789abcdef01234567"
has_pyarrow = pytest.mark.skipif(
    importlib.util.find_spec("pyarrow") is None, reason="pyarrow is an extra"
)
has_datasets = pytest.mark.skipif(
    importlib.util.find_spec("datasets") is None, reason="datasets is an extra"
)


def test_classes_and_lists_of_them_have_names():
    assert class_names(FEATURES) == {"topic": ["x", "y"], "tags": ["O", "B-x"], "deep": ["a"]}


def test_numbers_of_classes_become_names():
    assert named(1, ["x", "y"]) == "y"
    assert named([0, [1]], ["x", "y"]) == ["x", ["y"]]
    assert named(-1, ["x", "y"]) is None  # no class
    assert named(7, ["x", "y"]) == 7
    assert named("x", ["x", "y"]) == "x"
    assert named(True, ["x", "y"]) is True


def test_features_are_read_from_the_metadata_of_datasets_only():
    metadata = {b"huggingface": json.dumps({"info": {"features": FEATURES}}).encode()}
    assert features_of(metadata) == FEATURES
    for other in (None, {}, {b"huggingface": b"{"}, {b"huggingface": b'{"info": []}'}):
        assert features_of(other) == {}


@pytest.mark.parametrize(("module", "extra"), [("pyarrow", "parquet")])
def test_parquet_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, extra: str
):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, f"{module}.parquet", None)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=rf"needs pyarrow: pip install 'icehouse\[{extra}\]'"):
        read_examples(tmp_path / "a.parquet", corpus_settings(JSONL, format="parquet"))
    with pytest.raises(DataError, match=r"needs pyarrow"):
        preview_file(tmp_path / "a.parquet")


class Features(dict[str, Any]):
    def to_dict(self) -> dict[str, Any]:
        return dict(self)


class Rows(list[dict[str, Any]]):
    """As much of ``datasets.Dataset`` as is used."""

    features = Features(FEATURES)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Stands in for ``datasets``; collects what the Hub is asked for."""
    calls: list[tuple[Any, ...]] = []
    fake = ModuleType("datasets")

    def load_dataset(name: str, config: str | None, *, revision: str) -> dict[str, Rows]:
        calls.append((name, config, revision))
        if name == "nobody/nothing":
            raise ValueError("there is no such data set\nand more")
        if name == "nobody/images":
            return {"train": Rows([{"image": object()}])}
        row = {"text": "é", "topic": 1, "tags": [0, 1], "deep": [[0]]}
        return {"train": Rows([row, row]), "validation": Rows([row])}

    fake.load_dataset = load_dataset  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", fake)
    return calls


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    return result.exit_code, result.output


def test_a_data_set_becomes_a_file_per_split(tmp_path: Path, asked: list[tuple[Any, ...]]):
    out = tmp_path / "raw" / "set"
    code, output = run("some/set", "--revision", COMMIT, "--config", "c", "--out", str(out))
    assert code == 0, output
    assert asked == [("some/set", "c", COMMIT)]
    assert (out / "train.jsonl").read_text(encoding="utf-8") == (
        '{"text": "é", "topic": "y", "tags": ["O", "B-x"], "deep": [["a"]]}\n' * 2
    )
    assert sorted(path.name for path in out.iterdir()) == ["train.jsonl", "validation.jsonl"]
    assert f"{out / 'train.jsonl'}: 2 rows" in output
    assert preview_file(out).files == {"train": "train.jsonl", "dev": "validation.jsonl"}


@pytest.mark.parametrize("revision", [(), ("--revision", "main"), ("--revision", COMMIT[:7])])
def test_a_data_set_on_the_hub_is_pinned_to_a_commit(
    tmp_path: Path, asked: list[tuple[Any, ...]], revision: tuple[str, ...]
):
    code, output = run("some/set", *revision, "--out", str(tmp_path / "set"))
    assert (code, asked) == (2, [])
    assert output.startswith("error: some/set: a data set on the Hub needs a commit")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nobody/nothing", "error: nobody/nothing: cannot be had: there is no such data set\n"),
        ("nobody/images", "error: nobody/images: holds what JSON cannot: "),
    ],
)
def test_what_cannot_be_had_leaves_nothing(
    tmp_path: Path, asked: list[tuple[Any, ...]], source: str, message: str
):
    code, output = run(source, "--revision", COMMIT, "--out", str(tmp_path / "set"))
    assert code == 2
    assert message in output
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_not_overwritten(tmp_path: Path, asked: list[tuple[Any, ...]]):
    code, output = run("some/set", "--revision", COMMIT, "--out", str(tmp_path))
    assert (code, asked) == (2, [])
    assert "is there already" in output


def test_the_library_is_asked_for_where_it_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    code, output = run("some/set", "--revision", COMMIT, "--out", str(tmp_path / "set"))
    assert code == 2
    assert "pip install 'icehouse[hub]'" in output


@has_pyarrow
def test_parquet_is_read_with_its_classes(tmp_path: Path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    metadata = {b"huggingface": json.dumps({"info": {"features": FEATURES}}).encode()}
    columns = {"text": ["ice", "snow\u2028"], "topic": [1, 0], "tags": [[0], [1, 0]]}
    table = pa.table(columns).replace_schema_metadata(metadata)
    path = tmp_path / "a.parquet"
    pq.write_table(table, path)
    told: list[int] = []
    settings = corpus_settings(JSONL, format="parquet", id=None)
    rows = list(RawCorpus(path, settings, told.append))
    assert [(row.id, row.text, row.labels["topic"], row.line) for row in rows] == [
        ("1", "ice", "y", 1),
        ("2", "snow\u2028", "x", 2),
    ]
    assert sum(told) == path.stat().st_size
    assert preview_file(path).values["tags"] == [["O"], ["B-x", "O"]]


@has_pyarrow
def test_parquet_that_is_none_or_lacks_a_column_is_a_problem(tmp_path: Path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "a.parquet"
    for content, message in ((b"PAR1", "cannot be read as Parquet: "), (None, "no column 'topic'")):
        if content is None:
            pq.write_table(pa.table({"id": [1], "text": ["a"]}), path)
        else:
            path.write_bytes(content)
        corpus = RawCorpus(path, corpus_settings(JSONL, format="parquet"))
        assert list(corpus) == []
        (problem,) = corpus.problems.lines()
        assert message in problem


@has_datasets
@pytest.mark.filterwarnings("ignore")  # what datasets and dill have to say to each other
def test_a_data_set_on_disk_is_read_by_the_real_library(tmp_path: Path):
    import datasets
    import pyarrow as pa

    features = datasets.Features(
        {"text": datasets.Value("string"), "topic": datasets.ClassLabel(names=["x", "y"])}
    )
    table = pa.table({"text": ["a", "b"], "topic": [1, 0]}).cast(features.arrow_schema)
    # A fingerprint of our own: the library's pickles pyarrow, which some versions refuse.
    whole = datasets.Dataset(datasets.table.InMemoryTable(table), fingerprint="0" * 16)
    datasets.DatasetDict({"train": whole}).save_to_disk(str(tmp_path / "saved"))
    code, output = run(str(tmp_path / "saved"), "--out", str(tmp_path / "set"))
    assert code == 0, output
    assert (tmp_path / "set" / "train.jsonl").read_text(encoding="utf-8") == (
        '{"text": "a", "topic": "y"}\n{"text": "b", "topic": "x"}\n'
    )
