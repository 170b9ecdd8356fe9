"""What `dvc repro` takes for a change of one head parameter, besides the training itself.

In the default project with its four heads, and with forty more: their rows, lock entries and files
are copies of one that was trained, so that DVC has as much to look after as if all had been.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from ruamel.yaml import YAML

from benchmarks.measure import Bar, report, table
from benchmarks.projects import change_params, copy_project, dvc

HEAD = "tweet_entities"
COPIED = "tweet_entities_middle"
COPIES = 40
TRIALS = 5


def main() -> None:
    """Prints wall times, the training loop's share of them, and the bars."""
    with tempfile.TemporaryDirectory(prefix="icehouse-bench-") as name:
        folder = Path(name)
        copy_project(folder)
        with change_params(folder) as params:
            for head in params["heads"].values():
                head["training"]["epochs"] = 2
        dvc(folder, "repro")
        few = _trials(folder, first=144)
        _copy_heads(folder)
        ran = _ran(dvc(folder, "repro"))
        if ran != ["report"]:
            raise SystemExit(f"copies of a head that was trained ran {ran}")
        status = statistics.median(_seconds_of_status(folder) for _ in range(TRIALS))
        many = _trials(folder, first=144 + 16 * TRIALS)
        size = (folder / "dvc.lock").stat().st_size
    rows = {"4 heads": few[0], "of it overhead": few[1], "44 heads": many[0]}
    rows |= {
        "of it overhead ": many[1],
        "dvc status, 44 heads": status,
        "dvc.lock, kB": size / 1000,
    }
    table(f"one parameter of {HEAD} changed, dvc repro", rows, "s")
    report(
        "trial",
        {
            "overhead_s": Bar(few[1], 6, at_most=True),
            "overhead_44_heads": Bar(many[1] / few[1], 3, at_most=True),
            "status_44_heads_s": Bar(status, 5, at_most=True),
        },
    )


def _trials(folder: Path, *, first: int) -> tuple[float, float]:
    """Median seconds of ``dvc repro`` after one parameter changed, and less the training loop."""
    walls, overheads = [], []
    for trial in range(TRIALS):
        with change_params(folder) as params:
            params["heads"][HEAD]["recurrent"]["hidden_size"] = first + 16 * trial
        begin = time.perf_counter()
        output = dvc(folder, "repro")
        walls.append(time.perf_counter() - begin)
        if (ran := _ran(output)) != [f"train@{HEAD}", f"evaluate@{HEAD}", "report"]:
            raise SystemExit(f"a change of a head ran {ran}")
        found = re.search(r"trained in ([\d.]+) s", output)
        if found is None:
            raise SystemExit("the training did not say how long it took")
        overheads.append(walls[-1] - float(found[1]))
    return statistics.median(walls), statistics.median(overheads)


def _seconds_of_status(folder: Path) -> float:
    begin = time.perf_counter()
    output = dvc(folder, "status")
    if "up to date" not in output:
        raise SystemExit(f"dvc status: {output}")
    return time.perf_counter() - begin


def _ran(output: str) -> list[str]:
    return re.findall(r"Running stage '([^']+)'", output)


def _copy_heads(folder: Path) -> None:
    """Rows, lock entries and files of a head, again and again under other names."""
    yaml = YAML(typ="safe")
    yaml.default_flow_style = (
        False  # DVC writes the file anew, and cannot read what it made of flow
    )
    lock = yaml.load((folder / "dvc.lock").read_text(encoding="utf-8"))
    names = [f"copy_{number:02}" for number in range(COPIES)]
    with change_params(folder) as params:
        row = json.dumps(params["heads"][COPIED])
        params["heads"].update({name: json.loads(row) for name in names})
    for name in names:
        for family in ("train", "probe", "evaluate"):
            entry = json.dumps(lock["stages"][f"{family}@{COPIED}"])
            lock["stages"][f"{family}@{name}"] = json.loads(entry.replace(COPIED, name))
        for place in ("models", "models/linear-probes", "reports/heads"):
            shutil.copytree(folder / place / COPIED, folder / place / name, copy_function=os.link)
        mistakes = folder / "reports" / "mistakes"
        os.link(mistakes / f"{COPIED}.jsonl", mistakes / f"{name}.jsonl")
    with (folder / "dvc.lock").open("w", encoding="utf-8") as file:
        yaml.dump(lock, file)


if __name__ == "__main__":
    main()
