"""In folds, scores are of all rows, each as that run predicted it which did not see it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from statistics import mean, stdev
from typing import Any

import numpy as np
import pytest
from evaluated import HEADLINES, TEXTS, VALUES, row
from import_graph import ROOT
from scipy.stats import spearmanr
from sklearn.metrics import accuracy_score, f1_score

from pipeline.core.errors import DataError
from pipeline.core.files import canonical_json
from pipeline.corpus.folds import Fold, Run, by_fold
from pipeline.corpus.storage import Labels
from pipeline.evaluation.bootstrap import draw, interval, paired_bootstrap
from pipeline.evaluation.evaluate import Evaluation, evaluate
from pipeline.evaluation.predictions import Predictions, by_id
from pipeline.evaluation.rivals import Rival
from pipeline.tasks.calibration import calibration
from pipeline.tasks.registry import default_label_type
from pipeline.tasks.resampling import ResampledMetrics

ROWS, FOLDS = 120, 4
rng = np.random.default_rng(7)
IDS = [f"row {n}" for n in range(ROWS)]
NUMBERS = rng.permutation(np.arange(ROWS) % FOLDS + 1)
"""The fold of each row, anywhere in the corpus."""


def labels_of(kind: str) -> Labels:
    values = [VALUES[kind][n % len(TEXTS)] for n in range(ROWS)]
    return Labels(IDS, [f"fold_{number}" for number in NUMBERS], values, kind, "digest")


INPUTS = [TEXTS[n % len(TEXTS)] for n in range(ROWS)]


def predicted(kind: str, seed: int) -> dict[Fold, Predictions]:
    """Answers of a run per fold, right in three rows of four or so."""
    draws = np.random.default_rng(seed)
    labels = labels_of(kind)
    found: dict[Fold, Predictions] = {}
    for fold, seen in by_fold(labels).items():
        rows = []
        for place, split in enumerate(seen.splits):
            # The tags of another text would be too many or too few.
            other = place if kind in ("tags", "bio") else int(draws.integers(ROWS))
            value = labels.values[place if draws.random() < 0.7 else other]
            if kind in ("tags", "bio") and draws.random() < 0.3:
                value = ("O" if kind == "bio" else "D",) * len(value)
            if split != "train":
                answer = row(kind, value)
                if kind == "class":
                    sure = float(draws.uniform(0.4, 1))
                    answer["probabilities"] = {value: sure, "other": 1 - sure}
                rows.append({"id": IDS[place], "split": split, **answer})
        found[fold] = (
            _whole(rows, seen) if kind == "classes" else by_id(rows, seen, default_label_type(kind))
        )
    return found


def _whole(rows: list[dict[str, Any]], seen: Labels) -> Predictions:
    for answer in rows:
        answer["probabilities"] = dict.fromkeys(answer["labels"], 0.75) | {"n": 0.1}
    return by_id(rows, seen, default_label_type("classes"))


SINGLE = default_label_type("class")


def class_sample(gold: list[str], guesses: list[str]) -> ResampledMetrics:
    return SINGLE.resampled(gold, [{"label": guess} for guess in guesses])


KEPT = Run(2, 1)


def evaluated(kind: str, seeds: tuple[int, ...] = (1,), kept: Run = KEPT) -> Evaluation:
    runs = {Run(fold, seed): rows for seed in seeds for fold, rows in predicted(kind, seed).items()}
    return evaluate(
        default_label_type(kind),
        labels_of(kind),
        INPUTS,
        runs,
        kept=kept,
        rivals={"probe": Rival("linear probe", predicted(kind, 99))},
    )


def pooled(kind: str, seed: int, split: str) -> list[dict[str, Any]]:
    """Row by row in the order of the corpus, the answer of the run that had it in the split."""
    own = predicted(kind, seed)
    runs = [number if split == "test" else (number - 2) % FOLDS + 1 for number in NUMBERS.tolist()]
    return [dict(own[run][row_id]) for run, row_id in zip(runs, IDS, strict=True)]


@pytest.mark.parametrize("kind", VALUES)
def test_both_splits_have_all_rows_and_runs_are_summed_up(kind: str) -> None:
    metrics = evaluated(kind).metrics
    assert list(metrics) == ["seed", "fold", "dev", "test", "runs"]
    assert (metrics["seed"], metrics["fold"]) == (1, 2)
    assert metrics["dev"]["examples"] == metrics["test"]["examples"] == ROWS
    assert list(metrics["runs"]) == [*(f"fold_{n}" for n in range(1, 5)), "mean", "deviation"]
    for split in ("dev", "test"):
        for name in HEADLINES[kind]:
            values = [metrics["runs"][f"fold_{fold}"][split][name] for fold in range(1, FOLDS + 1)]
            assert metrics["runs"]["mean"][split][name] == pytest.approx(mean(values))
            assert metrics["runs"]["deviation"][split][name] == pytest.approx(stdev(values))


def test_scores_are_those_of_scikit_learn_on_the_pooled_rows() -> None:
    metrics = evaluated("class").metrics
    gold = labels_of("class").values
    for split in ("dev", "test"):
        guesses = [answer["label"] for answer in pooled("class", 1, split)]
        assert 0.5 < metrics[split]["accuracy"] < 1
        assert metrics[split]["accuracy"] == pytest.approx(accuracy_score(gold, guesses))
        macro = f1_score(gold, guesses, average="macro")
        assert metrics[split]["macro_f1"] == pytest.approx(macro)
        (draws,) = draw([class_sample(gold, guesses)])
        where = interval(draws["macro_f1"])
        assert metrics[split]["macro_f1_low"] == where.low
        assert metrics[split]["macro_f1_high"] == where.high


def test_numbers_are_ranked_over_all_folds() -> None:
    metrics = evaluated("number").metrics
    guesses = [answer["value"] for answer in pooled("number", 1, "test")]
    expected = spearmanr(labels_of("number").values, guesses).statistic
    assert metrics["test"]["spearman"] == pytest.approx(expected)


def test_every_run_is_scored_on_its_own_fold() -> None:
    runs = evaluated("class").metrics["runs"]
    for fold, seen in by_fold(labels_of("class")).items():
        for split in ("dev", "test"):
            places = [place for place, own in enumerate(seen.splits) if own == split]
            rows = predicted("class", 1)[fold]
            gold = [seen.values[place] for place in places]
            guesses = [rows[IDS[place]]["label"] for place in places]
            found = runs[f"fold_{fold}"][split]
            assert found["accuracy"] == pytest.approx(accuracy_score(gold, guesses))
            assert found["macro_f1"] == pytest.approx(f1_score(gold, guesses, average="macro"))


def test_with_seeds_the_kept_one_is_reported_and_all_are_scored() -> None:
    both = evaluated("class", seeds=(1, 2), kept=Run(3, 2)).metrics
    alone = evaluated("class", seeds=(2,), kept=Run(3, 2)).metrics
    assert both["dev"] == alone["dev"]
    assert both["test"] == alone["test"]
    names = [f"fold_{fold}_seed_{seed}" for seed in (1, 2) for fold in range(1, FOLDS + 1)]
    assert list(both["runs"]) == [*names, "mean", "deviation", "deviation_of_seeds"]
    for fold in range(1, FOLDS + 1):
        assert both["runs"][f"fold_{fold}_seed_2"] == alone["runs"][f"fold_{fold}"]


def test_the_baseline_of_a_row_knows_what_the_run_that_tested_it_learned_from() -> None:
    values = list("xxxxxxxxyyyxyyyx")
    ids = [f"row {n}" for n in range(16)]
    labels = Labels(ids, [f"fold_{n // 4 + 1}" for n in range(16)], values, "class", "digest")
    # The run of fold 1 learns from folds 3 and 4, whose majority is not that of all rows.
    majority = {1: "y", 2: "x", 3: "x", 4: "x"}
    seen = by_fold(labels)
    answers = {
        Run(fold, 5): by_id(
            [
                {"id": i, "split": s, "label": "x", "probabilities": {"x": 0.9}}
                for i, s in zip(own.ids, own.splits, strict=True)
                if s != "train"
            ],
            own,
            SINGLE,
        )
        for fold, own in seen.items()
        if fold is not None
    }
    test = evaluate(SINGLE, labels, ["a text"] * 16, answers, kept=Run(1, 5)).metrics["test"]
    guesses = [majority[n // 4 + 1] for n in range(16)]
    assert test["baseline"]["name"] == "majority class"
    assert test["baseline"]["accuracy"] == accuracy_score(values, guesses)
    expected = paired_bootstrap(class_sample(values, ["x"] * 16), class_sample(values, guesses))
    margin = test["baseline"]["margin"]
    for name, by in expected.items():
        assert [margin[name + end] for end in ("", "_low", "_high")] == [by.value, by.low, by.high]


def test_margins_over_the_probe_are_paired_row_by_row() -> None:
    gold = labels_of("class").values
    for split in ("dev", "test"):
        head, probe = (
            class_sample(gold, [answer["label"] for answer in pooled("class", seed, split)])
            for seed in (1, 99)
        )
        found = evaluated("class").metrics[split]["probe"]
        assert {name: found[name] for name in HEADLINES["class"]} == probe.scores()
        for name, by in paired_bootstrap(head, probe).items():
            ends = [found["margin"][name + end] for end in ("", "_low", "_high")]
            assert ends == [by.value, by.low, by.high]


def test_pairs_bins_and_mistakes_are_of_the_pooled_rows() -> None:
    evaluation = evaluated("class")
    gold, rows = labels_of("class").values, pooled("class", 1, "test")
    guesses = [answer["label"] for answer in rows]
    assert evaluation.confusion == list(zip(gold, guesses, strict=True))
    expected = calibration(gold, guesses, [answer["probabilities"] for answer in rows])
    assert evaluation.calibration == expected.bins
    wrong = {i for i, a, b in zip(IDS, gold, guesses, strict=True) if a != b}
    assert len(evaluation.mistakes) == len(wrong)
    assert {mistake["id"] for mistake in evaluation.mistakes} == wrong
    assert {mistake["split"] for mistake in evaluation.mistakes} == {"test"}
    sure = [mistake["confidence"] for mistake in evaluation.mistakes]
    assert sure == sorted(sure, reverse=True)


@pytest.mark.parametrize("kind", VALUES)
def test_the_same_predictions_give_the_same_bytes(kind: str) -> None:
    one, two = evaluated(kind), evaluated(kind)
    assert canonical_json(one.metrics) == canonical_json(two.metrics)
    assert canonical_json(one.mistakes) == canonical_json(two.mistakes)


def test_every_field_is_documented() -> None:
    documented = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")

    def names(value: Any) -> Iterator[str]:
        for name, own in value.items() if isinstance(value, dict) else ():
            yield re.sub("_(low|high)$", "", re.sub("_[0-9]+", "_<n>", name))
            if not name.startswith("per_"):  # what follows are the corpus's own labels
                yield from names(own)

    for seeds in ((1,), (1, 2)):
        for name in set(names(evaluated("class", seeds=seeds).metrics)):
            assert name in documented


def test_too_few_folds_are_refused() -> None:
    labels = Labels(["a", "b"], ["fold_1", "fold_2"], ["x", "y"], "class", "digest")
    with pytest.raises(DataError, match="has 2 folds, a head needs 3 or more"):
        evaluate(SINGLE, labels, ["a", "b"], {}, kept=Run(1, 1))
