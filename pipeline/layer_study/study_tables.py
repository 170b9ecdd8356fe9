"""Files of a layer study: two tables as CSV, and one for a paper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.core.files import csv_text
from pipeline.core.printing import printable
from pipeline.tasks.resampling import LOWER_IS_BETTER

_SCORES = (
    "score",
    "deviation",
    "low",
    "high",
    "accuracy",
    "control",
    "selectivity",
    "floor",
)


def layers_csv(study: Mapping[str, Any]) -> str:
    """A row per selection: scores of head and probe on dev, and how far it is behind the chosen."""
    columns = ["reading", "layers", "chosen"]
    columns += [f"{who}_{name}" for who in ("head", "probe") for name in _SCORES]
    columns += ["behind", "behind_low", "behind_high"]
    rows = []
    for name, selection in study["dev"].items():
        behind = selection["head"]["behind_chosen"] or {}
        rows.append(
            [
                *(name, " ".join(map(str, selection["layers"])), int(name == study["chosen"])),
                *(selection[who].get(score) for who in ("head", "probe") for score in _SCORES),
                *(behind.get(key) for key in ("value", "low", "high")),
            ]
        )
    return csv_text(columns, rows)


def labels_csv(study: Mapping[str, Any]) -> str:
    """A row per label: its support on dev, and the F1 of each reading's heads there."""
    names = list(study["dev"])
    return csv_text(
        ["label", "support", *names],
        (
            [label, row["support"], *(row["f1"][name] for name in names)]
            for label, row in study["labels"].items()
        ),
    )


def latex(study: Mapping[str, Any], *, title: str) -> str:
    """A table for a paper; needs the package ``booktabs``."""
    title = printable(title)
    floor = "floor" in next(iter(study["dev"].values()))["head"]
    heads = ["Reading", "Head", "Probe", "Control", "Selectivity", *(["Floor"] if floor else [])]
    lines = [
        "% needs \\usepackage{booktabs}",
        f"\\begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}",
        "\\toprule",
        " & ".join(heads) + " \\\\",
        "\\midrule",
        *(
            _latex_row(name.capitalize(), selection, study["metric"], best=name == study["chosen"])
            for name, selection in study["dev"].items()
        ),
        "\\midrule",
        _latex_row(f"{study['chosen'].capitalize()}, test", study["test"], study["metric"]),
        "\\bottomrule",
        "\\end{tabular}",
        f"% {title}: {study['metric']} on dev, mean over {len(study['seeds'])} seed(s), with their",
        "% standard deviation; control and selectivity of the probe, by",
        f"% {study['control_metric']}; floor: the head on random weights.",
    ]
    return "\n".join(lines) + "\n"


def text(study: Mapping[str, Any]) -> list[str]:
    """The table for a terminal, a line per selection."""
    width = max(map(len, study["dev"]))
    columns = "   probe  control  selectivity   floor  behind the best"
    lines = [f"{'dev':{width}}  {study['metric']:>24}{columns}"]
    for name, selection in study["dev"].items():
        head, probe = selection["head"], selection["probe"]
        behind = head["behind_chosen"]
        shown = "chosen" if behind is None else _with_interval(behind, "value", "+.3f")
        lines.append(
            f"{name:{width}}  {_with_interval(head, 'score', '.3f'):>24}  {probe['score']:6.3f}  "
            f"{probe['control']:7.3f}  {probe['selectivity']:11.3f}  "
            f"{_or_dash(head.get('floor')):>6}  {shown}"
        )
    return lines


def _with_interval(score: Mapping[str, Any], name: str, form: str) -> str:
    """A number and its interval, if there is one: a correlation may be undefined in a draw."""
    shown = f"{score[name]:{form}}"
    if score["low"] is None or score["high"] is None:
        return shown
    return f"{shown} [{score['low']:{form}}, {score['high']:{form}}]"


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _latex_row(name: str, scores: Mapping[str, Any], metric: str, *, best: bool = False) -> str:
    head, probe = scores["head"], scores["probe"]
    shown = _number if metric in LOWER_IS_BETTER else _percent
    value = shown(head["score"])
    value = f"\\textbf{{{value}}}" if best else value
    if head["deviation"] is not None:
        value += f" $\\pm$ {shown(head['deviation'])}"
    cells = [_escaped(name), value, shown(probe["score"])]
    cells += [_percent(probe["control"]), _percent(probe["selectivity"])]
    if "floor" in head:
        cells.append(shown(head["floor"]))
    return " & ".join(cells) + " \\\\"


def _number(value: float) -> str:
    """An error, which is in the unit of its numbers and no share."""
    return f"{value:.3f}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


_LATEX = str.maketrans(
    {
        "\\": "\\textbackslash{}",
        "~": "\\textasciitilde{}",
        "^": "\\textasciicircum{}",
        **{character: f"\\{character}" for character in "{}$&#_%"},
    }
)


def _escaped(content: str) -> str:
    return printable(content).translate(_LATEX)
