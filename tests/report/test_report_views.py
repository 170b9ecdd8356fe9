"""What the page says of heads, corpora and studies, table by table."""

from __future__ import annotations

from dataclasses import replace

import pytest
from written import KINDS, read_all, write_all

from pipeline.evaluation.verdict import best_rival
from pipeline.report.artefacts import CorpusInput, StudyInput
from pipeline.report.corpus_view import MOST_CLASSES, corpus_view, features_table
from pipeline.report.head_view import head_view
from pipeline.report.study_view import MOST_ROWS, study_view
from pipeline.report.view import make_view


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return read_all(write_all(tmp_path_factory.mktemp("all")))


@pytest.fixture(scope="module")
def heads(inputs):
    return {head.name: (head, head_view(head, {})) for head in inputs.heads}


def sorts(table, column):
    return [row[column].sort for row in table.rows]


def titles(table):
    return [column.title for column in table.columns]


def corpus(**report):
    return CorpusInput("mail", {"rows": 10, "splits": {"train": 8, "dev": 2}, **report}, {})


def test_heads_stand_beside_their_rivals(inputs, heads):
    overview = make_view(inputs, texts=False).overview
    assert sorts(overview, 0) == sorted(KINDS)
    for row, name in zip(overview.rows, sorted(KINDS), strict=True):
        test = heads[name][0].metrics["test"]
        score = next(key.removesuffix("_low") for key in test if key.endswith("_low"))
        assert [cell.sort for cell in row[2:]] == [
            heads[name][0].metrics["dev"][score],
            test[score],
            test["baseline"][score],
            test["probe"][score],
            test[best_rival(heads[name][0].metrics["dev"])]["margin"][score],
        ]
    assert titles(overview)[4:] == ["baseline", "linear probe", "over the best on dev"]


@pytest.mark.parametrize("name", KINDS)
def test_scores_are_those_of_the_metrics(heads, name):
    head, view = heads[name]
    found = {(row[0].text, row[1].text): row for row in view.scores.rows}
    for split in ("dev", "test"):
        scores = head.metrics[split]
        headlines = [key.removesuffix("_low") for key in scores if key.endswith("_low")]
        assert len(headlines) * 2 == len(found)
    assert {split for _, split in found} == {"dev", "test"}
    numbers = {row[0].text: row[2].sort for row in view.others.rows}
    assert numbers["examples"] == head.metrics["test"]["examples"]
    assert not set(numbers) & {title for title, _ in found}


def test_per_class_tables_and_matrices_are_of_their_kind(heads):
    captions = {name: view.details and view.details.caption for name, (_, view) in heads.items()}
    assert captions == {
        "topic": "Test, per class",
        "flags": "Test, per label",
        "stars": None,
        "names": "Test, per type",
        "pos": "Test, per tag",
    }
    assert {name for name, (_, view) in heads.items() if view.matrix is None} == {"stars"}


def test_the_matrix_counts_what_evaluate_wrote(inputs, heads, tmp_path):
    places = write_all(tmp_path)
    for name, (_, view) in heads.items():
        lines = (places.reports / "heads" / name / "confusion.csv").read_text(encoding="utf-8")
        if view.matrix is not None:
            assert sum(map(sum, view.matrix.counts)) == len(lines.splitlines()) - 1


def test_every_seed_is_listed_and_the_kept_one_named(heads):
    seeds = heads["topic"][1].runs
    assert [row[0].text for row in seeds.rows] == ["seed 13", "seed 14", "mean", "deviation"]
    assert [row[0].note for row in seeds.rows] == ["kept", "", "", ""]


def test_what_a_head_is(heads):
    facts = dict(heads["names"][1].facts)
    assert facts["layers"] == "4, 6 (mix)"
    assert facts["network"] == "bidirectional GRU 2 × 8"
    assert facts["kept"] == "epoch 2, seed 13, the best on dev"


def test_calibration_is_of_classes_and_points_are_of_numbers(heads):
    plots = {
        name: {plot.id.rsplit("-", 1)[1] for plot in view.plots}
        for name, (_, view) in heads.items()
    }
    assert plots["topic"] == {"loss", "score", "layers", "calibration"}
    assert plots["stars"] == {"loss", "score", "layers", "scatter"}
    assert plots["names"] == {"loss", "score", "layers"}


def test_layers_side_by_side_are_no_mix(inputs):
    head = next(head for head in inputs.heads if head.name == "topic")
    settings = {**head.description["settings"], "combine": "concat"}
    side_by_side = replace(head, description={**head.description, "settings": settings})
    plots = {plot.id.rsplit("-", 1)[1] for plot in head_view(side_by_side, {}).plots}
    assert plots == {"loss", "score", "calibration"}


def test_counts_of_a_corpus_have_their_shares():
    labels = {"topic": {"train": {"a": 6, "b": 2}, "dev": {"b": 2}}}
    view = corpus_view(corpus(labels=labels, warnings=["odd"], dropped=3))
    assert [row[1].note for row in view.splits.rows] == ["80.0%", "20.0%"]
    (table,) = view.labels
    assert [[cell.text for cell in row] for row in table.rows] == [["a", "6", "0"], ["b", "2", "2"]]
    assert [row[1].note for row in table.rows] == ["75.0%", "25.0%"]
    assert view.warnings == ["odd"]
    assert [[cell.text for cell in row] for row in view.counts.rows] == [["dropped", "3"]]


def test_numbers_have_their_spread():
    spread = {"train": {"count": 8, "mean": 2.5}, "dev": {}}
    view = corpus_view(corpus(labels={"stars": spread}))
    assert titles(view.labels[0]) == ["split", "count", "mean"]
    assert view.plots == []


def test_many_classes_are_cut_and_the_page_says_so():
    counts = {f"c{place:03}": 100 - place for place in range(60)}
    view = corpus_view(corpus(labels={"intent": {"train": counts}}))
    assert sorts(view.labels[0], 0) == list(counts)[:MOST_CLASSES]
    assert view.notes == ["intent: the 40 most frequent of 60 are listed."]
    assert view.plots[0].caption.endswith("the 20 most frequent of 60")


def test_features_have_the_columns_of_all_of_them():
    table = features_table({"a": {"layers": [4, 6], "tokens": 5}, "b": {"layers": [1], "rows": 2}})
    assert titles(table) == ["features", "layers", "tokens", "rows"]
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["a", "4, 6", "5", "–"],
        ["b", "1", "–", "2"],
    ]


def test_a_study_has_whatever_columns_its_tables_have():
    rows = [{"trial": str(place), "score": "0.5", "cell": "gru"} for place in range(MOST_ROWS + 1)]
    view = study_view(StudyInput("cells", {"trials.csv": rows}))
    assert titles(view.tables[0]) == ["trial", "score", "cell"]
    assert [column.number for column in view.tables[0].columns] == [True, True, False]
    assert view.notes == [f"trials.csv: the first {MOST_ROWS} of {MOST_ROWS + 1} rows."]
    assert len(view.plots) == 1
    unknown = {"trials.csv": [{"a": "1"}], "layers.csv": [], "labels.csv": [{"label": "2020"}]}
    odd = study_view(StudyInput("odd", unknown))
    assert odd.plots == []
    assert [table.caption for table in odd.tables] == ["Trials", "F1 of each label, on dev"]
    assert odd.tables[1].rows[0][0].text == "2020"


def test_the_best_so_far_never_falls_and_is_of_a_complete_trial():
    scores = [(0.9, "pruned"), (0.2, "complete"), (0.5, "complete"), (0.3, "complete")]
    rows = [
        {"trial": str(place), "score": str(score), "state": state}
        for place, (score, state) in enumerate([*scores, ("", "failed"), (0.6, "complete")])
    ]
    (plot,) = study_view(StudyInput("cells", {"trials.csv": rows})).plots
    values = plot.spec["data"]["values"]
    assert [row["best"] for row in values] == [None, 0.2, 0.5, 0.5, 0.6]
    assert [row["trial"] for row in values] == [0, 1, 2, 3, 5]


def test_readings_of_layers_are_drawn_with_the_intervals_that_they_have():
    row = {"reading": "layer 4", "head_score": "0.5", "head_low": "0.4", "head_high": "0.6"}
    row |= {"head_floor": "0.1", "probe_score": "0.3", "probe_low": "", "probe_control": "0.2"}
    (plot,) = study_view(StudyInput("layers", {"layers.csv": [row]})).plots
    points = plot.spec["layer"][1]["data"]["values"]
    assert [(point["series"], point["score"], point["low"]) for point in points] == [
        ("head", 0.5, 0.4),
        ("linear probe", 0.3, None),
        ("head on random weights", 0.1, None),
    ]


def test_every_plot_is_vega_lite(inputs):
    vl_convert = pytest.importorskip("vl_convert")
    specs = make_view(inputs, texts=False).data["plots"]
    assert len(specs) > 20
    for spec in specs.values():
        assert vl_convert.vegalite_to_vega(spec)["marks"]
