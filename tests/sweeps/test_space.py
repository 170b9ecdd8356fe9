"""What a trial may be: drawn as Optuna draws, written as params.yaml has it."""

from __future__ import annotations

import json
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pipelines import head_settings

from pipeline.core.params import ParamsFile
from pipeline.sweeps.settings import Dimension
from pipeline.sweeps.space import (
    decoded,
    distributions,
    encoded,
    options,
    pairs,
    trial_settings,
    value_at,
    with_values,
    without,
)

ROW = head_settings("token_classification").model_dump(mode="json")

optuna.logging.set_verbosity(optuna.logging.ERROR)


def dimension(**values: Any) -> Dimension:
    return Dimension.model_validate_json(json.dumps(values))


ranges = st.one_of(
    st.builds(
        lambda low, more, step: dimension(low=low, high=low + more, step=step),
        st.integers(-50, 50),
        st.integers(1, 90),
        st.none() | st.integers(1, 7),
    ),
    st.builds(
        lambda low, more, log: dimension(low=low, high=low * more, log=log),
        st.floats(1e-6, 1.0),
        st.floats(1.01, 1000.0),
        st.booleans(),
    ),
    st.builds(
        lambda low, steps, step: dimension(low=low, high=low + steps * step + step / 3, step=step),
        st.sampled_from([0.0, 0.1, 0.25]),
        st.integers(1, 9),
        st.sampled_from([0.05, 0.1, 0.125]),
    ),
)
dimensions = st.one_of(
    ranges,
    st.lists(st.sampled_from([None, True, False, 1, 2, 0.5, "gru", [1, 2]]), min_size=1).map(
        lambda choices: dimension(
            choices=list({json.dumps(choice): choice for choice in choices}.values())
        )
    ),
    st.lists(st.integers(-3, 9), min_size=1, max_size=4, unique=True).map(
        lambda layers: dimension(subsets=layers)
    ),
)


@given(
    space=st.dictionaries(st.sampled_from("abcd"), dimensions, min_size=1), seed=st.integers(0, 99)
)
def test_what_is_drawn_is_in_the_space_and_can_be_put_back(
    space: dict[str, Dimension], seed: int
) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    drawn = study.ask(distributions(space)).params
    values = decoded(space, drawn)
    assert list(values) == list(space)
    for path, value in values.items():
        one = space[path]
        if one.low is not None and one.high is not None:
            assert one.low <= value <= one.high
            assert isinstance(value, int) == one.whole
        else:
            assert value in options(one)
    again = encoded(space, values)
    assert again is not None
    assert decoded(space, again) == values
    assert json.loads(json.dumps(values)) == values


def test_numbers_have_four_digits_and_stay_between_the_ends() -> None:
    space = {"rate": dimension(low=0.00012345, high=0.1, log=True)}
    assert decoded(space, {"rate": 0.0123456789}) == {"rate": 0.01235}
    assert decoded(space, {"rate": 0.00012346}) == {"rate": 0.0001235}
    assert decoded(space, {"rate": 0.000123451}) == {"rate": 0.0001235}
    assert decoded(space, {"rate": 0.00012345})["rate"] >= 0.00012345


def test_subsets_come_by_size_in_the_given_order() -> None:
    assert options(dimension(subsets=[4, 2, -1], sizes=[2, 1])) == [
        *([4], [2], [-1]),
        *([4, 2], [4, -1], [2, -1]),
    ]
    assert len(options(dimension(subsets=[1, 2, 3]))) == 7


@pytest.mark.parametrize(
    ("value", "held"),
    [(16, True), (24, True), (17, False), (8, False), (True, False), ("16", False)],
)
def test_a_value_outside_of_the_space_has_no_parameters(value: Any, held: bool) -> None:
    space = {"size": dimension(low=16, high=40, step=8)}
    assert (encoded(space, {"size": value}) is not None) == held


def test_a_setting_that_all_share_is_not_drawn_and_may_be_anything() -> None:
    space = {"epochs": dimension(choices=[4]), "size": dimension(choices=[1, 2])}
    assert list(distributions(space)) == ["size"]
    assert encoded(space, {"epochs": 7, "size": 2}) == {"size": "2"}
    assert decoded(space, {"size": "2"}) == {"epochs": 4, "size": 2}


def test_values_go_into_a_row_and_the_row_stays() -> None:
    before = json.dumps(ROW)
    changed = with_values(ROW, {"recurrent.hidden_size": 5, "layers": [2]})
    assert changed["recurrent"]["hidden_size"] == 5
    assert value_at(changed, "layers") == [2]
    assert json.dumps(ROW) == before
    rest = without(changed, ["recurrent.hidden_size", "layers", "absent.path"])
    assert rest == without(ROW, ["recurrent.hidden_size", "layers"])
    with pytest.raises(KeyError):
        with_values(ROW, {"recurent.hidden_size": 5})


def test_a_trial_is_read_as_params_yaml_is(tmp_path: Any) -> None:
    from ruamel.yaml import YAML

    values = {"training.learning_rate": 1e-05, "layers": [2, -1], "recurrent.dropout": 0}
    path = tmp_path / "params.yaml"
    with path.open("w") as file:
        YAML(typ="safe").dump({"heads": {"h": with_values(ROW, values)}}, file)
    from pipeline.heads.settings import HeadSettings

    assert trial_settings(ROW, values) == ParamsFile(path).section(HeadSettings, "heads", "h")
    with pytest.raises(ValueError, match=r"recurrent\.cell: Input should be 'lstm' or 'gru'"):
        trial_settings(ROW, {"recurrent.cell": "rnn"})


def test_every_option_is_tried_alone_and_with_every_other() -> None:
    space = {"a": dimension(choices=[1, 2]), "b": dimension(low=3, high=9)}
    assert list(pairs(space)) == [
        *({"a": 1}, {"a": 2}, {"b": 3}, {"b": 9}),
        *({"a": 1, "b": 3}, {"a": 1, "b": 9}, {"a": 2, "b": 3}, {"a": 2, "b": 9}),
    ]
