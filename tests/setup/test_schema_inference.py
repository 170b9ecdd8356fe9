"""What files seem to be, from their first rows."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import DataError
from pipeline.setup.preview import FilePreview, preview_file, split_named
from pipeline.setup.schema_inference import InferredSchema, infer_schema

LONG = "a text of several words, number"
TABLE = "id,split,V,topic,text\n" + "".join(
    f"r{n},{('train', 'dev', 'test')[n % 3]},{n / 7:.2f},{'xy'[n % 2]},{LONG} {n}\n"
    for n in range(30)
)
CONLL = "".join(f"w{n}\tNN\tB-x\nage\tNN\tI-x\nnow\tRB\tO\n\n" for n in range(30))


def seen(folder: Path, files: dict[str, str | bytes]) -> FilePreview:
    """Looks at one file, or at the folder if there are several."""
    for name, content in files.items():
        path = folder / "raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return preview_file(folder / "raw" / (next(iter(files)) if len(files) == 1 else ""))


def jsonl(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize(
    ("name", "content", "expected", "settings"),
    [
        ("a.csv", TABLE, "csv", {}),
        ("a.csv.gz", gzip.compress(TABLE.encode()), "csv", {}),
        ("a.csv", TABLE.replace(", number", "").replace(",", ";"), "csv", {"delimiter": ";"}),
        ("a.csv", TABLE.replace("a text", "é").encode("cp1252"), "csv", {"encoding": "cp1252"}),
        ("a.csv", TABLE.encode("utf-16"), "csv", {"encoding": "utf-16"}),
        ("a.tsv", 'a\tb\n"x\t1\ny\t2\n', "tsv", {}),
        ("a.tsv", 'a\tb\n"x\ty"\t1\nz\t2\n', "tsv", {"quoted": True}),
        ("a", jsonl({"a": "b"}), "jsonl", {}),
        ("a.json", jsonl({"a": "b"}), "jsonl", {}),
        ("a.txt", "a\tb\nx\t1\n", "tsv", {}),
        ("a.conll", CONLL, "conll", {"columns": ["column_1", "column_2", "column_3"]}),
        (
            "a.txt",
            "-DOCSTART- O\n\n# id 1\n#a O\nb O\n\n",
            "conll",
            {"columns": ["column_1", "column_2"], "skip_lines": ["-DOCSTART-", "# "]},
        ),
        ("a", "1\tx\tx\tN\tN\t_\t0\troot\t_\t_\n\n", "conllu", {}),
    ],
)
def test_formats_are_told_by_name_and_content(
    tmp_path: Path, name: str, content: str | bytes, expected: str, settings: dict[str, Any]
):
    found = seen(tmp_path, {name: content})
    assert found.format == expected
    if expected != "csv" or ", number" not in str(content):
        assert found.settings == settings


def test_texts_with_the_delimiter_are_no_cells(tmp_path: Path):
    quoted = TABLE.replace(LONG, f'"{LONG}').replace("\nr", '"\nr').rstrip("\n") + '"\n'
    quoted = quoted.replace('text"\n', "text\n")
    found = seen(tmp_path, {"a.csv": quoted})
    assert found.settings == {}
    assert infer_schema(found) == InferredSchema(
        id="id",
        text="text",
        labels={"V": "number", "topic": "class"},
        split_column="split",
        split_names={"train": "train", "dev": "dev", "test": "test"},
    )


def test_columns_of_conll_are_words_and_tags(tmp_path: Path):
    found = infer_schema(seen(tmp_path, {"a.conll": CONLL}))
    assert found.words == "column_1"
    assert found.labels == {"column_2": "tags", "column_3": "iob2"}


@pytest.mark.parametrize(
    ("tags", "kind"),
    [
        (["B-x", "I-x", "B-x"], "iob2"),
        (["B-x", "E-x", "S-x"], "bioes"),
        (["I-x", "I-x", "B-x"], "iob1"),
        (["B-x", "I-y", "O"], "iob2"),  # broken, and nearest to iob2
        (["NN", "VB", "O"], "tags"),
        (["B-x", "NN", "O"], "tags"),
    ],
)
def test_schemes_of_tags_are_told_from_sequences(tmp_path: Path, tags: list[str], kind: str):
    rows = [{"tokens": [f"a{n}", f"b{n}", "c"], "ner": tags} for n in range(5)]
    found = infer_schema(seen(tmp_path, {"a.jsonl": jsonl(*rows)}))
    assert (found.words, found.labels) == ("tokens", {"ner": kind})


def test_json_has_classes_numbers_and_pairs(tmp_path: Path):
    rows = [
        {
            "uid": n,
            "premise": f"{LONG} {n}",
            "hypothesis": f"{LONG} {n + 1}",
            "gold": "yes" if n % 2 else "no",
            "stars": n % 5,
            "score": n / 2,
            "all": ["a", "b"][: n % 3],
            "note": None,
        }
        for n in range(40)
    ]
    found = infer_schema(seen(tmp_path, {"a.jsonl": jsonl(*rows)}))
    assert (found.id, found.text, found.text_b) == ("uid", "premise", "hypothesis")
    assert found.labels == {"gold": "class", "stars": "class", "score": "number", "all": "classes"}


def test_folders_hold_files_of_splits_parallel_lines_or_classes(tmp_path: Path):
    found = seen(tmp_path / "a", {"my.train": CONLL, "my.testa.dev": CONLL, "test.x": CONLL})
    assert found.format == "conll"
    assert found.files == {"train": "my.train", "dev": "my.testa.dev", "test": "test.x"}

    parallel = {
        f"{split}/{name}": "a b\n" for split in ("train", "valid") for name in ("in", "out")
    }
    found = seen(tmp_path / "b", dict(parallel))
    assert (found.format, found.files) == ("lines", {"train": "train", "dev": "valid"})

    classes = {f"{name}/{n}.txt": LONG for name in ("pos", "neg") for n in range(3)}
    found = seen(tmp_path / "c", dict(classes))
    assert (found.format, found.files) == ("folder", {})
    assert infer_schema(found) == InferredSchema(text="text", labels={"label": "class"})


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"),
        ("wnut17train.conll", "train"),
        ("emerging.dev.conll", "dev"),
        ("Validation.csv", "dev"),
        ("eng.testb", "test"),
        ("latest.csv", "test"),
        ("SOURCE.txt", None),
        ("x", None),
    ],
)
def test_names_speak_of_splits(name: str, split: str | None):
    assert split_named(name) == split


def test_what_shows_nothing_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="no such file or folder"):
        preview_file(tmp_path / "absent")
    with pytest.raises(DataError, match="shows no rows of format csv; name another with --format"):
        seen(tmp_path, {"a.csv": ""})
    with pytest.raises(DataError, match="no file in it is named after a split"):
        seen(tmp_path / "b", {"x.csv": TABLE, "y.csv": "a,b\n"})
