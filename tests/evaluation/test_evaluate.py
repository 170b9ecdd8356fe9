"""Predictions meet the labels of their own rows, beside baselines of the training rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from evaluated import (
    BIO,
    CLASSES,
    DEV,
    HEADLINES,
    IDS,
    PREDICTED,
    SETS,
    SPLITS,
    TEST,
    TEXTS,
    VALUES,
    evaluated,
    predictions,
    row,
    scored,
)
from import_graph import ROOT

from pipeline.core.errors import DataError
from pipeline.core.files import canonical_json
from pipeline.corpus.folds import Run
from pipeline.corpus.storage import Labels
from pipeline.evaluation.bootstrap import draw, interval, paired_bootstrap
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.predictions import by_id
from pipeline.tasks.calibration import calibration
from pipeline.tasks.registry import default_label_type


@pytest.mark.parametrize("kind", VALUES)
def test_a_split_begins_with_its_headline_scores_and_their_intervals(kind: str) -> None:
    metrics = evaluated(kind).metrics
    assert list(metrics) == ["seed", "dev", "test"]
    for split, members in (("dev", DEV), ("test", TEST)):
        expected = [name for score in HEADLINES[kind] for name in (score, f"{score}_low")]
        found = [name for name in metrics[split] if not name.endswith("_high")]
        assert found[: len(expected) + 1] == ["examples", *expected]
        assert metrics[split]["examples"] == len(members)


def test_every_field_is_documented() -> None:
    documented = set(re.findall(r"[a-z0-9_]+", (ROOT / "docs" / "metrics.md").read_text()))

    def names(value: Any) -> Iterator[str]:
        for name, own in value.items() if isinstance(value, dict) else ():
            yield re.sub("_(low|high)$|^seed_[0-9]+$", "", name)
            if not name.startswith("per_"):  # what follows are the corpus's own labels
                yield from names(own)

    for kind in VALUES:
        runs = {13: predictions(kind), 14: predictions(kind)}
        fields = set(names(evaluated(kind, runs=runs, probe=predictions(kind)).metrics)) - {""}
        assert fields <= documented


@pytest.mark.parametrize("kind", VALUES)
def test_metrics_and_mistakes_are_canonical_json(kind: str) -> None:
    probe = predictions(kind, dict.fromkeys(PREDICTED[kind], 1.0) if kind == "number" else None)
    evaluation = evaluated(kind, probe=probe)
    assert canonical_json(evaluation.metrics)
    assert canonical_json(evaluation.mistakes)


@pytest.mark.parametrize("kind", VALUES)
def test_metrics_hold_no_lists_and_no_deep_tables(kind: str) -> None:
    def depth(value: Any) -> int:
        assert not isinstance(value, list)
        return 1 + max(map(depth, value.values()), default=0) if isinstance(value, dict) else 0

    assert depth(evaluated(kind, probe=predictions(kind)).metrics) <= 4


def test_scores_are_of_the_rows_of_their_split_whatever_their_order() -> None:
    metrics = evaluated("class").metrics
    for split, members in (("dev", DEV), ("test", TEST)):
        gold = [CLASSES[member] for member in members]
        sample = scored("class", gold, [PREDICTED["class"][member] for member in members])
        scores = sample.scores()
        assert {name: metrics[split][name] for name in scores} == scores
        (draws,) = draw([sample])
        for name, values in draws.items():
            expected = interval(values)
            assert metrics[split][f"{name}_low"] == expected.low
            assert metrics[split][f"{name}_high"] == expected.high
    assert metrics["dev"]["accuracy"] == 0.5
    assert metrics["test"]["accuracy"] == pytest.approx(2 / 3)


def test_entities_and_tags_are_scored_word_by_word() -> None:
    for kind in ("bio", "tags"):
        metrics = evaluated(kind).metrics
        for split, members in (("dev", DEV), ("test", TEST)):
            expected = scored(
                kind,
                [VALUES[kind][member] for member in members],
                [PREDICTED[kind][member] for member in members],
            ).scores()
            assert {name: metrics[split][name] for name in expected} == expected


def test_words_without_a_prediction_are_counted_per_split() -> None:
    for kind in ("bio", "tags"):
        metrics = evaluated(kind).metrics
        found = [metrics[split]["words_without_a_prediction"] for split in ("dev", "test")]
        assert found == [2, 1]
        assert [metrics[split]["words"] for split in ("dev", "test")] == [3, 7]


def test_classes_say_how_well_calibrated_they_are() -> None:
    evaluation = evaluated("class")
    gold = [CLASSES[member] for member in TEST]
    rows = [row("class", PREDICTED["class"][member]) for member in TEST]
    expected = calibration(gold, [r["label"] for r in rows], [r["probabilities"] for r in rows])
    test = evaluation.metrics["test"]
    assert (test["calibration_error"], test["brier"]) == (
        expected.calibration_error,
        expected.brier,
    )
    assert evaluation.calibration == expected.bins
    assert evaluated("bio").calibration == []


def test_tables_come_last() -> None:
    for kind, name in (("class", "class"), ("classes", "label"), ("tags", "tag"), ("bio", "type")):
        test = evaluated(kind).metrics["test"]
        assert list(test)[-1] == f"per_{name}"
        assert all(set(scores) >= {"f1", "support"} for scores in test[f"per_{name}"].values())


def test_heads_are_compared_with_the_majority_of_the_training_rows() -> None:
    for split, members in (("dev", DEV), ("test", TEST)):
        gold = [CLASSES[member] for member in members]
        head = scored("class", gold, [PREDICTED["class"][member] for member in members])
        majority = scored("class", gold, ["x"] * len(gold))
        baseline = evaluated("class").metrics[split]["baseline"]
        assert baseline["name"] == "majority class"
        assert {name: baseline[name] for name in HEADLINES["class"]} == majority.scores()
        for name, by in paired_bootstrap(head, majority).items():
            found = [baseline["margin"][name + end] for end in ("", "_low", "_high")]
            assert found == [by.value, by.low, by.high]


def test_the_baseline_of_sets_ranks_labels_by_their_share_in_training() -> None:
    baseline = evaluated("classes").metrics["test"]["baseline"]
    shares = {"x": 2 / 3, "y": 1 / 3}
    rows = [{"labels": ["x"], "probabilities": shares}] * 3
    expected = default_label_type("classes").resampled([SETS[m] for m in TEST], rows).scores()
    assert {name: baseline[name] for name in expected} == expected


def test_words_are_compared_with_their_most_frequent_tag() -> None:
    for kind, unseen in (("bio", "O"), ("tags", "D")):
        tag_of = {"ice": BIO[0][0] if kind == "bio" else "D"}
        tag_of |= {"age": "I-x" if kind == "bio" else "D", "snow": "B-y" if kind == "bio" else "N"}
        expected = scored(
            kind,
            [VALUES[kind][member] for member in TEST],
            [[tag_of.get(word, unseen) for word in TEXTS[member]] for member in TEST],
        ).scores()
        baseline = evaluated(kind).metrics["test"]["baseline"]
        assert {name: baseline[name] for name in expected} == expected


def test_a_mean_has_no_correlation_and_a_lower_error_is_a_margin_above_0() -> None:
    test = evaluated("number").metrics["test"]
    baseline = test["baseline"]
    assert baseline["name"] == "mean"
    assert baseline["spearman"] is None
    assert baseline["margin"]["spearman"] is None
    assert baseline["margin"]["rmse"] == pytest.approx(baseline["rmse"] - test["rmse"])
    assert baseline["margin"]["rmse"] > 0
    assert baseline["margin"]["rmse_low"] <= baseline["margin"]["rmse_high"]


def test_a_head_that_is_no_better_than_the_baseline_has_no_margin() -> None:
    majority = predictions("class", dict.fromkeys([1, 3, 4, 6, 7], "x"))
    metrics = evaluated("class", runs={13: majority}).metrics
    for split in ("dev", "test"):
        assert set(metrics[split]["baseline"]["margin"].values()) == {0.0}


@pytest.mark.parametrize("kind", VALUES)
def test_a_probe_that_is_the_head_leaves_it_no_margin(kind: str) -> None:
    metrics = evaluated(kind, probe=predictions(kind)).metrics
    for split in ("dev", "test"):
        probe = metrics[split]["probe"]
        assert probe["name"] == "linear probe"
        assert set(probe["margin"].values()) <= {0.0, None}
        for name in HEADLINES[kind]:
            assert probe[name] == metrics[split][name]


def test_without_a_probe_there_is_no_word_of_it() -> None:
    assert "probe" not in evaluated("class").metrics["test"]


def test_several_seeds_have_a_mean_and_a_sample_deviation() -> None:
    other = predictions("class", {**PREDICTED["class"], 7: "y", 1: "x", 4: "x"})
    metrics = evaluated("class", runs={13: predictions("class"), 14: other}).metrics
    runs = metrics["runs"]
    assert list(runs) == ["seed_13", "seed_14", "mean", "deviation"]
    assert metrics["seed"] == 13
    assert runs["seed_13"]["test"] == {name: metrics["test"][name] for name in HEADLINES["class"]}
    assert [runs[seed]["dev"]["accuracy"] for seed in ("seed_13", "seed_14")] == [0.5, 1.0]
    assert runs["mean"]["dev"]["accuracy"] == 0.75
    assert runs["deviation"]["dev"]["accuracy"] == pytest.approx(0.5**0.5 / 2)


def test_a_seed_without_a_score_leaves_no_mean_of_it() -> None:
    constant = predictions("number", dict.fromkeys(PREDICTED["number"], 1.0))
    runs = evaluated("number", runs={13: predictions("number"), 14: constant}).metrics["runs"]
    assert runs["mean"]["test"]["spearman"] is None
    assert runs["deviation"]["test"]["spearman"] is None
    assert runs["mean"]["test"]["rmse"] > 0


def test_reported_are_the_rows_of_the_kept_seed() -> None:
    other = predictions("class", dict.fromkeys(PREDICTED["class"], "x"))
    both = evaluated("class", runs={12: other, 13: predictions("class")})
    alone = evaluated("class")
    for split in ("dev", "test"):
        assert both.metrics[split] == alone.metrics[split]
    assert (both.confusion, both.calibration, both.mistakes) == (
        alone.confusion,
        alone.calibration,
        alone.mistakes,
    )


@pytest.mark.parametrize(
    ("kind", "pairs"),
    [
        ("class", [("y", "y"), ("y", "y"), ("z", "x")]),
        ("classes", [("x", "x"), ("y", "y"), ("(none)", "x"), ("z", "(none)"), ("x", "x")]),
        ("number", [(2.0, 2.0), (2.5, 2.5), (-1.0, 0.0)]),
        (
            "tags",
            [
                ("D", "D"),
                ("D", "D"),
                ("D", "(none)"),
                ("D", "D"),
                ("D", "D"),
                ("N", "N"),
                ("N", "D"),
            ],
        ),
        # Words outside of entities in both are left out.
        ("bio", [("x", "x"), ("x", "x"), ("x", "O"), ("O", "y"), ("z", "z")]),
    ],
)
def test_pairs_are_those_of_the_test_split(kind: str, pairs: list[tuple[Any, Any]]) -> None:
    assert evaluated(kind).confusion == pairs


def test_an_empty_split_is_refused() -> None:
    without = Labels(IDS, ["dev" if s == "train" else s for s in SPLITS], CLASSES, "class", "d")
    rows = [{"id": row_id, **row("class", "x")} for row_id in IDS]
    own = default_label_type(without.kind)
    runs = {Run(None, 1): by_id(rows, without, own)}
    with pytest.raises(DataError, match="the train split is empty"):
        evaluate(own, without, TEXTS, runs, kept=Run(None, 1))
