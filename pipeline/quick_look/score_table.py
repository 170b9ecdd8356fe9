"""The table of a quick look: a line per probe, with a bar where there is a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.quick_look.layer_scores import LabelScores, LayerScore

_BAR = 40
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def heading(label: str, metric: str) -> str:
    """What the lines below it are."""
    return f"{label}: {metric} on dev, linear probes"


def line(row: LayerScore, *, longest: Sequence[int], bars: bool) -> str:
    """One probe.

    Args:
        row: its score.
        longest: layers with the longest name, for the width of the first column.
        bars: whether to draw the score from 0 to 1.
    """
    width = len(layer_names(longest))
    pairs = "" if row.pairs is None else f"  {row.pairs:8}"
    text = f"{layer_names(row.layers):{width}}{pairs}  {row.score:6.3f}"
    return f"{text}  {_bar(row.score)}".rstrip() if bars else text


def summary(scores: LabelScores) -> str:
    """The best probe, and the best of several layers, which `init` keeps."""
    best = scores.best
    pairs = "" if best.pairs is None else f", pairs {best.pairs}"
    found = f"best: {layer_names(best.layers)}{pairs}"
    if scores.several is None or scores.several == best.layers:
        return found
    return f"{found}; of several, {layer_names(scores.several)}"


def layer_names(layers: Sequence[int]) -> str:
    """Layers in words."""
    return f"layer{'s' if len(layers) > 1 else ''} {', '.join(map(str, layers))}"


def _bar(score: float) -> str:
    eighths = round(max(0.0, min(score, 1.0)) * _BAR * 8)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
