from __future__ import annotations

from typing import Any, get_args

import pytest
from pipelines import head_settings
from pydantic import ValidationError

from pipeline.heads.settings import METRICS, HeadSettings
from pipeline.heads.training_settings import Metric
from pipeline.tasks.tasks import LABEL_KINDS, Task

TASKS: tuple[Task, ...] = get_args(Task)
TEXT: dict[str, Any] = head_settings("sequence_classification").model_dump()
WORD: dict[str, Any] = head_settings("token_classification").model_dump()
OF_THE_OTHER_KIND = {"pooling", "subwords", "scheme", "crf"}


def nested(row: dict[str, Any], section: str, **values: Any) -> dict[str, Any]:
    return {section: {**row[section], **values}}


@pytest.mark.parametrize("task", TASKS)
def test_a_complete_row_is_valid(task: Task) -> None:
    settings = head_settings(task)
    assert settings.on_words == (task == "token_classification")
    assert LABEL_KINDS[task]
    assert HeadSettings.model_validate_json(settings.model_dump_json()) == settings


def test_every_metric_is_of_some_task() -> None:
    assert {metric for known in METRICS.values() for metric in known} == set(get_args(Metric))


@pytest.mark.parametrize("row", [TEXT, WORD])
def test_fields_of_the_other_kind_of_task_may_be_left_out(row: dict[str, Any]) -> None:
    given = {k: v for k, v in row.items() if k not in OF_THE_OTHER_KIND or v is not None}
    assert given != row
    assert HeadSettings(**given) == HeadSettings(**row)


@pytest.mark.parametrize("field", [name for name in TEXT if name not in OF_THE_OTHER_KIND])
def test_every_other_field_is_required(field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        HeadSettings(**{k: v for k, v in TEXT.items() if k != field})


@pytest.mark.parametrize(
    ("section", "field"), [(s, f) for s in ("recurrent", "training") for f in TEXT[s]]
)
def test_every_field_of_a_section_is_required(section: str, field: str) -> None:
    short = {k: v for k, v in TEXT[section].items() if k != field}
    with pytest.raises(ValidationError, match=f"{section}.{field}"):
        HeadSettings(**{**TEXT, section: short})


@pytest.mark.parametrize(
    ("row", "changes", "message"),
    [
        (TEXT, {"layers": (1, 1)}, "names a layer twice"),
        (TEXT, {"layers": ()}, "at least 1 item"),
        (TEXT, {"task": "ranking"}, "'sequence_classification'"),
        (TEXT, {"combine": "sum"}, "'concat' or 'mix'"),
        (TEXT, {"pooling": "first"}, "'cls', 'last', 'mean', 'max' or 'attention'"),
        (TEXT, {"pooling": None}, "sequence_classification needs 'pooling': cls"),
        (TEXT, {"subwords": "first"}, "are for token_classification"),
        (TEXT, {"scheme": "bio"}, "are for token_classification"),
        (TEXT, {"crf": False}, "are for token_classification"),
        (WORD, {"pooling": "cls"}, "'pooling' must be null"),
        (WORD, {"subwords": None}, "needs 'subwords'"),
        (WORD, {"subwords": "middle"}, "'first', 'last' or 'mean'"),
        (WORD, {"crf": None}, "'crf'"),
        (WORD, {"scheme": "iob1"}, "'bio' or 'bioes'"),
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
        (WORD, nested(WORD, "training", metric="accuracy"), "is one of entity_f1, word_accuracy"),
    ],
)
def test_a_row_that_does_not_fit_is_refused(
    row: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        HeadSettings(**{**row, **changes})


@pytest.mark.parametrize("task", TASKS)
def test_a_metric_of_another_task_is_refused(task: Task) -> None:
    for metric in set(get_args(Metric)) - set(METRICS[task]):
        with pytest.raises(ValidationError, match=f"of {task} is one of"):
            head_settings(task, training={"metric": metric})
    for metric in METRICS[task]:
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
