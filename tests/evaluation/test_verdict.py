"""Metrics in words: rivals that are as good on dev, and heads that overfit."""

from __future__ import annotations

from typing import Any

import pytest
from evaluated import evaluated, predictions

from pipeline.evaluation.verdict import best_rival, overfits, training_facts, verdict


def metrics(head: float, **margins: tuple[float, float] | None) -> dict[str, Any]:
    """Metrics of a head whose margins over rivals on dev are given with their lower ends."""
    names = {"baseline": "majority class", "tfidf": "TF-IDF", "probe": "linear probe"}
    rivals: dict[str, Any] = {}
    for key, given in margins.items():
        value, low = given or (None, None)
        score = None if value is None else head - value
        margin = {"accuracy": value, "accuracy_low": low, "accuracy_high": low}
        rivals[key] = {"name": names[key], "accuracy": score, "margin": margin}
    dev = {"accuracy": head, "accuracy_low": head, "accuracy_high": head, **rivals}
    return {"dev": dev, "test": dev}


def test_a_rival_that_is_as_good_or_better_is_named() -> None:
    found = verdict(metrics(0.6, baseline=(-0.05, -0.1), tfidf=(0.0, -0.1), probe=(0.2, 0.1)))
    assert found.rivals == (
        "on dev majority class (0.650) and TF-IDF (0.600) are as good as this head or better: "
        "accuracy 0.600"
    )
    found = verdict(metrics(0.6, baseline=(0.3, 0.1), probe=(-0.1, -0.2)))
    assert found.rivals == (
        "on dev linear probe (0.700) is as good as this head or better: accuracy 0.600"
    )


def test_a_margin_within_noise_is_no_win() -> None:
    found = verdict(metrics(0.6, baseline=(0.3, 0.2), tfidf=(0.02, -0.01), probe=(0.01, -0.02)))
    assert found.rivals == (
        "on dev this head is not told apart from TF-IDF (0.580) and linear probe (0.590): accuracy "
        "0.600, where 95% intervals of its margins hold zero"
    )


def test_a_head_that_wins_is_told_with_the_best_of_its_rivals() -> None:
    found = verdict(metrics(0.9, baseline=(0.5, 0.4), tfidf=(0.1, 0.05), probe=(0.2, 0.1)))
    assert found.rivals == (
        "on dev this head is better than its rivals: accuracy 0.900, the best of them "
        "TF-IDF (0.800)"
    )
    assert found.sentences == [found.rivals]


def test_rivals_without_a_score_are_passed_over() -> None:
    assert best_rival(metrics(0.6, baseline=None, probe=(0.1, 0.0))["dev"]) == "probe"
    only = metrics(0.6, baseline=None)
    assert best_rival(only["dev"]) is None
    assert verdict(only).rivals == "no rival has a score on dev to compare with"


def test_of_equal_rivals_the_last_is_the_best() -> None:
    assert best_rival(metrics(0.6, baseline=(0.1, 0.0), probe=(0.1, 0.0))["dev"]) == "probe"


FALLING = [1.0, 0.6, 0.4, 0.3, 0.2, 0.1]


@pytest.mark.parametrize(
    ("train", "dev", "expected"),
    [
        (FALLING, [1.0, 0.7, 0.6, 0.65, 0.7, 0.8], True),
        (FALLING, [1.0, 0.7, 0.6, 0.61, 0.62, 0.63], False),  # by less than a tenth
        (FALLING, [1.0, 0.9, 0.8, 0.7, 0.6, 0.8], False),  # in the last epoch alone
        ([0.4, 0.3, 0.4, 0.5, 0.6, 0.7], [1.0, 0.7, 0.8, 0.9, 1.0, 1.1], False),  # it diverged
        (FALLING, [0.9, 0.8, 0.7, 0.6, 0.5, 0.4], False),
        (FALLING, [1.0, 0.0, 0.0, 0.0, 0.0, 0.0], False),
        (FALLING, [1.0, 0.0, 0.0, 0.0, 0.0, 0.1], True),
        ([1.0], [1.0], False),
    ],
)
def test_a_head_overfits_where_dev_turned_up_well_before_the_end_and_train_fell(
    train: list[float], dev: list[float], expected: bool
) -> None:
    facts = training_facts({"train": train, "dev": dev}, best_epoch=1)
    assert overfits(facts) == expected
    said = verdict({**metrics(0.9, probe=(0.1, 0.1)), "training": facts}).overfitting
    assert bool(said) == expected


def test_overfitting_is_told_with_its_epochs() -> None:
    facts = training_facts({"train": FALLING, "dev": [1, 0.7, 0.6, 0.65, 0.7, 0.9]}, best_epoch=4)
    found = verdict({**metrics(0.9, probe=(0.1, 0.1)), "training": facts})
    assert found.overfitting.startswith(
        "it overfits: after epoch 3 of 6 the loss on dev rose from 0.600 to 0.900 while that of "
        "training fell (kept: epoch 4)"
    )
    assert len(found.sentences) == 2


def test_metrics_hold_what_the_verdict_needs() -> None:
    facts = training_facts({"train": [1.0, 0.5], "dev": [1.0, 0.75]}, best_epoch=2)
    found = evaluated("class", probe=predictions("class"), training=facts).metrics
    assert found["training"] == facts
    assert "linear probe" in verdict(found).rivals
