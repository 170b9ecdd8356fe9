"""YAML becomes plain data, as ruamel.yaml reads it, and never more than a machine holds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.core.yaml_reading import DEEPEST, MOST_BYTES, BadYamlError, YamlText, load_yaml

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["params.yaml", "dvc.yaml", "dvc.lock"])
def test_files_of_the_project_are_read_as_ruamel_reads_them(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert repr(load_yaml(text)) == repr(YAML(typ="safe").load(text))


PIECES = st.sampled_from(
    [
        *("a", "b", "1", "0x1F", "0o7", "010", "1_0", "1e5", "1e-05", ".5", "1.", ".inf", "yes"),
        *("true", "~", "null", "2024-01-01", "2001-12-14t21:59:43.10-05:00", "1:30", '"q\\u00e9"'),
        *("'it''s'", ": ", ", ", "- ", "? ", "[", "]", "{", "}", "\n", "\n  ", "\n    ", " ", "#c"),
        *(
            "&x ",
            "*x",
            "<<: ",
            "!!str ",
            "!!int ",
            "!!float ",
            "!!bool ",
            "!!null ",
            "! ",
            "| \n  ",
        ),
        *("> \n  ", "--- ", "... ", "%YAML 1.1\n---\n", "\t", "é", "=", "k: ", "l: ", "m: "),
    ]
)


@given(st.lists(PIECES, max_size=14).map("".join))
@settings(max_examples=300, deadline=None)
@pytest.mark.filterwarnings("ignore")
def test_any_text_is_read_as_ruamel_reads_it_or_refused(text: str) -> None:
    """Whatever is read is what ruamel.yaml reads; what it refuses may only be a lone ``=``."""
    try:
        ours = load_yaml(text)
    except BadYamlError:
        return
    try:
        expected = YAML(typ="safe").load(text)
    except YAMLError:
        assert "=" in text
        return
    assert repr(ours) == repr(expected)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
@settings(max_examples=100, deadline=None)
def test_what_ruamel_writes_is_read_back(value: Any) -> None:
    from io import StringIO

    text = StringIO()
    YAML(typ="safe").dump(value, text)
    assert load_yaml(text.getvalue()) == value


def test_merge_keys_give_way_to_what_a_mapping_has_itself() -> None:
    text = "a: &a {x: 1, y: 1}\nb: &b {<<: *a, y: 2}\nc:\n  z: 3\n  <<: [*b, *a, {w: 0}]\n  x: 4\n"
    parsed = YamlText(text)
    assert repr(parsed.data) == repr(YAML(typ="safe").load(text))
    assert parsed.line(("c", "x")) == 6
    assert parsed.line(("c", "y")) == 2


def test_lines_are_those_of_keys_and_of_items() -> None:
    parsed = YamlText("a:\n  b:\n    - 1\n    - c: 2\nd: 3\n")
    places: list[tuple[Any, ...]] = [(), ("a",), ("a", "b"), ("a", "b", 1), ("a", "b", 1, "c")]
    assert [parsed.line(place) for place in places] == [1, 1, 2, 4, 4]
    assert parsed.line(("d",)) == 5
    assert parsed.line(("a", "nowhere", "x")) == 1


BOMB = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
)
MERGE_BOMB = "a0: &a0 {x: 1}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}], k{n}: 1}}\n" for n in range(1, 10)
)
LONG_BOMB = f"a: &a {'x' * 100_000}\nb: [{', '.join(['*a'] * 1000)}]\n"


@pytest.mark.parametrize("text", [BOMB, MERGE_BOMB, LONG_BOMB], ids=["list", "merge", "long"])
def test_aliases_that_stand_for_too_much_are_refused(text: str) -> None:
    with pytest.raises(BadYamlError, match="aliases that stand for too much"):
        load_yaml(text)


def _block(depth: int) -> str:
    return "".join(f"{' ' * level}a:\n" for level in range(depth))


DEEP = {
    "flow": lambda depth: "[" * depth + "]" * depth,
    "maps": lambda depth: "{a: " * depth + "}" * depth,
    "unclosed": lambda depth: "[" * depth,
    "dashes": lambda depth: "- " * depth + "x",
    "keys": lambda depth: "? " * depth + "x",
}


@pytest.mark.parametrize("depth", [DEEPEST + 1, 20_000, 1_000_000])
@pytest.mark.parametrize("style", DEEP)
def test_deep_nesting_is_refused(style: str, depth: int) -> None:
    with pytest.raises(BadYamlError, match=f"nested more than {DEEPEST} deep|must be text"):
        load_yaml(DEEP[style](depth))


@pytest.mark.parametrize("depth", [DEEPEST + 2, 4000])
def test_deep_nesting_of_lines_is_refused(depth: int) -> None:
    with pytest.raises(BadYamlError, match=f"nested more than {DEEPEST} deep"):
        load_yaml(_block(depth))


def test_what_is_as_deep_as_it_may_be_is_read() -> None:
    assert load_yaml("[" * DEEPEST + "]" * DEEPEST)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: !!python/object/apply:os.system [id]", "tag .* is not one of plain data"),
        ("a: !!python/name:os.system x", "tag .* is not one of plain data"),
        ("a: !!binary aGk=", "tag .* is not one of plain data"),
        ("a: !!set {x, y}", "tag .* is not one of plain data"),
        ("a: !!omap [b: 1, b: 2]", "tag .* is not one of plain data"),
        ("a: !mine x", "tag .* is not one of plain data"),
        ("a: !!int ''", "'' is no int"),
        ("a: !!bool foo", "'foo' is no bool"),
        ("a: !!float x", "'x' is no float"),
        ("a: 2024-99-99", "'2024-99-99' is no timestamp"),
        (f"a: {'9' * 5000}", "int of more than 1000 characters"),
        (f"a: 0x{'f' * 5000}", "int of more than 1000 characters"),
        (f"a: {'9' * 5000}.0", "float of more than 1000 characters"),
        ("a: &x [*x]", "found undefined alias 'x'"),
        ("a: &x 1\nb: &x 2", "line 2: found duplicate anchor 'x'"),
        ("a: 1\na: 2", "line 2: found duplicate key 'a'"),
        ("<<: {a: 1}\n<<: {b: 1}", "found duplicate key '<<'"),
        ("<<: 3", "takes a mapping"),
        ("a: <<", "is a key, and no value"),
        ("1: a", "a key must be text"),
        ("[1]: a", "a key must be text"),
        ("? {a: 1}\n: 2", "a key must be text"),
        ("--- a\n--- b", "line 2: expected a single document"),
        ("a: \0", "unacceptable character"),
        ('a: "\\ud83d"', "line 1: "),
        (b"a: 1\nb: \xff", "line 2: not UTF-8 at byte 8"),
        ("a: 1".encode("utf-16"), "not UTF-8 at byte 0"),
        (b"\xed\xa0\xbd", "not UTF-8"),
        ("\ud83d", "not UTF-8"),
        (b"#" * (MOST_BYTES + 1), "more than 16 MiB"),
    ],
)
def test_what_is_not_plain_data_is_refused(text: str | bytes, problem: str) -> None:
    with pytest.raises(BadYamlError, match=problem) as caught:
        load_yaml(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_a_byte_order_mark_does_no_harm() -> None:
    assert load_yaml("\ufeffa: 1".encode()) == {"a": 1}


@pytest.mark.slow
@pytest.mark.parametrize("piece", ["[],", "{},", "a,", "[a: 1],"])
def test_reading_a_large_file_takes_bounded_memory(piece: str) -> None:
    """Whatever 16 MiB of YAML hold, they fit a process of 1 GB."""
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n"
        "from pipeline.core.yaml_reading import load_yaml\n"
        f"load_yaml('[' + '{piece}' * {MOST_BYTES // len(piece) - 1} + ']')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, timeout=60, capture_output=True, text=True
    )
    assert "too much data" in done.stderr.splitlines()[-1]
