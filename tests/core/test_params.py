"""``params.yaml`` is read strictly, and every error says where the fault is."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, ValidationError, model_validator

from pipeline.core.errors import ParameterError
from pipeline.core.params import ParamsFile, Section

Parse = Callable[[str], ParamsFile]


class Rates(Section):
    learning_rate: float = Field(gt=0)
    decay: float = 0.0


class Model(Section):
    name: str
    count: int
    flag: bool = False
    layers: tuple[int, ...] = ()
    rates: Rates = Rates(learning_rate=1.0)

    @model_validator(mode="after")
    def _name_is_not_taken(self) -> Model:
        if self.name == "taken":
            raise ValueError("The name is taken")
        return self


@pytest.fixture
def parse(tmp_path: Path) -> Parse:
    def parse_text(text: str) -> ParamsFile:
        path = tmp_path / "params.yaml"
        path.write_text(text, encoding="utf-8")
        return ParamsFile(path)

    return parse_text


ROW = "models:\n  small:\n    name: a\n    count: 1\n"


@pytest.mark.parametrize("written", ["1e-05", "1e-5", "1E-5", "0.00001", "1.0e-05", "+1e-5"])
def test_section_reads_exponents_as_numbers(parse: Parse, written: str):
    params = parse(f"{ROW}    rates: {{learning_rate: {written}}}\n")
    assert params.section(Model, "models", "small").rates.learning_rate == 1e-05


@pytest.mark.parametrize("word", ["no", "yes", "on", "off", "y", "n", "No"])
def test_section_reads_yaml_1_1_booleans_as_text(parse: Parse, word: str):
    params = parse(f"models:\n  small: {{name: {word}, count: 1}}\n")
    assert params.section(Model, "models", "small").name == word


def test_section_takes_whole_numbers_for_fractions_and_lists_for_tuples(parse: Parse):
    params = parse(f"{ROW}    layers: [4, -1]\n    rates: {{learning_rate: 1}}\n")
    model = params.section(Model, "models", "small")
    assert model.layers == (4, -1)
    assert model.rates == Rates(learning_rate=1.0)


def test_section_follows_anchors_and_merge_keys(parse: Parse):
    params = parse(
        "base: &base\n  name: a\n  count: &count 1\nmodels:\n"
        "  small:\n    <<: *base\n    name: b\n    layers: [*count]\n"
    )
    assert params.section(Model, "models", "small") == Model(name="b", count=1, layers=(1,))


def test_section_is_frozen(parse: Parse):
    model = parse(ROW).section(Model, "models", "small")
    with pytest.raises(ValidationError, match="frozen"):
        model.count = 2


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(categories=("L", "N", "P", "Zs")), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(data=st.dictionaries(st.text("abc", min_size=1, max_size=3), PLAIN, max_size=3))
@settings(max_examples=50, deadline=None)
def test_data_is_plain_and_equal_to_what_json_wrote(
    tmp_path_factory: pytest.TempPathFactory, data: dict[str, object]
):
    path = tmp_path_factory.mktemp("params") / "params.yaml"
    path.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
    assert repr(ParamsFile(path).data) == repr(data)


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ("name: a\n    count: x", r'yaml:4: models\.small\.count: .*valid integer, not "x"$'),
        ("name: a\n    count: '1'", r'yaml:4: models\.small\.count: .*valid integer, not "1"$'),
        ("name: a\n    count: 1.0", r"yaml:4: models\.small\.count: .*valid integer, not 1\.0$"),
        ("name: a\n    count: true", r"yaml:4: models\.small\.count: .*valid integer, not true$"),
        ("count: 1\n    name: 5", r"yaml:4: models\.small\.name: .*valid string, not 5$"),
        ("count: 1\n    name: null", r"yaml:4: models\.small\.name: .*valid string, not null$"),
        ("count: 1\n    name: true", r"yaml:4: models\.small\.name: .*valid string, not true$"),
        (
            "name: a\n    count: 1\n    flag: 1",
            r"yaml:5: models\.small\.flag: .*valid boolean, not 1$",
        ),
        (
            "name: a\n    count: 1\n    flag: 'true'",
            r'yaml:5: models\.small\.flag: .*valid boolean, not "true"$',
        ),
        (
            "name: a\n    count: 1\n    layers:\n    - 1\n    - x",
            r'yaml:7: models\.small\.layers\.1: .*valid integer, not "x"$',
        ),
        (
            "name: a\n    count: 1\n    rates:\n      learning_rate: 0",
            r"yaml:6: models\.small\.rates\.learning_rate: .*greater than 0, not 0$",
        ),
    ],
)
def test_section_rejects_other_types_naming_line_field_and_value(
    parse: Parse, row: str, error: str
):
    with pytest.raises(ParameterError, match=error):
        parse(f"models:\n  small:\n    {row}\n").section(Model, "models", "small")


@pytest.mark.parametrize("number", [".nan", ".inf", "-.inf", ".NaN", ".Inf"])
def test_section_rejects_numbers_that_are_not_finite(parse: Parse, number: str):
    params = parse(f"{ROW}    rates: {{learning_rate: 1, decay: {number}}}\n")
    with pytest.raises(ParameterError, match=r"yaml:5: models\.small\.rates\.decay: .*finite"):
        params.section(Model, "models", "small")


def test_section_rejects_unknown_key_and_suggests_the_nearest(parse: Parse):
    with pytest.raises(
        ParameterError, match=r"yaml:5: models\.small\.layer: unknown key; did you mean 'layers'\?$"
    ):
        parse(f"{ROW}    layer: [1]\n").section(Model, "models", "small")


def test_section_rejects_unknown_nested_key_and_suggests_the_nearest(parse: Parse):
    params = parse(f"{ROW}    rates:\n      learning_rate: 1\n      decoy: 1\n")
    with pytest.raises(
        ParameterError, match=r"yaml:7: models\.small\.rates\.decoy: .* did you mean 'decay'\?$"
    ):
        params.section(Model, "models", "small")


def test_section_lists_the_known_keys_where_none_is_near(parse: Parse):
    with pytest.raises(
        ParameterError, match=r"unknown key; known here: name, count, flag, layers, rates$"
    ):
        parse(f"{ROW}    zzz: 1\n").section(Model, "models", "small")


def test_section_rejects_missing_key_at_the_line_of_its_parent(parse: Parse):
    with pytest.raises(ParameterError, match=r"yaml:2: models\.small\.count: missing"):
        parse("models:\n  small:\n    name: a\n").section(Model, "models", "small")


def test_section_says_how_many_problems_follow_the_first(parse: Parse):
    with pytest.raises(ParameterError, match=r"yaml:3: models\.small\.name: .*\(and 1 more\)$"):
        parse("models:\n  small:\n    name: 1\n    count: x\n").section(Model, "models", "small")


def test_section_gives_the_text_of_a_rule_as_written(parse: Parse):
    with pytest.raises(ParameterError, match=r"yaml:2: models\.small: the name is taken$"):
        parse("models:\n  small: {name: taken, count: 1}\n").section(Model, "models", "small")


def test_section_rejects_unknown_row_and_suggests_the_nearest(parse: Parse):
    with pytest.raises(
        ParameterError, match=r"yaml:1: models: has no row 'smal'; did you mean 'small'\?$"
    ):
        parse(ROW).section(Model, "models", "smal")


def test_section_rejects_absent_table(parse: Parse):
    with pytest.raises(ParameterError, match=r"yaml:1: has no row 'heads'$"):
        parse(ROW).section(Model, "heads", "small")


@pytest.mark.parametrize("value", ["3", "[1]", "null", "text"])
def test_section_rejects_a_row_that_is_not_a_mapping(parse: Parse, value: str):
    with pytest.raises(ParameterError, match=r"yaml:2: models\.small: must be a mapping, not "):
        parse(f"models:\n  small: {value}\n").section(Model, "models", "small")


def test_errors_are_one_line_and_shorten_long_values(parse: Parse):
    params = parse(f"models:\n  small:\n    name: a\n    count: {'x' * 500}\n")
    with pytest.raises(ParameterError) as caught:
        params.section(Model, "models", "small")
    message = str(caught.value).removeprefix(str(params.path))
    assert "\n" not in message
    assert message.endswith("xxx...")
    assert len(message) < 150


def test_table_gives_the_rows_by_name(parse: Parse):
    assert parse(ROW).table("models") == {"small": {"name": "a", "count": 1}}
    assert parse("models: {}\n").table("models") == {}


@pytest.mark.parametrize("name", ["a", "a1", "a_b", "tweet_entities_2"])
def test_table_allows_lower_case_row_names(parse: Parse, name: str):
    assert list(parse(f"models:\n  {name}: {{}}\n").table("models")) == [name]


@pytest.mark.parametrize(
    "name", ["Small", "1a", "_a", "a-b", "a.b", "a b", "é", '""', "../a", '"a\\n"']
)
def test_table_rejects_other_row_names_at_their_line(parse: Parse, name: str):
    with pytest.raises(ParameterError, match=r"(?s)yaml:3: models\..*: a row's name is lower-case"):
        parse(f"models:\n  good: {{}}\n  {name}: {{}}\n").table("models")


@pytest.mark.parametrize("text", ["models:\n", "models: []\n", "models: 3\n", "other: {}\n"])
def test_table_rejects_what_is_not_a_mapping(parse: Parse, text: str):
    with pytest.raises(ParameterError, match=r"yaml:1: models: must be a mapping of rows"):
        parse(text).table("models")


def test_file_rejects_duplicate_keys_at_the_second(parse: Parse):
    with pytest.raises(ParameterError, match=r"yaml:5: not valid YAML: found duplicate key"):
        parse(f"{ROW}    count: 2\n")


@pytest.mark.parametrize(
    ("text", "line"),
    [("a: 1\nb: c: d\n", 2), ("a: *nowhere\n", 1), ("a: 1\n\tb: 1\n", 2), ("a: 1\n---\nb: 1", 2)],
)
def test_file_rejects_bad_yaml_with_its_line(parse: Parse, text: str, line: int):
    with pytest.raises(ParameterError, match=rf"yaml:{line}: not valid YAML: ") as caught:
        parse(text)
    assert "\n" not in str(caught.value)


def test_file_rejects_control_characters(parse: Parse):
    with pytest.raises(ParameterError, match="not valid YAML: unacceptable character") as caught:
        parse("a: \x07\n")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "# nothing\n", "- 1\n", "text\n", "3\n"])
def test_file_rejects_what_is_not_a_mapping(parse: Parse, text: str):
    with pytest.raises(ParameterError, match="the file must be a mapping of sections"):
        parse(text)


def test_file_rejects_bytes_that_are_not_utf_8(tmp_path: Path):
    path = tmp_path / "params.yaml"
    path.write_bytes("a: é\n".encode("latin-1"))
    with pytest.raises(ParameterError, match="not UTF-8 at byte 3"):
        ParamsFile(path)


def test_file_rejects_a_path_without_a_file(tmp_path: Path):
    with pytest.raises(ParameterError, match=r"absent\.yaml: no such file"):
        ParamsFile(tmp_path / "absent.yaml")


def test_nan_is_a_number_to_yaml(parse: Parse):
    """Otherwise the refusal of NaN would be one of text."""
    assert math.isnan(parse("a: .nan\n").data["a"])


def test_section_explains_a_misspelt_required_key_as_unknown(tmp_path: Path) -> None:
    class Row(Section):
        gradient_clip: float

    path = tmp_path / "params.yaml"
    path.write_text("rows:\n  one:\n    gradient_clipp: 1.0\n", encoding="utf-8")
    with pytest.raises(ParameterError, match="did you mean 'gradient_clip'") as caught:
        ParamsFile(path).section(Row, "rows", "one")
    assert ":3: rows.one.gradient_clipp: unknown key" in str(caught.value)


def test_section_reads_an_anchored_boolean(tmp_path: Path) -> None:
    class Row(Section):
        one: bool
        two: bool

    path = tmp_path / "params.yaml"
    path.write_text("row: {one: &flag true, two: *flag}\n", encoding="utf-8")
    assert ParamsFile(path).section(Row, "row") == Row(one=True, two=True)


@pytest.mark.parametrize("key", ["2001-01-01", "[1, 2]", "1"])
def test_keys_that_are_not_text_are_rejected(tmp_path: Path, key: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(f"row:\n  ? {key}\n  : 3\n", encoding="utf-8")
    with pytest.raises(ParameterError, match="a key must be text"):
        ParamsFile(path)


def test_a_folder_is_no_params_file(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="cannot be read"):
        ParamsFile(tmp_path)


def test_errors_are_one_line_whatever_a_name_holds(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text('rows:\n  "a\\nb": {}\n', encoding="utf-8")
    with pytest.raises(ParameterError) as caught:
        ParamsFile(path).table("rows")
    assert "\n" not in str(caught.value)
