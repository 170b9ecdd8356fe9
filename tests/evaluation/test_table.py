"""Metrics as lines: headlines and margins per split, then an aligned table of the test split."""

from __future__ import annotations

import re
from typing import Any

import pytest
from evaluated import HEADLINES, evaluated, predictions

from pipeline.core.errors import DataError
from pipeline.corpus.folds import Run
from pipeline.evaluation.headlines import headlines
from pipeline.evaluation.runs import with_spread
from pipeline.evaluation.table import results_table, summary
from pipeline.evaluation.verdict import verdict


def with_probe(kind: str, *, seeds: int = 1) -> dict[str, Any]:
    runs = {13 + number: predictions(kind) for number in range(seeds)}
    return evaluated(kind, runs=runs, probe=predictions(kind)).metrics


def right_edges(line: str) -> list[int]:
    """Where each word ends, the first one aside: names are aligned at their left."""
    return [word.end() for word in re.finditer(r"\S+", line)][1:]


@pytest.mark.parametrize("kind", HEADLINES)
def test_headlines_are_the_scores_with_intervals(kind: str) -> None:
    assert headlines(evaluated(kind).metrics["test"]) == HEADLINES[kind]


def test_summary_begins_with_headlines_and_margins_per_split() -> None:
    metrics = {
        split: {
            "accuracy": 0.5,
            "accuracy_low": 0.25,
            "accuracy_high": 0.75,
            "macro_f1": 0.4,
            "macro_f1_low": 0.3,
            "macro_f1_high": 0.5,
            "baseline": {
                "name": "majority class",
                "accuracy": 0.3,
                "macro_f1": 0.1,
                "margin": {
                    "accuracy": 0.2,
                    "accuracy_low": -0.1,
                    "accuracy_high": 0.3,
                    "macro_f1": 0.3,
                    "macro_f1_low": 0.2,
                    "macro_f1_high": 0.4,
                },
            },
        }
        for split in ("dev", "test")
    }
    scores = "accuracy 0.500 [0.250, 0.750], macro F1 0.400 [0.300, 0.500]"
    against = (
        "  majority class: accuracy 0.300, margin +0.200 [-0.100, +0.300]; "
        "macro F1 0.100, margin +0.300 [+0.200, +0.400]"
    )
    assert summary(metrics) == [
        f"dev: {scores}",
        against,
        f"test: {scores}",
        against,
        verdict(metrics).rivals,
    ]


@pytest.mark.parametrize("kind", HEADLINES)
def test_summary_names_both_baselines_and_the_seeds(kind: str) -> None:
    lines = summary(with_probe(kind, seeds=2))
    assert [line.split(":")[0] for line in lines[:6:3]] == ["dev", "test"]
    assert lines[2].startswith("  linear probe: ")
    assert lines[6].startswith("test, mean and deviation of 2 seeds: ")
    assert lines[6].endswith("; kept: 13")
    assert "None" not in "".join(lines)
    assert "nan" not in "".join(lines)


def test_undefined_scores_are_a_dash() -> None:
    lines = summary(evaluated("number").metrics)
    assert "mean: Spearman –, margin –; Pearson –, margin –; RMSE " in lines[1]


@pytest.mark.parametrize(
    ("kind", "table"),
    [("class", "per_class"), ("classes", "per_label"), ("tags", "per_tag"), ("bio", "per_type")],
)
def test_summary_has_an_aligned_row_per_name_of_the_test_split(kind: str, table: str) -> None:
    metrics = evaluated(kind).metrics
    rows = metrics["test"][table]
    heading, *lines, last = summary(metrics)[4:]
    assert last == "; ".join(verdict(metrics).sentences)
    assert heading.split()[:3] == ["test", "precision", "recall"]
    assert [line.split()[0] for line in lines] == list(rows)
    for line, row in zip(lines, rows.values(), strict=True):
        assert line.split()[1:4] == [f"{row[name]:.3f}" for name in ("precision", "recall", "f1")]
        assert line.split()[-1] == str(row["support"])
    assert [right_edges(line) for line in lines] == [right_edges(heading)] * len(lines)


def test_numbers_have_no_table() -> None:
    assert len(summary(evaluated("number").metrics)) == 5


def test_results_are_one_markdown_row_per_head() -> None:
    heads = {"topic": with_probe("class"), "score": evaluated("number").metrics}
    *lines, blank, first, second = results_table(heads)
    heading, _, topic, score = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines
    ]
    assert heading == [
        "head",
        "score",
        "dev",
        "test (95%)",
        "baseline",
        "linear probe",
        "over the best (95%)",
    ]
    test = heads["topic"]["test"]
    assert topic[:3] == ["`topic`", "accuracy", "0.500"]
    assert topic[3] == (f"0.667 [{test['accuracy_low']:.3f}, {test['accuracy_high']:.3f}]")
    assert topic[-2:] == ["0.667", "+0.000 [+0.000, +0.000], linear probe"]
    assert score[:2] == ["`score`", "Spearman"]
    assert score[4:] == ["–", "", ""]
    assert len({len(line) for line in lines}) == 1
    assert blank == ""
    assert first == f"- `topic`: {'; '.join(verdict(heads['topic']).sentences)}."
    assert second == "- `score`: no rival has a score on dev to compare with."


def test_results_of_several_seeds_have_mean_and_deviation() -> None:
    lines = results_table({"one": evaluated("bio").metrics, "two": with_probe("bio", seeds=2)})
    heading, _, one, two, *_ = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines
    ]
    column = heading.index("test, all runs")
    mean = evaluated("bio").metrics["test"]["entity_f1"]
    assert (one[column], two[column]) == ("", f"{mean:.3f} ± 0.000")


def in_folds(*, seeds: int) -> dict[str, Any]:
    """Metrics as those of three folds, of which only what runs say matters here."""
    metrics = evaluated("class").metrics
    scores = {split: dict.fromkeys(HEADLINES["class"], 0.5) for split in ("dev", "test")}
    runs = {
        Run(fold, 13 + number): {
            split: {name: value + fold / 10 for name, value in names.items()}
            for split, names in scores.items()
        }
        for fold in (1, 2, 3)
        for number in range(seeds)
    }
    return {**metrics, "fold": 2, "runs": with_spread(runs)}


def test_summary_and_results_tell_the_mean_and_deviation_of_folds() -> None:
    scores = "accuracy 0.700 ± 0.100, macro F1 0.700 ± 0.100"
    line = summary(in_folds(seeds=1))[4]
    assert line == f"test, mean and deviation of 3 folds: {scores}; kept: fold 2"
    line = summary(in_folds(seeds=2))[4]
    assert line == (
        f"test, mean and deviation of 3 folds with 2 seeds each: {scores}; kept: fold 2, seed 13"
    )
    heading, _, one, *_ = results_table({"one": in_folds(seeds=1)})
    column = [cell.strip() for cell in heading.strip("|").split("|")].index("test, all runs")
    assert one.strip("|").split("|")[column].strip() == "0.700 ± 0.100"


def test_metrics_of_another_version_are_refused() -> None:
    with pytest.raises(DataError, match="head 'old' are of another version; run `dvc repro`"):
        results_table({"old": {"dev": {"accuracy": 0.5}, "test": {"accuracy": 0.5}}})
