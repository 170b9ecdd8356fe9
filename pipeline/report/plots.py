"""Plots as Vega-Lite: what is drawn, not how it looks; colours and fonts are the page's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from pipeline.evaluation.rivals import TITLES

Spec: TypeAlias = dict[str, Any]
Values: TypeAlias = Sequence[Mapping[str, Any]]

MOST_POINTS = 2000
"""Points of a scatter that are drawn."""

_SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
_HEIGHT = 200
_SHAPES = ["circle", "diamond", "triangle-up", "cross", "square"]


@dataclass(frozen=True)
class Plot:
    """A plot and the words that go with it.

    Attributes:
        id: of the element that it is drawn in.
        caption: what it shows.
        spec: Vega-Lite.
        wide: whether it takes the whole width.
    """

    id: str
    caption: str
    spec: Spec
    wide: bool = False


def scores_spec(rows: Values) -> Spec:
    """Heads one below the other: the score with its interval, and what it is measured against.

    Args:
        rows: with ``head``, ``score`` (its name), ``value``, ``low``, ``high``, and perhaps
            rivals by their keys.
    """
    heads = [row["head"] for row in rows]
    y = {"field": "head", "type": "nominal", "sort": heads, "title": None}
    scale = {"zero": True, "nice": True}
    named = {"value": "head", **dict(reversed(TITLES.items()))}
    points = [
        {"head": row["head"], "score": row["score"], "series": series, "value": row[key]}
        for row in rows
        for key, series in named.items()
        if row.get(key) is not None
    ]
    series = [name for name in named.values() if any(point["series"] == name for point in points)]
    interval = {
        "data": {"values": [row for row in rows if row.get("low") is not None]},
        "mark": {"type": "rule", "strokeWidth": 2},
        "encoding": {
            "y": y,
            "x": {"field": "low", "type": "quantitative", "scale": scale, "title": "score on test"},
            "x2": {"field": "high"},
            "color": {"datum": "head"},
        },
    }
    marks = {
        "data": {"values": points},
        "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1, "tooltip": True},
        "encoding": {
            "y": y,
            "x": {"field": "value", "type": "quantitative", "scale": scale},
            "color": {
                "field": "series",
                "type": "nominal",
                "scale": {"domain": series},
                "legend": {"title": None, "orient": "top"},
            },
            "shape": {
                "field": "series",
                "type": "nominal",
                "scale": {"domain": series, "range": _SHAPES[: len(series)]},
            },
        },
    }
    return plot({"layer": [interval, marks]}, height=40 * len(heads))


def curves_spec(epochs: Values, series: Mapping[str, str], title: str) -> Spec:
    """Lines over epochs.

    Args:
        epochs: with ``epoch`` and a number for each key of ``series``.
        series: names of lines by the field that they draw.
        title: of the vertical axis.
    """
    values = [
        {"epoch": row["epoch"], "series": name, "value": row[key]}
        for key, name in series.items()
        for row in epochs
    ]
    encoding: Spec = {
        "x": {"field": "epoch", "type": "quantitative", "axis": {"tickMinStep": 1, "format": "d"}},
        "y": {"field": "value", "type": "quantitative", "title": title, "scale": {"zero": False}},
    }
    if len(series) > 1:
        encoding["color"] = {
            "field": "series",
            "type": "nominal",
            "scale": {"domain": list(series.values())},
            "legend": {"title": None, "orient": "top"},
        }
    encoding["tooltip"] = [
        {"field": "series", "title": "of"},
        {"field": "epoch"},
        {"field": "value", "title": title, "format": ".4f"},
    ]
    return plot(
        {
            "data": {"values": values},
            "mark": {"type": "line", "point": {"size": 36}, "strokeWidth": 2},
            "encoding": encoding,
        }
    )


def shares_spec(shares: Values) -> Spec:
    """Bars: how much of each layer a scalar mix takes; rows with ``layer`` and ``share``."""
    layers = [str(row["layer"]) for row in shares]
    return plot(
        {
            "data": {"values": [{**row, "layer": str(row["layer"])} for row in shares]},
            "mark": {"type": "bar", "tooltip": True, "cornerRadiusEnd": 2},
            "encoding": {
                "y": {"field": "layer", "type": "nominal", "sort": layers, "title": "layer"},
                "x": {
                    "field": "share",
                    "type": "quantitative",
                    "axis": {"format": "%"},
                    "scale": {"domainMin": 0},
                },
            },
        },
        height=26 * len(layers),
    )


def calibration_spec(bins: Values) -> Spec:
    """Points: how right the head is by how sure it is; ``confidence``, ``accuracy``, ``texts``."""
    lowest = min([0.9, *(row[name] for row in bins for name in ("confidence", "accuracy"))])
    domain = [int(lowest * 10) / 10, 1]
    x = {"type": "quantitative", "scale": {"domain": domain}}
    diagonal = {
        "data": {"values": [{"at": end} for end in domain]},
        "mark": {"type": "line", "strokeDash": [4, 4], "strokeWidth": 1},
        "encoding": {
            "x": {**x, "field": "at"},
            "y": {**x, "field": "at"},
            "color": {"datum": "as sure as right"},
        },
    }
    points = {
        "data": {"values": bins},
        "mark": {"type": "point", "filled": True, "size": 80, "tooltip": True},
        "encoding": {
            "x": {**x, "field": "confidence", "title": "how sure"},
            "y": {**x, "field": "accuracy", "title": "how often right"},
            "color": {
                "datum": "the head",
                "scale": {"domain": ["the head", "as sure as right"]},
                "legend": {"title": None, "orient": "top"},
            },
            "tooltip": [
                {"field": "confidence", "format": ".3f", "title": "how sure"},
                {"field": "accuracy", "format": ".3f", "title": "how often right"},
                {"field": "texts"},
            ],
        },
    }
    return plot({"layer": [diagonal, points]})


def scatter_spec(pairs: Sequence[tuple[float, float]]) -> Spec:
    """Points: numbers as they are and as the head has them."""
    shown = pairs[:MOST_POINTS]
    ends = [min(map(min, shown)), max(map(max, shown))]
    diagonal = {
        "data": {"values": [{"at": end} for end in ends]},
        "mark": {"type": "line", "strokeDash": [4, 4], "strokeWidth": 1},
        "encoding": {
            "x": {"field": "at", "type": "quantitative"},
            "y": {"field": "at", "type": "quantitative"},
        },
    }
    points = {
        "data": {"values": [{"actual": a, "predicted": p} for a, p in shown]},
        "mark": {"type": "point", "filled": True, "opacity": 0.5, "tooltip": True},
        "encoding": {
            name: {
                "field": field,
                "type": "quantitative",
                "title": field,
                "scale": {"zero": False},
            }
            for name, field in (("x", "actual"), ("y", "predicted"))
        },
    }
    return plot({"layer": [diagonal, points]}, height=280)


def counts_spec(counts: Mapping[str, Mapping[str, int]], classes: Sequence[str]) -> Spec:
    """Bars: the share that each class has in each split.

    Args:
        counts: of classes by split.
        classes: those to draw, in order.
    """
    values = [
        {"split": split, "class": name, "share": own.get(name, 0) / total, "rows": own.get(name, 0)}
        for split, own in counts.items()
        if (total := sum(own.values()))
        for name in classes
    ]
    return plot(
        {
            "data": {"values": values},
            "mark": {"type": "bar", "tooltip": True},
            "encoding": {
                "y": {"field": "class", "type": "nominal", "sort": list(classes), "title": None},
                "yOffset": {"field": "split", "type": "nominal", "sort": list(counts)},
                "x": {
                    "field": "share",
                    "type": "quantitative",
                    "axis": {"format": "%"},
                    "title": "share of the split",
                },
                "color": {
                    "field": "split",
                    "type": "nominal",
                    "scale": {"domain": list(counts)},
                    "legend": {"title": None, "orient": "top"},
                },
            },
        },
        height=(9 * len(counts) + 6) * len(classes),
    )


def plot(spec: Spec, *, height: int = _HEIGHT) -> Spec:
    """A plot as wide as its place."""
    return {
        "$schema": _SCHEMA,
        "width": "container",
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        **spec,
    }
