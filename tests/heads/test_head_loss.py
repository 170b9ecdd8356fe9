"""Losses against torch's own, class weights against scikit-learn's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pipelines import head_settings
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from pipeline.heads.model import Head
from pipeline.heads.word_layout import WordLayout, lay_out_words
from pipeline.tasks.label_type import IGNORE
from pipeline.tasks.registry import label_type_for
from pipeline.tasks.words import Words

NAMES = ["B-x", "I-x", "O"]
KINDS = {
    "sequence_classification": "class",
    "multilabel_classification": "classes",
    "regression": "number",
    "token_classification": "bio",
}


def make_head(task: str, **changes: Any) -> Head:
    names = [] if task == "regression" else NAMES
    settings = head_settings(task, **changes)
    return Head.build(settings, label_type_for(task, KINDS[task]), names, width=4)


def class_weights(head: Head, targets: Any) -> torch.Tensor:
    return torch.from_numpy(head.label_type.class_weights(targets, head.names))


def layout(lengths: list[int]) -> WordLayout:
    """Words of one token each; a text of none has two special tokens."""
    words = [
        Words(np.arange(1, length + 1), np.ones(length, np.int64))
        if length
        else Words(np.array([-1]), np.array([0]))
        for length in lengths
    ]
    return lay_out_words(words, np.array(lengths) + 2)


def loss_of(
    head: Head,
    logits: torch.Tensor,
    values: torch.Tensor,
    words: WordLayout | None = None,
    weights: torch.Tensor | None = None,
) -> tuple[torch.Tensor, float]:
    """The loss as a sum, and what to divide it by."""
    targets = head.targets(values.numpy(), words, torch.device("cpu"))
    return head.loss(logits, targets, weights), head.loss_weight(targets, weights)


def random_logits(rows: int, labels: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(rows, labels, generator=generator, requires_grad=True)


@pytest.mark.parametrize("task", ["sequence_classification", "token_classification"])
@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 3.0, 1.0])])
def test_one_label_is_torchs_cross_entropy(task: str, weights: torch.Tensor | None) -> None:
    logits, targets = random_logits(6), torch.tensor([0, 2, IGNORE, 1, 1, IGNORE])
    words = layout([4, 2]) if task == "token_classification" else None
    loss, count = loss_of(make_head(task), logits, targets, words, weights)
    expected = nn.CrossEntropyLoss(weight=weights, ignore_index=IGNORE)(logits, targets)
    torch.testing.assert_close(loss / count, expected)
    ours, theirs = (torch.autograd.grad(value, logits)[0] for value in (loss / count, expected))
    torch.testing.assert_close(ours, theirs)
    assert not ours[targets == IGNORE].any()


@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 3.0, 1.0])])
def test_several_labels_are_torchs_binary_cross_entropy(weights: torch.Tensor | None) -> None:
    logits = random_logits(5)
    targets = (torch.arange(15).view(5, 3) % 2).float()
    loss, count = loss_of(make_head("multilabel_classification"), logits, targets, None, weights)
    expected = nn.BCEWithLogitsLoss(pos_weight=weights)(logits, targets)
    torch.testing.assert_close(loss / count, expected)


def test_numbers_are_torchs_squared_error_in_deviations_of_the_targets() -> None:
    head = make_head("regression")
    head.target_mean.fill_(50.0)
    head.target_scale.fill_(4.0)
    logits, targets = random_logits(5, 1), torch.tensor([[1.0], [60.0], [50.0], [47.0], [55.0]])
    loss, count = loss_of(head, logits, targets, None)
    expected = nn.MSELoss()((logits - 50) / 4, (targets - 50) / 4)
    torch.testing.assert_close(loss / count, expected)


def test_a_field_has_the_likelihood_of_whole_sequences() -> None:
    head = make_head("token_classification", crf=True)
    assert head.crf is not None
    lengths = [3, 0, 2]
    logits, targets = random_logits(5), torch.tensor([0, 1, 2, IGNORE, 2])
    loss, count = loss_of(head, logits, targets, layout(lengths))
    expected = [
        -head.crf.log_likelihood(part, tags, [len(part)])
        for part, tags in zip(logits.split([3, 2]), targets.split([3, 2]), strict=True)
    ]
    torch.testing.assert_close(loss, torch.cat(expected).sum())
    assert count == 4


def test_without_anything_learnt_a_field_is_cross_entropy_over_allowed_sequences() -> None:
    """One word: ``I-x`` cannot begin a text, and the other two share what is left."""
    head = make_head("token_classification", crf=True)
    logits = random_logits(1)
    loss, _ = loss_of(head, logits, torch.tensor([2]), layout([1]))
    torch.testing.assert_close(loss, -logits[0, [0, 2]].log_softmax(0)[1])


@pytest.mark.parametrize("crf", [False, True])
@pytest.mark.parametrize("lengths", [[0, 0], [0, 2]])
def test_what_training_never_saw_counts_nothing(crf: bool, lengths: list[int]) -> None:
    head = make_head("token_classification", crf=crf)
    logits = random_logits(sum(lengths))
    targets = torch.full((sum(lengths),), IGNORE)
    loss, count = loss_of(head, logits, targets, layout(lengths))
    assert count == 0
    assert loss.item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("task", ["sequence_classification", "token_classification"])
def test_balanced_weights_are_scikit_learns(task: str) -> None:
    rng = np.random.default_rng(0)
    targets = [rng.choice(3, rng.integers(1, 9), p=[0.1, 0.2, 0.7]) for _ in range(40)]
    weights = class_weights(make_head(task), targets)
    flat = np.concatenate(targets)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=flat)
    np.testing.assert_allclose(weights.numpy(), expected, rtol=1e-6)
    counts = np.bincount(flat)
    np.testing.assert_allclose(weights.numpy() * counts, len(flat) / 3, rtol=1e-6)


def test_a_tag_whose_words_were_all_cut_off_weighs_nothing() -> None:
    weights = class_weights(make_head("token_classification"), [np.array([0, 0, 2])])
    assert weights.tolist() == pytest.approx([0.5, 0, 1])


def test_balanced_weights_of_several_labels_make_having_and_lacking_count_alike() -> None:
    rng = np.random.default_rng(0)
    targets = (rng.random((50, 3)) < [0.1, 0.5, 0.8]).astype(np.float32)
    weights = class_weights(make_head("multilabel_classification"), list(targets[:, None]))
    having = targets.sum(0)
    assert weights.shape == (3,)
    np.testing.assert_allclose(weights.numpy() * having, 50 - having, rtol=1e-6)
    loss, _ = loss_of(
        make_head("multilabel_classification"),
        torch.zeros(50, 3),
        torch.from_numpy(targets),
        None,
        weights,
    )
    assert loss.item() == pytest.approx(2 * (50 - having).sum() * np.log(2), rel=1e-5)


def test_a_label_that_every_text_has_is_learnt_all_the_same() -> None:
    targets = np.array([[1, 0, 1], [1, 1, 0]], np.float32)
    head = make_head("multilabel_classification")
    weights = class_weights(head, list(targets[:, None]))
    assert weights.tolist() == [0.5, 1, 1]
    logits = torch.zeros(2, 3, requires_grad=True)
    loss, _ = loss_of(head, logits, torch.from_numpy(targets), None, weights)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert (gradient[:, 0] < 0).all()
