from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.heads.settings import HeadSettings

VALID: dict[str, Any] = {
    "corpus": "c",
    "features": "f",
    "label": "l",
    "task": "sequence_classification",
    "layers": (-1,),
    "pooling": "cls",
    "recurrent": {
        "cell": "lstm",
        "hidden_size": 8,
        "num_layers": 1,
        "bidirectional": True,
        "dropout": 0.0,
    },
    "training": {
        "epochs": 1,
        "batch_size": 1,
        "learning_rate": 0.1,
        "weight_decay": 0.0,
        "gradient_clip": 1.0,
        "patience": 1,
        "seed": 0,
    },
}


def test_a_complete_row_is_valid() -> None:
    assert HeadSettings(**VALID).recurrent.hidden_size == 8


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("layers", (1, 1), "names a layer twice"),
        ("layers", (), "at least 1 item"),
        ("pooling", None, "'pooling' is cls"),
        ("task", "token_classification", "'pooling' is cls"),
        ("task", "regression", "sequence_classification"),
        ("recurrent", {**VALID["recurrent"], "cell": "rnn"}, "lstm"),
        ("recurrent", {**VALID["recurrent"], "dropout": 1.0}, "less than 1"),
        ("recurrent", {**VALID["recurrent"], "num_layers": 0}, "greater than or equal to 1"),
        ("training", {**VALID["training"], "learning_rate": 0.0}, "greater than 0"),
        ("training", {**VALID["training"], "momentum": 0.9}, "Extra inputs"),
    ],
)
def test_a_row_that_does_not_fit_is_refused(field: str, value: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        HeadSettings(**{**VALID, field: value})


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        HeadSettings(**VALID).label = "other"
