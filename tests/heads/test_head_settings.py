from __future__ import annotations

import json
from typing import Any

import pytest
from pipelines import head_settings
from pydantic import ValidationError

from pipeline.core.errors import DataError
from pipeline.heads.settings import HeadSettings
from pipeline.tasks.registry import LABEL_TYPES, label_types_of_task, tasks

TASKS: list[str] = tasks()
TEXT: dict[str, Any] = head_settings("sequence_classification").model_dump()
WORD: dict[str, Any] = head_settings("token_classification").model_dump()
OF_THE_OTHER_KIND = {"pooling", "subwords", "scheme", "crf"}


def nested(row: dict[str, Any], section: str, **values: Any) -> dict[str, Any]:
    return {section: {**row[section], **values}}


@pytest.mark.parametrize("task", TASKS)
def test_a_complete_row_is_valid(task: str) -> None:
    settings = head_settings(task)
    assert settings.on_words == (task == "token_classification")
    assert HeadSettings.model_validate_json(settings.model_dump_json()) == settings


@pytest.mark.parametrize("row", [TEXT, WORD])
def test_fields_of_the_other_kind_of_task_may_be_left_out(row: dict[str, Any]) -> None:
    given = {k: v for k, v in row.items() if k not in OF_THE_OTHER_KIND or v is not None}
    assert given != row
    found = HeadSettings(**given)
    assert found.model_copy(update={"scheme": row["scheme"]}) == HeadSettings(**row)


REQUIRED = ("corpus", "features", "label", "task", "layers")


@pytest.mark.parametrize("field", REQUIRED)
def test_what_a_head_reads_and_learns_is_required(field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        HeadSettings(**{k: v for k, v in TEXT.items() if k != field})


@pytest.mark.parametrize("task", TASKS)
def test_a_row_of_what_is_required_is_whole(task: str) -> None:
    short = {"corpus": "c", "features": "f", "label": "l", "task": task, "layers": [-1]}
    settings = HeadSettings.model_validate_json(json.dumps(short))
    assert (settings.recurrent.cell, settings.recurrent.hidden_size) == ("lstm", 128)
    if settings.on_words:
        assert (settings.subwords, settings.crf, settings.pooling) == ("first", False, None)
    else:
        assert settings.pooling == "cls"
    for label_type in label_types_of_task(task):
        resolved = settings.resolved(settings.label_type(label_type.column_kind))
        assert resolved.training.metric == label_type.metrics[0]
        assert resolved.scheme in (None, "bio")
        assert HeadSettings.model_validate_json(resolved.model_dump_json()) == resolved


def test_a_scheme_must_fit_the_label() -> None:
    with pytest.raises(DataError, match="'tags' holds entities: scheme must be bio or bioes"):
        head_settings(
            "token_classification", scheme=None, training={"metric": "word_accuracy"}
        ).label_type("bio")
    with pytest.raises(DataError, match="the task learns 'tags' or 'bio'"):
        head_settings("token_classification").label_type("class")
    plain = head_settings("token_classification", training={"metric": "word_accuracy"})
    with pytest.raises(DataError, match="'tags' holds no entities: scheme must be null"):
        plain.label_type("tags")


@pytest.mark.parametrize(
    ("row", "changes", "message"),
    [
        (TEXT, {"layers": (1, 1)}, "names a layer twice"),
        (TEXT, {"layers": ()}, "at least 1 item"),
        (TEXT, {"task": "ranking"}, "must be one of sequence_classification"),
        (TEXT, {"combine": "sum"}, "'concat' or 'mix'"),
        (TEXT, {"pooling": "first"}, "'cls', 'last', 'mean', 'max', 'mean_max' or 'attention'"),
        (TEXT, {"pooling": None}, "sequence_classification needs 'pooling': cls"),
        (TEXT, {"subwords": "first"}, "are for token_classification"),
        (TEXT, {"scheme": "bio"}, "are for token_classification"),
        (TEXT, {"crf": False}, "are for token_classification"),
        (WORD, {"pooling": "cls"}, "'pooling' must be null"),
        (WORD, {"subwords": None}, "needs 'subwords'"),
        (WORD, {"subwords": "middle"}, "'first', 'last' or 'mean'"),
        (WORD, {"crf": None}, "'crf'"),
        (WORD, {"scheme": "iob1"}, "'bio', 'bioes' or 'auto'"),
        (WORD, {"scheme": None}, "entity_f1 needs a 'scheme': bio or bioes"),
        (TEXT, nested(TEXT, "recurrent", cell="rnn"), "lstm"),
        (TEXT, nested(TEXT, "recurrent", dropout=1.0), "less than 1"),
        (TEXT, nested(TEXT, "recurrent", num_layers=0), "greater than or equal to 1"),
        (TEXT, nested(TEXT, "recurrent", locked_dropout=None), "valid boolean"),
        (TEXT, nested(TEXT, "training", learning_rate=0.0), "greater than 0"),
        (TEXT, nested(TEXT, "training", momentum=0.9), "Extra inputs"),
        (TEXT, nested(TEXT, "training", schedule="step"), "'constant', 'linear' or 'cosine'"),
        (TEXT, nested(TEXT, "training", warmup=1.0), "less than 1"),
        (TEXT, nested(TEXT, "training", class_weights="inverse"), "'balanced'"),
        (TEXT, nested(TEXT, "training", seeds=()), "at least 1 item"),
        (TEXT, nested(TEXT, "training", seeds=(3, 3)), "names a seed twice"),
        (TEXT, nested(TEXT, "training", seeds=(2**63,)), "less than 9223372036854775808"),
        (TEXT, nested(TEXT, "training", metric="entity_f1"), "is one of macro_f1, accuracy, not"),
        (
            WORD,
            nested(WORD, "training", metric="accuracy"),
            "is one of word_accuracy, macro_f1, entity_f1",
        ),
    ],
)
def test_a_row_that_does_not_fit_is_refused(
    row: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        HeadSettings(**{**row, **changes})


@pytest.mark.parametrize("task", TASKS)
def test_a_metric_of_another_task_is_refused(task: str) -> None:
    known = {metric for own in label_types_of_task(task) for metric in own.metrics}
    every = {metric for own in LABEL_TYPES for metric in own.metrics}
    for metric in every - known:
        with pytest.raises(ValidationError, match=f"of {task} is one of"):
            head_settings(task, training={"metric": metric})
    for metric in known:
        assert head_settings(task, training={"metric": metric}).training.metric == metric


def test_class_weights_are_for_classes_that_are_decided_one_by_one() -> None:
    balanced = {"training": {"class_weights": "balanced"}}
    for task in TASKS:
        if task != "regression":
            assert head_settings(task, **balanced).training.class_weights == "balanced"
    with pytest.raises(ValidationError, match="must be null for regression"):
        head_settings("regression", **balanced)
    with pytest.raises(ValidationError, match="must be null with a CRF"):
        head_settings("token_classification", crf=True, **balanced)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        HeadSettings(**TEXT).label = "other"
