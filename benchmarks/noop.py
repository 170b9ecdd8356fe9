"""``dvc repro`` with nothing changed, over 5 GB of features."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.measure import Bar, interleaved, report, table
from benchmarks.projects import change_params, copy_project, dvc


def main() -> None:
    """Builds a project with 5 GB of features, and prints what finding nothing to do takes."""
    with tempfile.TemporaryDirectory(prefix="icehouse-bench-") as name:
        folder = Path(name)
        copy_project(folder)
        _enlarge(folder)
        dvc(folder, "repro", "--quiet")
        size = sum(path.stat().st_size for path in (folder / "data/features").rglob("*.h5"))
        before = (folder / "dvc.lock").read_bytes()
        seconds = interleaved(
            {
                "dvc repro": lambda: dvc(folder, "repro"),
                "dvc version": lambda: dvc(folder, "--version"),
            }
        )
        if (folder / "dvc.lock").read_bytes() != before:
            raise SystemExit("dvc repro changed something")
    table(f"nothing changed, {size / 1e9:.1f} GB of features", seconds, "s")
    report("noop", {"wall_s": Bar(seconds["dvc repro"], 2, at_most=True)})


def _enlarge(folder: Path) -> None:
    """The default corpora at every layer in float32, the news twice, and one head."""
    with change_params(folder) as params:
        features = params["features"]
        for row in features.values():
            row.update({"layers": [0, 1, 2, 3, 4, 5, 6], "storage_dtype": "float32"})
        features["news_short"] = {**features["news"], "max_length": 64}
        params["heads"] = {"news_topic": params["heads"]["news_topic"]}
        params["heads"]["news_topic"]["training"]["epochs"] = 1


if __name__ == "__main__":
    main()
