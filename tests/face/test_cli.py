from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module, metadata
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result
from import_graph import ROOT

from icehouse.cli import COMPLETE_VARIABLE, DVC_REPRO, MAINTENANCE, SECTIONS, STAGES, main

SUMMARIES = {
    name: summary
    for section in SECTIONS.values()
    for name, summary in section.items()
    if name != DVC_REPRO
}
HEAVY = ("torch", "transformers", "dvc", "optuna")

PARAMS = """\
encoders: {minilm: {}}
corpora: {news: {}, tweets: {}}
features: {news: {}, tweets: {}}
heads:
  news_topic: {corpus: news}
  tweet_entities: {corpus: tweets}
sweeps:
  tweet_entities: {}
"""


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(main, arguments, prog_name="icehouse", env=environment)


def command_of(name: str) -> click.Command:
    command = main.resolve_command(click.Context(main), [name])[1]
    assert command is not None
    return command


def complete(*words: str) -> list[str]:
    """What a shell is offered for the last of the words after ``icehouse``."""
    *typed, incomplete = words
    shell = ShellComplete(main, {}, "icehouse", COMPLETE_VARIABLE)
    return [item.value for item in shell.get_completions(typed, incomplete)]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "params.yaml").write_text(PARAMS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_command_of_stages_is_one_of_icehouse() -> None:
    modules = {path.stem for path in (ROOT / "stages").glob("[!_]*.py")}
    assert modules == {*SUMMARIES, *STAGES, *MAINTENANCE} - {"completion"}
    for name in modules:
        assert command_of(name) is import_module(f"stages.{name}").main


@pytest.mark.parametrize("name", SUMMARIES)
def test_the_help_has_the_first_line_of_each_commands_own(name: str) -> None:
    assert SUMMARIES[name] == (command_of(name).help or "").splitlines()[0]


def test_the_help_shows_the_order_of_work() -> None:
    result = run("--help")
    assert result.exit_code == 0
    places = [result.stdout.index(f"\n{section}:\n") for section in SECTIONS]
    assert places == sorted(places)
    names = re.findall(r"^  (dvc repro|[a-z]+)  ", result.stdout, re.MULTILINE)
    assert names == [name for section in SECTIONS.values() for name in section]
    work = ["init", "check", DVC_REPRO, "predict", "sweep", "lineage"]
    assert [name for name in names if name in work] == work


def test_the_stages_that_dvc_runs_are_named_but_not_listed() -> None:
    text = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"python -m stages\.(\w+)", text)) == set(STAGES)
    assert f"  {', '.join(STAGES)}: `dvc repro`" in run("--help").stdout
    assert set(complete("")).isdisjoint({*STAGES, *MAINTENANCE})
    assert run("train", "--help").stdout.startswith("Usage: icehouse train [OPTIONS] NAME\n")


def test_the_version_is_that_of_the_installed_distribution() -> None:
    assert run("--version").output == f"icehouse {metadata.version('icehouse')}\n"


@pytest.mark.parametrize(
    ("arguments", "spared"),
    [
        (["--help"], (*HEAVY, "numpy", "pydantic")),
        (["--version"], (*HEAVY, "numpy", "pydantic")),
        (["completion", "fish"], (*HEAVY, "numpy", "pydantic")),
        ([""], (*HEAVY, "numpy", "pydantic")),
        (["predict", ""], HEAVY),
        *(
            (["store", "verify", ""] if name == "store" else [name, "--"], HEAVY)
            for name in SUMMARIES
        ),
    ],
    ids=" ".join,
)
def test_help_and_completion_import_nothing_heavy(
    arguments: list[str], spared: tuple[str, ...]
) -> None:
    code = (
        "import atexit, sys; from icehouse.cli import main; "
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr)); "
        "main(prog_name='icehouse')"
    )
    environment = dict(os.environ)
    if arguments[-1] in {"", "--"}:
        environment |= {
            COMPLETE_VARIABLE: "bash_complete",
            "COMP_WORDS": " ".join(["icehouse", *arguments]),
            "COMP_CWORD": str(len(arguments)),
        }
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip()
    assert set(spared).isdisjoint(done.stderr.split())


def test_importing_the_package_imports_nothing_else() -> None:
    code = (
        "import sys; before = set(sys.modules); import icehouse; print(*set(sys.modules) - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    foreign = {name.split(".")[0] for name in done.stdout.split()} - set(sys.stdlib_module_names)
    assert foreign == {"icehouse"}


def test_python_runs_the_package_as_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "icehouse", "results", "--reports", "nowhere"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "error: nowhere: holds no metrics; run `dvc repro`\n"


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("arguments", [["check"], ["validate", "nwes"], ["sweep", "mine"]])
def test_mistakes_end_as_they_do_in_stages(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.output.startswith("error: params.yaml:")
    assert result.output.count("\n") == 1
    stage = import_module(f"stages.{arguments[0]}").main
    assert CliRunner().invoke(stage, arguments[1:]).output == result.output


@pytest.mark.usefixtures("project")
def test_another_file_of_parameters_may_be_named() -> None:
    result = run("check", "--params", "other.yaml")
    assert (result.exit_code, result.output) == (
        2,
        "error: other.yaml: no such file; run from the project's root\n",
    )


def test_a_quiet_command_prints_its_last_line(project: Path) -> None:
    (project / "news.jsonl").write_text(
        "".join(f'{{"text": "text {row % 30}", "topic": "{row % 2}"}}\n' for row in range(40)),
        encoding="utf-8",
    )
    (project / "params.yaml").write_text(
        "corpora: {news: {path: news.jsonl, format: jsonl, id: null, text: text, "
        "labels: {topic: class}, split: {train: 0.5, dev: 0.25, test: 0.25}, stratify: null, "
        "seed: 1}}\n",
        encoding="utf-8",
    )
    options = ["--texts", "texts", "--labels", "labels", "--report", "report.json"]
    loud = run("prepare", "news", *options)
    assert loud.exit_code == 0, loud.output
    assert len(loud.stdout.splitlines()) > 1
    quiet = run("prepare", "news", *options, ICEHOUSE_QUIET="1")
    assert quiet.stdout.splitlines() == loud.stdout.splitlines()[-1:]


def test_an_unknown_command_is_a_mistake_of_the_user() -> None:
    result = run("preidct")
    assert result.exit_code == 2
    assert "No such command 'preidct'" in result.output


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["predict", ""], ["news_topic", "tweet_entities"]),
        (["predict", "tw"], ["tweet_entities"]),
        (["layers", "n"], ["news_topic"]),
        (["layers", "news_topic", ""], []),
        (["layers", "--quick", ""], ["news", "tweets"]),
        (["layers", "--quick", "news", ""], ["minilm"]),
        (["sweep", ""], ["tweet_entities"]),
        (["validate", ""], ["news", "tweets"]),
        (["validate", "tweets", ""], ["news"]),
        (["store", "export", ""], ["news", "tweets"]),
        (["store", "verify", "news", ""], ["tweets"]),
        (["init", "mine.csv", "--encoder", ""], ["minilm"]),
        (["predict", "--params", "absent.yaml", ""], []),
        (["layers", "--control", ""], ["words", "shuffled"]),
        (["pre"], ["predict"]),
        (["store", "v"], ["verify"]),
        (["sweep", "--re"], ["--record"]),
        (["completion", "b"], ["bash"]),
    ],
    ids=" ".join,
)
def test_rows_commands_and_options_are_completed(words: list[str], offered: list[str]) -> None:
    assert complete(*words) == offered


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "heads",
        "heads: {",
        "heads: 3",
        "heads: {a: 1, a: 2}",
        "corpora: {}",
        "heads: !!python/none x",
        "\0",
    ],
)
def test_a_file_that_cannot_be_read_completes_nothing(
    project: Path, text: str | None, capfd: pytest.CaptureFixture[str]
) -> None:
    if text is None:
        (project / "params.yaml").unlink()
    else:
        (project / "params.yaml").write_text(text, encoding="utf-8")
    assert complete("predict", "") == []
    assert capfd.readouterr() == ("", "")


def test_the_guide_calls_commands_as_they_are() -> None:
    text = (ROOT / "docs" / "guides" / "command.md").read_text(encoding="utf-8")
    lines = re.findall(r"^    (?:[A-Z_]+=\S+ )?(icehouse [^#<\n]*)", text, re.MULTILINE)
    called = set()
    for line in lines:
        command: click.Command = main
        _, *rest = line.split()
        while isinstance(command, click.Group):
            name, found, rest = command.resolve_command(click.Context(command), rest)
            assert found is not None, line
            called.add(name)
            command = found
        command.make_context(line, rest)  # a mistake in the options would raise
    assert called >= set(SUMMARIES) - {"completion"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_printed(shell: str) -> None:
    result = run("completion", shell)
    assert result.exit_code == 0
    assert f"{COMPLETE_VARIABLE}={shell}_complete" in result.stdout
    assert run(**{COMPLETE_VARIABLE: f"{shell}_source"}).stdout == result.stdout


@pytest.fixture
def in_bash(project: Path) -> Callable[[str], str]:
    """Runs lines in bash, where ``icehouse`` is a command."""
    bash = shutil.which("bash")
    version = bash and subprocess.run(
        [bash, "-c", "echo ${BASH_VERSINFO[0]} ${BASH_VERSINFO[1]}"],
        capture_output=True,
        text=True,
        check=True,
    )
    if not version or tuple(map(int, version.stdout.split())) < (4, 4):
        pytest.skip("click's completion needs bash 4.4")
    path = project / "bin" / "icehouse"
    path.parent.mkdir()
    path.write_text(
        f"#!{bash}\nPYTHONPATH={ROOT} exec {sys.executable} -c "
        '\'from icehouse.cli import main; main(prog_name="icehouse")\' "$@"\n',
        encoding="utf-8",
    )
    path.chmod(0o755)
    environment = {**os.environ, "PATH": f"{path.parent}:{os.environ['PATH']}"}

    def run_lines(lines: str) -> str:
        done = subprocess.run(
            [str(bash), "--norc", "-c", lines],
            cwd=project,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert not done.stderr
        return done.stdout

    return run_lines


def test_bash_completes_with_the_script(in_bash: Callable[[str], str]) -> None:
    output = in_bash(
        'eval "$(icehouse completion bash)"\n'
        "complete -p icehouse\n"
        'COMP_WORDS=(icehouse predict "") COMP_CWORD=2\n'
        "_icehouse_completion icehouse\n"
        'echo "${COMPREPLY[*]}"\n'
    )
    assert output.splitlines()[-1] == "news_topic tweet_entities"
    assert "-F _icehouse_completion icehouse" in output
