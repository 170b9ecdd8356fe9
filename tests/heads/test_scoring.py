"""What a head gives for a text does not depend on the texts beside it, to the last bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from pipelines import head_settings, new_head
from scipy.special import expit, softmax

from pipeline.core.errors import TrainingError
from pipeline.heads import scoring
from pipeline.heads.feeding import StatesSource
from pipeline.heads.model import Head
from pipeline.heads.scoring import Outputs, answers, logits_of, outputs_of, score
from pipeline.tasks.inputs import Inputs
from pipeline.tasks.registry import default_label_type, tasks
from pipeline.tasks.words import Words

CPU = torch.device("cpu")
WIDTH, TEXTS = 64, 70
NAMES = ["B-x", "I-x", "O"]
TASKS: list[str] = tasks()
HEADS: list[tuple[str, dict[str, Any]]] = [
    *((task, {}) for task in TASKS),
    ("token_classification", {"crf": True, "subwords": "mean"}),
    ("token_classification", {"label": "pos", "training": {"metric": "macro_f1"}, "crf": True}),
    ("sequence_classification", {"pooling": "attention"}),
    ("regression", {"pooling": "mean"}),
    ("regression", {"pooling": "mean_max"}),
]


class Held(StatesSource):
    """States of made-up texts."""

    def __init__(self, lengths: npt.NDArray[np.int64]) -> None:
        generator = torch.Generator().manual_seed(0)
        self.texts = [torch.randn(int(n), WIDTH, generator=generator) for n in lengths]

    def read(self, rows: npt.NDArray[np.int64]) -> torch.Tensor:
        return torch.cat([self.texts[row] for row in rows])


@pytest.fixture(autouse=True)
def _seed() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def make_head(task: str, **changes: Any) -> Head:
    settings = head_settings(task, recurrent={"dropout": 0.5}, **changes)
    head = new_head(settings, [] if task == "regression" else NAMES, width=WIDTH)
    if head.crf is not None:
        for parameter in head.crf.parameters():
            torch.nn.init.normal_(parameter)
    return head.train()  # scoring must see to it that nothing is dropped


def texts(task: str) -> tuple[Inputs, Held]:
    """Texts of 2 to 40 tokens; for tagging, of words of 0 to 3 tokens, and one without any."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, 41, TEXTS)
    words = None
    if task == "token_classification":
        lengths[0] = 2
        words = []
        for length in lengths:
            inner = np.sort(rng.integers(0, max(1, length // 2), length - 2)).astype(np.int32)
            words.append(Words.of(np.array([-1, *inner, -1], np.int32), int(length)))
    return Inputs(np.arange(TEXTS), lengths, words), Held(lengths)


def all_outputs(head: Head, states: Held, inputs: Inputs) -> list[Outputs]:
    found: dict[int, Outputs] = {}
    for batch, logits in score(head, states, inputs, device=CPU):
        outputs = outputs_of(head, logits, batch.words)
        found |= dict(zip(batch.members.tolist(), outputs, strict=True))
    return [found[member] for member in range(len(inputs.rows))]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("task", "changes"), HEADS)
def test_outputs_do_not_depend_on_the_batch(
    task: str,
    changes: dict[str, Any],
    threads: int,
    monkeypatch: pytest.MonkeyPatch,
    set_threads: Callable[[int], None],
) -> None:
    head = make_head(task, **changes)
    inputs, states = texts(task)
    set_threads(threads)
    expected = all_outputs(head, states, inputs)
    for size in (1, 5, 17):
        monkeypatch.setattr(scoring, "SCORING_BATCH", size)
        for one, other in zip(expected, all_outputs(head, states, inputs), strict=True):
            np.testing.assert_array_equal(one.values, other.values)
            np.testing.assert_array_equal(one.best, other.best)


@pytest.mark.parametrize("most", [1, 600, 10**6])
def test_a_batch_has_so_many_tokens_unless_its_texts_are_few(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = make_head("sequence_classification")
    inputs, states = texts("sequence_classification")
    expected = all_outputs(head, states, inputs)
    monkeypatch.setattr(scoring, "SCORING_TOKENS", most)
    batches = [batch.members for batch, _ in score(head, states, inputs, device=CPU)]
    for members in batches[:-1]:
        assert 16 <= len(members) <= 32
        assert len(members) == 16 or inputs.lengths[members].sum() <= most
    for members, following in pairwise(batches):
        assert len(members) == 32 or inputs.lengths[[*members, following[0]]].sum() > most
    for one, other in zip(expected, all_outputs(head, states, inputs), strict=True):
        np.testing.assert_array_equal(one.values, other.values)


@pytest.mark.parametrize(("task", "changes"), HEADS)
def test_every_text_is_scored_once_and_the_longest_first(
    task: str, changes: dict[str, Any]
) -> None:
    head = make_head(task, **changes)
    inputs, states = texts(task)
    order = np.concatenate([b.members for b, _ in score(head, states, inputs, device=CPU)])
    assert sorted(order) == list(range(TEXTS))
    assert (np.diff(inputs.lengths[order]) <= 0).all()
    assert not head.training


def test_outputs_have_a_row_per_text_or_word_with_a_token() -> None:
    for task in TASKS:
        inputs, states = texts(task)
        for text, output in enumerate(all_outputs(make_head(task), states, inputs)):
            rows = 1 if inputs.words is None else int(inputs.words[text].with_token.sum())
            columns = 3 if task.endswith("_classification") and inputs.words is None else 1
            assert output.values.shape == (rows, columns)
            assert output.values.dtype == np.float64
            assert output.best.shape == (rows,)


@pytest.mark.parametrize("task", TASKS)
def test_values_are_scipys_softmax_and_sigmoid_of_the_logits_and_numbers_themselves(
    task: str,
) -> None:
    head = make_head(task).eval()
    inputs, states = texts(task)
    members = np.arange(20)
    with torch.inference_mode():
        logits, words = logits_of(head, states, inputs, members, CPU)
    exact = logits.numpy().astype(np.float64)
    expected = {
        "sequence_classification": softmax(exact, 1),
        "token_classification": softmax(exact, 1),
        "multilabel_classification": expit(exact),
        "regression": exact,
    }[task]
    outputs = outputs_of(head, logits, words)
    best = np.concatenate([output.best for output in outputs])
    np.testing.assert_array_equal(best, expected.argmax(1))
    if words is not None:
        expected = expected.max(1, keepdims=True)
    np.testing.assert_allclose(np.concatenate([o.values for o in outputs]), expected, rtol=1e-13)


def test_a_field_gives_marginals_and_the_best_path() -> None:
    """The best label of each word alone need not make an allowed sequence; the best path does."""
    head = make_head("token_classification", crf=True).eval()
    assert head.crf is not None
    inputs, states = texts("token_classification")
    assert inputs.words is not None
    outputs = all_outputs(head, states, inputs)
    for text, output in enumerate(outputs):
        if not len(output.best):
            continue
        with torch.inference_mode():
            logits, _ = logits_of(head, states, inputs, np.array([text]), CPU)
        rules, path = head.crf.constraints, output.best
        marginals = head.crf.marginals(logits, [len(logits)])
        expected = marginals[np.arange(len(path)), path]
        np.testing.assert_allclose(output.values[:, 0], expected, rtol=1e-5, atol=1e-7)
        assert rules.starts[path[0]]
        assert rules.ends[path[-1]]
        assert rules.transitions[path[:-1], path[1:]].all()
        assert path.tolist() == head.crf.viterbi(logits, [len(logits)])[0].tolist()


def test_a_text_of_which_no_word_has_a_token_has_no_outputs() -> None:
    for crf in (False, True):
        head = make_head("token_classification", crf=crf)
        nothing = Words(np.array([-1, -1]), np.array([0, 0]))
        inputs = Inputs(np.array([0]), np.array([2]), [nothing])
        (output,) = all_outputs(head, Held(np.array([2])), inputs)
        assert output.values.shape == (0, 1)
        assert output.best.shape == (0,)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_no_answers(value: float) -> None:
    outputs = [Outputs(np.full((1, 1), number), np.zeros(1, np.int64)) for number in (1.0, value)]
    label_type = default_label_type("number")
    assert answers(label_type, [], outputs[:1], None) == [{"value": 1.0}]
    with pytest.raises(TrainingError, match="not finite"):
        answers(label_type, [], outputs, None)
