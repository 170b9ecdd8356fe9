"""``dvc repro`` with nothing changed, over 5 GB of features."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ruamel.yaml import YAML

from benchmarks.measure import Bar, interleaved, report, table

CODE = ("pipeline", "stages", "dvc.yaml", ".dvcignore")


def main() -> None:
    """Builds a project with 5 GB of features, and prints what finding nothing to do takes."""
    with tempfile.TemporaryDirectory(prefix="icehouse-bench-") as name:
        folder = Path(name)
        _make_project(folder)
        _dvc(folder, "repro", "--quiet")
        size = sum(path.stat().st_size for path in (folder / "data/features").rglob("*.h5"))
        before = (folder / "dvc.lock").read_bytes()
        seconds = interleaved(
            {
                "dvc repro": lambda: _dvc(folder, "repro"),
                "dvc version": lambda: _dvc(folder, "--version"),
            }
        )
        if (folder / "dvc.lock").read_bytes() != before:
            raise SystemExit("dvc repro changed something")
    table(f"nothing changed, {size / 1e9:.1f} GB of features", seconds, "s")
    report("noop", {"wall_s": Bar(seconds["dvc repro"], 2, at_most=True)})


def _make_project(folder: Path) -> None:
    """The default corpora at every layer in float32, the news twice, and no heads but one."""
    for name in CODE:
        source = Path(name)
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    (folder / ".dvc").mkdir()
    shutil.copy(".dvc/config", folder / ".dvc" / "config")
    (folder / "data" / "raw").mkdir(parents=True)
    for name in ("news.jsonl", "tweets.conll"):
        shutil.copyfile(Path("data/raw") / name, folder / "data" / "raw" / name)
    yaml = YAML(typ="rt")
    params = yaml.load(Path("params.yaml").read_text(encoding="utf-8"))
    features = params["features"]
    for row in features.values():
        row.update({"layers": [0, 1, 2, 3, 4, 5, 6], "storage_dtype": "float32"})
    features["news_short"] = {**features["news"], "max_length": 64}
    params["heads"] = {"news_topic": params["heads"]["news_topic"]}
    params["heads"]["news_topic"]["training"]["epochs"] = 1
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        yaml.dump(params, file)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)


def _dvc(folder: Path, *arguments: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "FEATURE_STORE"}
    environment["PYTHONPATH"] = str(folder)
    subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=folder,
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )


if __name__ == "__main__":
    main()
