"""View of one head in the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.corpus.texts import Text
from pipeline.evaluation.headlines import headlines, score_title
from pipeline.evaluation.predictions import SPLITS
from pipeline.evaluation.rivals import TITLES
from pipeline.evaluation.verdict import Verdict, verdict
from pipeline.report.artefacts import HeadInput, Rows
from pipeline.report.confusion import Matrix, confusion_matrix
from pipeline.report.examples import Example, examples
from pipeline.report.page_tables import (
    Cell,
    Column,
    Table,
    count_cell,
    flat,
    interval_cell,
    score_cell,
    text_cell,
    value_cell,
)
from pipeline.report.plots import Plot, calibration_spec, curves_spec, scatter_spec, shares_spec
from pipeline.tasks.label_type import Pair

_DETAILS = ("per_class", "per_label", "per_tag", "per_type")
_NOT_OTHERS = ("examples", *TITLES, *_DETAILS)


@dataclass(frozen=True)
class HeadView:
    """A head in the page.

    Attributes:
        numeric: whether labels are numbers.
        on_words: whether every word has a label.
        has_entities: whether labels are tags of entities.
        facts: what it is, name and value.
        verdict: what its scores say in words.
        scores: headline scores beside their rivals.
        others: further numbers.
        details: scores per class, label, tag or type, where the kind has them.
        runs: scores of every run, where there are several seeds or folds.
        matrix: of the test split; none for numbers.
        rows: examples that the page holds, of ``total``.
        provenance: digests, name and value.
    """

    name: str
    corpus: str
    numeric: bool
    on_words: bool
    has_entities: bool
    facts: list[tuple[str, str]]
    verdict: Verdict
    scores: Table
    others: Table
    details: Table | None
    runs: Table | None
    plots: list[Plot]
    matrix: Matrix | None
    counted: str
    rows: list[Example]
    total: int
    provenance: list[tuple[str, str]]


def head_view(head: HeadInput, texts: Mapping[str, Text]) -> HeadView:
    """Everything about one head.

    Args:
        head: what its stages wrote.
        texts: of its corpus by id; empty where texts are left out.
    """
    label_type = head.label_type
    pairs = _test_pairs(head)
    matrix = None if label_type.confusion_counts is None else confusion_matrix(pairs)
    rows, total = examples(label_type, head.labels, head.predictions, matrix, texts)
    return HeadView(
        name=head.name,
        corpus=head.corpus,
        numeric=label_type.confusion_counts is None,
        on_words=label_type.on_words,
        has_entities=label_type.scheme is not None,
        facts=_facts(head),
        verdict=verdict(head.metrics),
        scores=_scores(head.metrics),
        others=_others(head.metrics),
        details=_details(head.metrics["test"]),
        runs=_runs(head.metrics),
        plots=_plots(head, pairs),
        matrix=matrix,
        counted=label_type.confusion_counts or "",
        rows=rows,
        total=total,
        provenance=_provenance(head),
    )


def _test_pairs(head: HeadInput) -> list[Pair]:
    labels = head.labels
    test = [place for place, split in enumerate(labels.splits) if split == "test"]
    return head.label_type.pairs(
        [labels.values[place] for place in test],
        [head.predictions[labels.ids[place]] for place in test],
    )


def _facts(head: HeadInput) -> list[tuple[str, str]]:
    description, settings = head.description, head.description["settings"]
    recurrent = settings.get("recurrent") or {}
    layers = ", ".join(map(str, description["layers"]))
    facts = {
        "task": settings["task"].replace("_", " "),
        "label": f"{settings['label']} of {settings['corpus']}",
        "features": settings["features"],
        "layers": f"{layers} ({settings['combine']})" if len(description["layers"]) > 1 else layers,
        "network": " ".join(
            str(part)
            for part in (
                "bidirectional" if recurrent.get("bidirectional") else "",
                str(recurrent.get("cell", "")).upper(),
                f"{recurrent.get('num_layers')} × {recurrent.get('hidden_size')}",
            )
            if part
        ),
        "parameters": count_cell(description["parameters"]).text,
        "kept": ", ".join([f"epoch {description['best_epoch']}", *_run(description)]),
    }
    return list(facts.items())


def _run(description: Mapping[str, Any]) -> list[str]:
    """Name of the run that the head is from, in words, where there are several."""
    fold, seeds = description["fold"], description["settings"]["training"]["seeds"]
    parts = [] if fold is None else [f"tested on fold {fold}"]
    if len(seeds) > 1:
        parts.append(f"seed {description['seed']}")
    return [*parts, "the best on dev"] if parts else []


def _scores(metrics: Mapping[str, Any]) -> Table:
    rivals = {rival: name for rival, name in TITLES.items() if rival in metrics["test"]}
    columns = [Column("score"), Column("split"), Column("head (95% interval)", number=True)]
    for name in rivals.values():
        columns += [Column(name, number=True), Column("better by (95% interval)", number=True)]
    rows = []
    for name in headlines(metrics["test"]):
        for split in SPLITS:
            scores = metrics[split]
            row = [text_cell(score_title(name)), text_cell(split), interval_cell(scores, name)]
            for rival in rivals:
                theirs = scores[rival]
                row += [
                    score_cell(theirs[name]),
                    interval_cell(theirs["margin"], name, signed=True),
                ]
            rows.append(row)
    return Table("Scores", columns, rows)


def _others(metrics: Mapping[str, Any]) -> Table:
    test = metrics["test"]
    heads = headlines(test)
    shown = {*_NOT_OTHERS, *heads, *(f"{name}_{end}" for name in heads for end in ("low", "high"))}
    names = ["examples", *(name for name in test if name not in shown)]
    return Table(
        "Further numbers",
        [Column("number"), *(Column(split, number=True) for split in SPLITS)],
        [
            [
                text_cell(score_title(name)),
                *(value_cell(metrics[split].get(name)) for split in SPLITS),
            ]
            for name in names
        ],
    )


def _details(test: Mapping[str, Any]) -> Table | None:
    name = next((name for name in _DETAILS if test.get(name)), None)
    if name is None:
        return None
    rows: Mapping[str, Mapping[str, Any]] = test[name]
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    what = name.removeprefix("per_")
    return Table(
        f"Test, per {what}",
        [Column(what), *(Column(score_title(column), number=True) for column in columns)],
        [
            [text_cell(label), *(value_cell(row.get(column)) for column in columns)]
            for label, row in rows.items()
        ],
    )


def _runs(metrics: Mapping[str, Any]) -> Table | None:
    runs: Mapping[str, Any] | None = metrics.get("runs")
    if runs is None:
        return None
    names = [(split, name) for split in SPLITS for name in headlines(metrics["test"])]
    seed, fold = metrics["seed"], metrics.get("fold")
    rows = []
    for run, scores in runs.items():
        kept = run in (f"seed_{seed}", f"fold_{fold}", f"fold_{fold}_seed_{seed}")
        title = text_cell(run.replace("_", " "), "kept" if kept else "")
        rows.append([title, *(score_cell(scores[split][name]) for split, name in names)])
    return Table(
        "Every run",
        [
            Column("run"),
            *(Column(f"{split}: {score_title(name)}", number=True) for split, name in names),
        ],
        rows,
    )


def _plots(head: HeadInput, pairs: list[Pair]) -> list[Plot]:
    tables = {name: _numbers(rows) for name, rows in head.tables.items()}
    settings = head.description["settings"]
    metric = score_title(str(settings["training"]["metric"]))
    found: list[tuple[str, str, dict[str, Any]]] = []
    if tables["history"]:
        series = {"train_loss": "train", "dev_loss": "dev"}
        found.append(("loss", "Loss by epoch", curves_spec(tables["history"], series, "loss")))
    if tables["scores"]:
        caption = f"Score on dev by epoch ({metric})"
        found.append(
            ("score", caption, curves_spec(tables["scores"], {"dev_score": "dev"}, metric))
        )
    if settings["combine"] == "mix" and len(tables["layers"]) > 1:
        caption = "Weights of the layers in the scalar mix"
        found.append(("layers", caption, shares_spec(tables["layers"])))
    if tables["calibration"]:
        caption = "Calibration on test: is it right as often as it is sure?"
        found.append(("calibration", caption, calibration_spec(tables["calibration"])))
    if head.label_type.confusion_counts is None and pairs:
        points = [(float(actual), float(predicted)) for actual, predicted in pairs]
        found.append(("scatter", "Numbers of test", scatter_spec(points)))
    return [Plot(f"head-{head.name}-{name}", caption, spec) for name, caption, spec in found]


def _numbers(rows: Rows) -> list[dict[str, Any]]:
    """A table of numbers; what is none is a name."""
    return [
        {
            name: cell.sort if _is_number(cell := value_cell(text)) else text
            for name, text in row.items()
        }
        for row in rows
    ]


def _is_number(cell: Cell) -> bool:
    return isinstance(cell.sort, int | float)


def _provenance(head: HeadInput) -> list[tuple[str, str]]:
    description = head.description
    recipe = flat(description["recipe"])
    return [
        ("texts: SHA-256", str(description["texts_sha256"])),
        *((f"recipe: {name}", str(value)) for name, value in recipe.items()),
        ("torch", str(description["torch"])),
        *((f"{path}: MD5", digest) for path, digest in head.digests.items()),
    ]
