"""Plots of studies as Vega-Lite; see ``plots``."""

from __future__ import annotations

from pipeline.report.plots import Spec, Values, plot


def trials_spec(trials: Values) -> Spec:
    """Points and a step line: the score of each trial, and the best so far.

    Args:
        trials: with ``trial``, ``score`` and ``state``; only complete ones can be the best.
    """
    best: float | None = None
    values = []
    for row in sorted(trials, key=lambda row: float(row["trial"])):
        if row["state"] == "complete":
            best = row["score"] if best is None else max(best, row["score"])
        values.append({**row, "best": best})
    states = sorted({str(row["state"]) for row in trials})
    x = {"field": "trial", "type": "quantitative", "axis": {"tickMinStep": 1, "format": "d"}}
    y = {"type": "quantitative", "title": "score on dev", "scale": {"zero": False}}
    legend = {"title": None, "orient": "top", "symbolOpacity": 1}
    color = {"scale": {"domain": [*states, "best so far"]}, "legend": legend}
    line = {
        "mark": {"type": "line", "interpolate": "step-after"},
        "encoding": {
            "x": x,
            "y": {**y, "field": "best"},
            "color": {**color, "datum": "best so far", "title": None},
        },
    }
    points = {
        "mark": {"type": "point", "filled": True, "size": 50, "opacity": 1, "tooltip": True},
        "encoding": {
            "x": x,
            "y": {**y, "field": "score"},
            "color": {**color, "field": "state", "type": "nominal", "title": None},
        },
    }
    return plot({"data": {"values": values}, "layer": [line, points]}, height=240)


def layers_spec(rows: Values) -> Spec:
    """Points with intervals, one series beside the other at each reading of the layers.

    Args:
        rows: with ``reading``, ``series`` and ``score``, and perhaps ``low`` and ``high``.
    """
    readings = list(dict.fromkeys(row["reading"] for row in rows))
    series = list(dict.fromkeys(row["series"] for row in rows))
    shared = {
        "x": {
            "field": "reading",
            "type": "ordinal",
            "sort": readings,
            "title": None,
            "axis": {"labelAngle": 0, "labelOverlap": True},
        },
        "xOffset": {"field": "series", "type": "nominal", "sort": series},
        "color": {
            "field": "series",
            "type": "nominal",
            "scale": {"domain": series},
            "legend": {"title": None, "orient": "top"},
        },
    }
    y = {"type": "quantitative", "title": "score on dev", "scale": {"zero": False}}
    intervals = {
        "data": {"values": [row for row in rows if row["low"] is not None]},
        "mark": {"type": "rule", "strokeWidth": 2},
        "encoding": {**shared, "y": {**y, "field": "low"}, "y2": {"field": "high"}},
    }
    points = {
        "data": {"values": list(rows)},
        "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1, "tooltip": True},
        "encoding": {**shared, "y": {**y, "field": "score"}},
    }
    return plot({"layer": [intervals, points]}, height=260)
