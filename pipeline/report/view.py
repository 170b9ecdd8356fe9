"""All that the page shows, and the data that its script reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.corpus.texts import Text
from pipeline.evaluation.headlines import headlines, score_title
from pipeline.evaluation.rivals import TITLES
from pipeline.evaluation.verdict import best_rival
from pipeline.report.artefacts import HeadInput, Inputs
from pipeline.report.corpus_view import CorpusView, corpus_view, features_table
from pipeline.report.examples import Example, shown_text
from pipeline.report.head_view import HeadView, head_view
from pipeline.report.page_tables import Column, Table, interval_cell, score_cell, text_cell
from pipeline.report.plots import Plot, scores_spec
from pipeline.report.segments import Segment
from pipeline.report.study_view import StudyView, study_view


@dataclass(frozen=True)
class View:
    """The page.

    Attributes:
        overview: a row per head; none without heads.
        overview_plot: the same, drawn.
        features: a row per features row.
        texts: whether the page holds texts.
        data: what the script reads: ``plots`` by id, ``heads`` with their examples, ``texts``.
    """

    overview: Table | None
    overview_plot: Plot | None
    heads: list[HeadView]
    corpora: list[CorpusView]
    features: Table
    studies: list[StudyView]
    texts: bool
    data: Mapping[str, Any]


def make_view(inputs: Inputs, *, texts: bool) -> View:
    """The page of what the stages wrote.

    Args:
        inputs: what they wrote.
        texts: whether the page holds texts; without, ``inputs`` should hold none.
    """
    by_corpus: dict[str, Mapping[str, Text]] = {
        corpus.name: corpus.texts if texts else {} for corpus in inputs.corpora
    }
    heads = [head_view(head, by_corpus.get(head.corpus, {})) for head in inputs.heads]
    corpora = [corpus_view(corpus) for corpus in inputs.corpora]
    studies = [study_view(study) for study in inputs.studies]
    overview_plot = _overview_plot(inputs.heads)
    plots = [
        *([overview_plot] if overview_plot else []),
        *(plot for head in heads for plot in head.plots),
        *(plot for corpus in corpora for plot in corpus.plots),
        *(plot for study in studies for plot in study.plots),
    ]
    return View(
        overview=_overview(inputs.heads),
        overview_plot=overview_plot,
        heads=heads,
        corpora=corpora,
        features=features_table(inputs.features),
        studies=studies,
        texts=texts,
        data={
            "plots": {plot.id: plot.spec for plot in plots},
            "heads": {head.name: _head_data(head) for head in heads},
            "texts": _texts(heads, by_corpus),
        },
    )


def _overview(heads: Sequence[HeadInput]) -> Table | None:
    if not heads:
        return None
    rivals = [key for key in TITLES if any(key in head.metrics["test"] for head in heads)]
    columns = [
        Column("head"),
        Column("score"),
        Column("dev", number=True),
        Column("test (95% interval)", number=True),
        *(Column(TITLES[key], number=True) for key in rivals),
        Column("over the best on dev", number=True),
    ]
    rows = []
    for head in heads:
        dev, test = head.metrics["dev"], head.metrics["test"]
        name = headlines(test)[0]
        best = best_rival(dev)
        rows.append(
            [
                text_cell(head.name),
                text_cell(score_title(name)),
                score_cell(dev[name]),
                interval_cell(test, name),
                *(score_cell(test.get(key, {}).get(name)) for key in rivals),
                score_cell(None)
                if best is None
                else interval_cell(test[best]["margin"], name, signed=True),
            ]
        )
    return Table("Heads", columns, rows)


def _overview_plot(heads: Sequence[HeadInput]) -> Plot | None:
    rows = []
    for head in heads:
        test = head.metrics["test"]
        name = headlines(test)[0]
        if test[name] is None:
            continue
        rows.append(
            {
                "head": head.name,
                "score": score_title(name),
                "value": test[name],
                "low": test[f"{name}_low"],
                "high": test[f"{name}_high"],
                **{rival: test[rival][name] for rival in TITLES if rival in test},
            }
        )
    if not rows:
        return None
    return Plot(
        "overview",
        "The first score of each head on test, with its 95% interval",
        scores_spec(rows),
        wide=True,
    )


def _head_data(head: HeadView) -> dict[str, Any]:
    return {
        "corpus": head.corpus,
        "numeric": head.numeric,
        "labels": list(head.matrix.labels) if head.matrix else [],
        "rows": [_example_data(row) for row in head.rows],
    }


def _example_data(row: Example) -> dict[str, Any]:
    return {
        "id": row.id,
        "split": row.split,
        "right": row.right,
        "sure": None if row.sure is None else round(row.sure, 6),
        "gold": row.gold,
        "predicted": row.predicted,
        "cells": [f"{actual}:{predicted}" for actual, predicted in row.cells],
        "segments": [_segment_data(segment) for segment in row.segments],
        "more": row.more_words,
    }


def _segment_data(segment: Segment) -> list[Any]:
    """``[text]`` of plain words; else with gold, predicted, and letters for what is true of it."""
    flags = "".join(
        letter
        for letter, true in (
            ("g", segment.gold_ends),
            ("p", segment.predicted_ends),
            ("r", segment.right),
            ("u", segment.unread),
        )
        if true
    )
    if segment.gold is None and segment.predicted is None and not flags:
        return [segment.text]
    return [segment.text, segment.gold, segment.predicted, flags]


def _texts(
    heads: Sequence[HeadView], by_corpus: Mapping[str, Mapping[str, Text]]
) -> dict[str, dict[str, tuple[str, ...]]]:
    """The texts that examples show, by corpus and id; a tagged sentence is in its segments."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for head in heads:
        texts = by_corpus.get(head.corpus, {})
        for row in head.rows:
            if row.id in texts and not row.segments:
                found.setdefault(head.corpus, {})[row.id] = shown_text(texts[row.id])
    return found
