"""Folders that were made to harm: what is read is in them, and what is left out is told."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hostile import PREPARE, SPECIAL, at_most, refused, write_params

from pipeline.corpus.storage import read_texts
from stages.init import main as init
from stages.prepare import main as prepare
from stages.validate import main as validate

ELSEWHERE = "the contents of another file"


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a corpus with two classes, in a project that is the current folder."""
    monkeypatch.chdir(tmp_path)
    path = write_params(tmp_path, format="folder")
    write_classes(path)
    (tmp_path / "secret.txt").write_text(ELSEWHERE)
    return path


def write_classes(folder: Path) -> None:
    for topic in ("ice", "sun"):
        (folder / topic).mkdir(parents=True)
        for number in range(5):
            (folder / topic / f"{number}.txt").write_text(f"{topic} {number}")


def texts_of(command: Any = prepare) -> list[Any]:
    """The texts of the corpus, once it is prepared."""
    with at_most():
        result = CliRunner().invoke(command, PREPARE, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return [text for _, text in read_texts(Path("text"))]


@pytest.mark.parametrize("kind", sorted(set(SPECIAL) - {"folder"}))
@pytest.mark.parametrize("place", ["ice/x.txt", "ice/deep/x.txt"])
def test_a_text_that_is_no_regular_file_is_refused(corpus: Path, kind: str, place: str) -> None:
    (corpus / place).parent.mkdir(exist_ok=True)
    SPECIAL[kind][0](corpus / place)
    lines = refused(prepare, *PREPARE, folder=Path.cwd())
    assert re.search(rf"corpus/{place}: (cannot be read|is a link to)", lines[0])
    refused(validate, folder=Path.cwd())


@pytest.mark.parametrize(
    ("place", "target", "problem"),
    [
        ("ice/x.txt", "../../../../secret.txt", "is a link to a file outside of"),
        ("ice/x.txt", "{root}/secret.txt", "is a link to a file outside of"),
        ("ice/x.txt", "y.txt", "is a link to nothing"),
        ("ice/x.txt", "/dev/zero", "is a link to a file outside of"),
        ("ice/x.txt", "../sun", "is a link to a folder"),
        ("ice/loop", "..", "is a link to a folder"),
        ("ice/loop", ".", "is a link to a folder"),
        ("out", "{root}", "is a link to a folder"),
        ("loop", ".", "is a link to a folder"),
        ("moon", "sun", "is a link to a folder"),
        ("file.txt", "{root}/secret.txt", "is no folder"),
    ],
)
def test_links_that_lead_elsewhere_or_around_are_refused(
    corpus: Path, place: str, target: str, problem: str
) -> None:
    (corpus / place).symlink_to(target.format(root=Path.cwd()))
    lines = refused(prepare, *PREPARE, folder=Path.cwd())
    assert len(lines) == 2
    assert f"corpus/{place}: {problem}" in lines[0]


def test_a_link_through_a_folder_of_the_corpus_is_where_it_leads(corpus: Path) -> None:
    """The check is of the end of the way, whatever the way looks like."""
    (corpus / "ice" / "x.txt").symlink_to("../sun/../../../../secret.txt")
    assert "outside of" in refused(prepare, *PREPARE, folder=Path.cwd())[0]


def test_a_link_inside_of_the_corpus_is_read(corpus: Path) -> None:
    (corpus / "ice" / "again.txt").symlink_to("../sun/1.txt")
    assert sorted(texts_of()).count("sun 1") == 2


def test_the_folder_itself_may_be_a_link(corpus: Path) -> None:
    """Its path stands in params.yaml, whose author is trusted."""
    elsewhere = Path.cwd() / "elsewhere"
    corpus.rename(elsewhere)
    corpus.symlink_to(elsewhere)
    (elsewhere / "ice" / "again.txt").symlink_to(elsewhere / "sun" / "1.txt")
    assert len(texts_of()) == 11


@pytest.mark.parametrize("layout", ["files/md5", ""])
def test_links_into_a_cache_of_dvc_are_read(corpus: Path, tmp_path: Path, layout: str) -> None:
    """As DVC checks out with ``cache.type: symlink``, in its layout of today and of before."""
    for number, path in enumerate(sorted(corpus.rglob("*.txt"))):
        cached = tmp_path / "cache" / layout / f"{number:02x}" / f"{number:030x}"
        cached.parent.mkdir(parents=True)
        path.rename(cached)
        path.symlink_to(cached)
    assert sorted(texts_of()) == sorted(
        f"{topic} {n}" for topic in ("ice", "sun") for n in range(5)
    )


@pytest.mark.slow
@pytest.mark.parametrize("link", ["symlink", "hardlink"])
def test_what_dvc_checks_out_as_links_is_read(corpus: Path, link: str) -> None:
    """With the real DVC: ``dvc add`` and ``dvc checkout`` of the folder."""

    def dvc(*arguments: str) -> None:
        environment = {**os.environ, "DVC_SITE_CACHE_DIR": str(Path.cwd() / ".site")}
        subprocess.run([sys.executable, "-m", "dvc", *arguments], check=True, env=environment)

    dvc("init", "--no-scm", "--quiet")
    dvc("config", "cache.type", link)
    dvc("add", "--quiet", str(corpus.relative_to(Path.cwd())))
    shutil.rmtree(corpus)
    dvc("checkout", "--quiet")
    assert all(path.is_symlink() == (link == "symlink") for path in corpus.rglob("*.txt"))
    assert len(texts_of()) == 10
    with at_most():
        assert CliRunner().invoke(validate).exit_code == 0


def test_hidden_entries_are_left_out_and_counted(corpus: Path) -> None:
    (corpus / ".DS_Store").write_text("x")
    (corpus / ".git").mkdir()
    (corpus / ".git" / "x.txt").write_text(ELSEWHERE)
    (corpus / "ice" / ".hidden.txt").write_text(ELSEWHERE)
    (corpus / "ice" / ".ipynb_checkpoints").mkdir()
    (corpus / "ice" / ".ipynb_checkpoints" / "1.txt").write_text(ELSEWHERE)
    with at_most():
        result = CliRunner().invoke(prepare, PREPARE, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "4 hidden files or folders left out: their names begin with a dot" in result.output
    assert json.loads(Path("report.json").read_text())["hidden_files_left_out"] == 4
    assert ELSEWHERE not in Path("text/texts.jsonl").read_text()
    assert "4 hidden files" in CliRunner().invoke(validate).output


def test_a_report_says_nothing_of_hidden_entries_where_there_are_none(corpus: Path) -> None:
    texts_of()
    assert "hidden" not in Path("report.json").read_text()


NAMES = {
    "not UTF-8": b"\xff\xfe.txt",
    "a line end": b"a\nerror: forged.txt",
    "an escape": b"\x1b[2J\x1b]0;x\x07.txt",
    "directions": "\u202etxt.".encode() + b".txt",
    "an option": b"--help.txt",
    "long": b"x" * 251 + b".txt",
}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_files_are_shown_and_not_obeyed(corpus: Path, name: str) -> None:
    path = os.path.join(os.fsencode(corpus / "ice"), NAMES[name])  # noqa: PTH118
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(b"\xff")
    lines = refused(prepare, *PREPARE, folder=Path.cwd())
    assert len(lines) == 2
    assert "not UTF-8 at byte 1" in lines[0]


@pytest.mark.parametrize("name", [b"\xff", b"a\xffb"])
def test_a_class_that_is_not_utf_8_is_refused(corpus: Path, name: bytes) -> None:
    os.rename(os.fsencode(corpus / "ice"), os.path.join(os.fsencode(corpus), name))  # noqa: PTH104, PTH118
    lines = refused(prepare, *PREPARE, folder=Path.cwd())
    assert "lone surrogate" in lines[0]


@pytest.mark.parametrize("name", ["a\nb", "\x1b[2J", "=1+1", "${heads}", "x\\..", "a: b", "{{x}}"])
def test_a_class_may_be_called_anything(corpus: Path, name: str) -> None:
    (corpus / "ice").rename(corpus / name)
    assert len(texts_of()) == 10
    assert name in {row["labels"]["topic"] for row in rows(Path("labels/labels.jsonl"))}


def rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def test_a_folder_may_be_very_deep(corpus: Path) -> None:
    """Deeper than Python calls: every name has one letter."""
    here = Path.cwd()
    os.chdir(corpus / "ice")
    try:
        for _ in range(1200):
            os.mkdir("d")  # noqa: PTH102
            os.chdir("d")
        Path("x.txt").write_text("deep")
        os.chdir(here)
        assert "deep" in texts_of()
    finally:
        os.chdir(here)
        subprocess.run(["rm", "-rf", corpus], check=True)  # too deep for shutil


def test_few_open_files_are_enough(corpus: Path) -> None:
    for topic in range(100):
        (corpus / f"topic {topic}").mkdir()
        for number in range(2):
            (corpus / f"topic {topic}" / f"{number}.txt").write_text(f"{topic} {number}")
    done = subprocess.run(
        [sys.executable, "-m", "stages.prepare", *PREPARE],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32)),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_fifty_thousand_files_are_read_in_time(corpus: Path) -> None:
    for number in range(50_000):
        (corpus / "ice" / f"n{number}.txt").write_text(f"text {number}")
    with at_most(60):
        result = CliRunner().invoke(prepare, PREPARE, catch_exceptions=False)
    assert result.exit_code == 0, result.output


def test_a_text_without_an_end_is_refused(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.ingest.folders.LONGEST_ROW", 1000)
    (corpus / "ice" / "x.txt").write_text("ice\n" * 1000)
    lines = refused(prepare, *PREPARE, folder=Path.cwd())
    assert "ice/x.txt: the text is longer than 1,000 characters" in lines[0]


# init, which copies what is outside of the project.


@pytest.fixture
def outside(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of classes outside of a project with tables of params.yaml."""
    folder = tmp_path_factory.mktemp("outside") / "new"
    write_classes(folder)
    tables = {name: {} for name in ("encoders", "corpora", "features", "heads")}
    tables["encoders"] = {"tiny": {"source": "./tiny", "revision": None}}
    Path("params.yaml").write_text(json.dumps(tables))
    return folder


@pytest.mark.parametrize("kind", ["pipe", "socket", "urandom", "zero", "itself"])
def test_init_copies_no_special_file(outside: Path, kind: str) -> None:
    SPECIAL[kind][0](outside / "ice" / "x.txt")
    refused(init, str(outside), "--no-ask", folder=Path.cwd())


@pytest.mark.parametrize("target", ["/etc/passwd", "/dev", "..", "."])
def test_init_copies_no_file_from_elsewhere(outside: Path, target: str) -> None:
    (outside / "ice" / "x.txt").symlink_to(target)
    refused(init, str(outside), "--no-ask", folder=Path.cwd())


def test_init_copies_files_and_links_of_the_corpus(outside: Path) -> None:
    (outside / "ice" / "again.txt").symlink_to("../sun/1.txt")
    (outside / ".git").mkdir()
    with at_most():
        result = CliRunner().invoke(init, [str(outside), "--no-ask"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    copied = Path("data/raw/new")
    assert not any(path.is_symlink() for path in copied.rglob("*"))
    assert len(list(copied.rglob("*.txt"))) == 11
    assert not (copied / ".git").exists()


@pytest.mark.parametrize("name", ["a\nb", "\x1b[2J", "a\\b", "\udcff", "a\u202eb"])
def test_init_refuses_a_file_whose_name_is_no_name(outside: Path, name: str) -> None:
    renamed = outside.with_name(name)
    outside.rename(renamed)
    assert "give it another name" in refused(init, str(renamed), "--no-ask", folder=Path.cwd())[-1]


def test_init_quotes_what_it_tells_to_type(outside: Path) -> None:
    renamed = outside.with_name("x; touch y")
    outside.rename(renamed)
    result = CliRunner().invoke(init, [str(renamed), "--no-ask"], catch_exceptions=False)
    assert "dvc add 'data/raw/x; touch y'" in result.output
