"""Rows are added to params.yaml, and nothing else in it changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from import_graph import ROOT
from ruamel.yaml import YAML

from pipeline.core.errors import ParameterError
from pipeline.setup.params_editing import add_rows, set_values

DEFAULT = (ROOT / "tests" / "params.yaml").read_text(encoding="utf-8")
ROW: dict[str, Any] = {
    "path": "data/raw/x",
    "id": None,
    "labels": {"topic": "class", "no": "number"},
    "layers": [4, -1],
    "split": {"files": {"train": "a", "dev": "b"}},
}


def load(text: str) -> Any:
    return YAML(typ="safe").load(text)


def added(folder: Path, text: str, tables: dict[str, dict[str, Any]]) -> str:
    path = folder / "params.yaml"
    path.write_text(text, encoding="utf-8")
    add_rows(path, tables)
    return path.read_text(encoding="utf-8")


def test_every_line_of_the_default_file_stays_and_rows_come_last_in_their_tables(tmp_path: Path):
    tables = {"corpora": {"mine": ROW}, "features": {"mine": ROW}, "heads": {"a": ROW, "b": ROW}}
    after = added(tmp_path, DEFAULT, tables)
    lines = iter(after.splitlines())
    assert all(line in lines for line in DEFAULT.splitlines()), "a line changed, or moved"
    data = load(after)
    assert data == {name: {**rows, **tables.get(name, {})} for name, rows in load(DEFAULT).items()}
    assert list(data["heads"])[-2:] == ["a", "b"]
    comment = "# A corpus as an encoder reads it"
    assert after.index("  mine:\n") < after.index(comment) < after.index("features:\n")


def test_rows_are_written_as_people_write_them(tmp_path: Path):
    assert added(tmp_path, "corpora: {}\nheads: {}\n", {"corpora": {"mine": ROW}}) == (
        "corpora:\n"
        "  mine:\n"
        "    path: data/raw/x\n"
        "    id: null\n"
        "    labels: {topic: class, no: number}\n"
        "    layers: [4, -1]\n"
        "    split:\n"
        "      files: {train: a, dev: b}\n"
        "heads: {}\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        "corpora:\n  a: {x: 1}",
        "corpora:\n    a:\n        x: |\n            text\n\n# end\n",
        "corpora: {a: {x: 1}}\n",
        '{"corpora": {"a": {"x": 1}}}',
        "corpora: {} # none yet\n",
        "corpora:\n  a:\n  - 1\n  -\n    - 2\n# end",
        "base: &base {x: 1}\ncorpora:\n  a: *base\n\n\n  # last\n",
        "corpora:\n  a: 'x: # y'\n  b: null\n",
        "corpora:\n  a:\n",
    ],
)
def test_tables_may_be_laid_out_in_any_way(tmp_path: Path, text: str):
    after = load(added(tmp_path, text, {"corpora": {"mine": ROW}}))
    before = load(text)
    assert after == {**before, "corpora": {**before["corpora"], "mine": ROW}}


names = st.from_regex(r"[a-z][a-z0-9_]{0,3}", fullmatch=True)
scalars = st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8"))
values = scalars | st.lists(scalars, max_size=3) | st.dictionaries(st.text("ab#: '\n"), scalars)


@given(st.dictionaries(names, st.dictionaries(names, values, max_size=3), min_size=1, max_size=3))
@settings(max_examples=40, deadline=None)
def test_whatever_a_row_holds_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: dict[str, Any]
):
    folder = tmp_path_factory.mktemp("params")
    rows = {f"new_{name}": row for name, row in rows.items()}
    after = added(folder, "corpora:\n  a: {x: 1}\n# end\n", {"corpora": rows})
    assert load(after) == {"corpora": {"a": {"x": 1}, **rows}}
    assert after.endswith("\n# end\n")


def test_a_row_that_is_there_is_not_replaced(tmp_path: Path):
    with pytest.raises(ParameterError, match=r"corpora\.news: there is such a row already"):
        added(tmp_path, DEFAULT, {"corpora": {"news": ROW}})
    assert (tmp_path / "params.yaml").read_text(encoding="utf-8") == DEFAULT


def test_a_table_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(ParameterError, match="corpora: must be a mapping of rows"):
        added(tmp_path, "heads: {}\n", {"corpora": {"mine": ROW}})


CHANGES: dict[str, Any] = {
    "recurrent.hidden_size": 64,
    "training.learning_rate": 1e-05,
    "layers": [4, -1],
    "training.class_weights": "balanced",
    "recurrent.locked_dropout": True,
}


def changed(folder: Path, text: str, row: str, values: dict[str, Any]) -> str:
    path = folder / "params.yaml"
    path.write_text(text, encoding="utf-8")
    set_values(path, ("heads", row), values)
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("row", ["news_topic", "tweet_entities"])
def test_values_change_in_their_place_and_nothing_else_does(tmp_path: Path, row: str):
    after = changed(tmp_path, DEFAULT, row, CHANGES)
    expected = load(DEFAULT)
    head = expected["heads"][row]
    for path, value in CHANGES.items():
        *parents, last = path.split(".")
        node = head
        for key in parents:
            node = node[key]
        node[last] = value
    assert load(after) == expected
    before = [line.split(":")[0].strip() for line in DEFAULT.splitlines()]
    names = [line.split(":")[0].strip() for line in after.splitlines()]
    assert [name for name in names if name in before] == before
    assert after.count("#") == DEFAULT.count("#")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("heads:\n  a: {n: 1, m: 2} # why\n", "heads:\n  a: {n: 7, m: 2} # why\n"),
        ("heads:\n  a: {m: 2}\n", "heads:\n  a: {m: 2, n: 7}\n"),
        (
            "heads:\n  a:\n    m: 2 # two\n# end\n",
            "heads:\n  a:\n    m: 2 # two\n    n: 7\n# end\n",
        ),
        (
            "heads:\n  a:\n    n:\n    - 4\n    - 5\n    m: 2\n",
            "heads:\n  a:\n    n: 7\n    m: 2\n",
        ),
        ("heads:\n  a:\n    n: [1,\n      2]\n", "heads:\n  a:\n    n: 7\n"),
        ("heads:\n  a:\n    n: 1", "heads:\n  a:\n    n: 7"),
    ],
)
def test_a_value_may_be_laid_out_in_any_way(tmp_path: Path, text: str, expected: str):
    assert changed(tmp_path, text, "a", {"n": 7}) == expected


@pytest.mark.parametrize(
    "text",
    [
        "heads:\n  a:\n    n:\n    m: 2\n",
        "heads:\n  a:\n    n:\n    - 4 # four\n    - 5\n    m: 2\n",
        "heads:\n  a: {}\n",
        "heads: {a: {n: [1, 2]}, b: &x {n: 1}, c: *x}\n",
    ],
)
def test_a_layout_of_its_own_is_read_back_all_the_same(tmp_path: Path, text: str):
    expected = load(text)
    expected["heads"]["a"] = {**expected["heads"]["a"], "n": [7, None]}
    assert load(changed(tmp_path, text, "a", {"n": [7, None]})) == expected


@pytest.mark.parametrize(
    "text",
    [
        "heads: {a: &x {n: 1}, b: *x}\n",
        "heads: {b: &x {n: 1}, a: *x}\n",
        "heads:\n  b: &x\n    t: {n: 1}\n  a:\n    <<: *x\n    m: 2\n",
    ],
)
def test_no_other_row_changes_with_it(tmp_path: Path, text: str):
    path = "t.n" if "<<" in text else "n"
    with pytest.raises(ParameterError, match=r"heads\.a: shares values with another row"):
        changed(tmp_path, text, "a", {path: 7})
    assert (tmp_path / "params.yaml").read_text(encoding="utf-8") == text


def test_a_row_that_is_not_there_is_not_made(tmp_path: Path):
    with pytest.raises(ParameterError, match=r"heads\.b: there is no such row to change"):
        changed(tmp_path, "heads:\n  a: {n: 1}\n", "b", {"n": 7})
