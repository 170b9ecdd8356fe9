"""What `dvc repro` takes for a change of one head parameter, besides the training itself."""

from __future__ import annotations

import re
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.measure import Bar, report, table
from benchmarks.projects import change_params, copy_project, dvc

HEAD = "tweet_entities"
TRIALS = 5


def main() -> None:
    """Prints the wall time, the training loop's share of it, and the bar."""
    with tempfile.TemporaryDirectory(prefix="icehouse-bench-") as name:
        folder = Path(name)
        copy_project(folder)
        with change_params(folder) as params:
            params["heads"] = {HEAD: params["heads"][HEAD]}
            params["features"] = {"tweets": params["features"]["tweets"]}
            params["corpora"] = {"tweets": params["corpora"]["tweets"]}
        dvc(folder, "repro")
        walls, overheads = [], []
        for trial in range(TRIALS):
            with change_params(folder) as params:
                params["heads"][HEAD]["recurrent"]["hidden_size"] = 144 + 16 * trial
            begin = time.perf_counter()
            output = dvc(folder, "repro")
            walls.append(time.perf_counter() - begin)
            ran = re.findall(r"Running stage '([^']+)'", output)
            if ran != [f"train@{HEAD}", f"evaluate@{HEAD}", "report"]:
                raise SystemExit(f"a change of a head ran {ran}")
            found = re.search(r"trained in ([\d.]+) s", output)
            if found is None:
                raise SystemExit("the training did not say how long it took")
            overheads.append(walls[-1] - float(found[1]))
    wall, overhead = statistics.median(walls), statistics.median(overheads)
    table(f"one parameter of {HEAD} changed", {"dvc repro": wall, "of it overhead": overhead}, "s")
    report("trial", {"overhead_s": Bar(overhead, 6, at_most=True)})


if __name__ == "__main__":
    main()
