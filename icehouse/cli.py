"""The command ``icehouse``: the commands of ``stages/``, in the order of work.

``icehouse check`` is ``python -m stages.check``, and so on. A module of ``stages/`` is imported
when its own command runs or is completed: help, version and the names of commands take no longer
than click itself.
"""

from __future__ import annotations

import signal
import threading
from importlib import import_module
from typing import Any

import click
from click.shell_completion import get_completion_class

COMPLETE_VARIABLE = "_ICEHOUSE_COMPLETE"
DVC_REPRO = "dvc repro"
"""A step between the commands, and none of them."""

SECTIONS = {
    "1. Bring text": {
        "samples": "Writes the sample corpora that are absent; a file that is there is never "
        "touched.",
        "fetch": "Writes the splits of SOURCE, owner/name on the Hub or a folder of save_to_disk, "
        "as JSONL.",
        "init": "Looks at PATH, a file or folder with text and labels, and writes the rows that "
        "it needs.",
        "validate": "Reads corpora NAMES (default: all) and says what is wrong, or looks wrong, "
        "with them.",
    },
    "2. Build features and heads": {
        "check": "Checks params.yaml as a whole; `make repro` does so before anything runs.",
        DVC_REPRO: "DVC's own command: runs every stage whose inputs changed, and no other.",
    },
    "3. Use the heads": {
        "results": "Prints the metrics of all heads as a Markdown table.",
        "predict": "Writes what head NAME says of every text in SOURCE (by default standard "
        "input).",
    },
    "4. Compare settings and layers": {
        "sweep": "Runs the trials of sweep NAME that are still to run, in studies/NAME.",
        "layers": "Trains head NAME on each kept layer and on their mix, and writes "
        "studies/NAME_layers.",
    },
    "At any time": {
        "store": "The feature store: its size, whether it is intact, what may go, and features to "
        "give away.",
        "lineage": "Says which commit, data, encoder and parameters made FILE, and how to make it "
        "again.",
        "completion": "Prints the script with which SHELL completes the words of `icehouse`.",
    },
}
"""Commands by section of ``icehouse --help``, each with the first line of its own help."""

STAGES = ("encoder", "prepare", "extract", "train", "probe", "evaluate", "report")
"""Commands that ``dvc.yaml`` runs, with the paths that it knows: named in the help, not listed."""

MAINTENANCE = ("vega",)
"""Commands for those who work on Icehouse itself: not in the help."""


class StageReference(click.Command):
    """Stand-in for the command of a module in ``stages/`` that is not imported yet."""

    def load(self) -> click.Command:
        """The command itself."""
        command: click.Command = import_module(f"stages.{self.name}").main
        return command


class StagesGroup(click.Group):
    """Group of the commands in ``stages/``: imports the one that is called, lists sections."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        for summaries in SECTIONS.values():
            for name, summary in summaries.items():
                if name != DVC_REPRO:
                    self.add_command(StageReference(name, short_help=summary))
        for name in (*STAGES, *MAINTENANCE):
            self.add_command(StageReference(name, hidden=True))

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Run the program; Ctrl-C ends it without a traceback while its modules are imported."""
        first = threading.current_thread() is threading.main_thread()
        if first and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        return super().main(*arguments, **options)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's signature)
        """Names of all commands, in the order of work."""
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that ``args`` start with, and import it."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.load() if isinstance(command, StageReference) else command, rest

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002  (click's signature)
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the commands section by section, and the names of DVC's stages."""
        for section, summaries in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl(list(summaries.items()))
        with formatter.section("Stages that DVC runs"):
            formatter.write_text(
                f"{', '.join(STAGES)}: `{DVC_REPRO}` gives each its paths; with --help they say "
                "which."
            )


@click.group(cls=StagesGroup)
@click.version_option(package_name="icehouse", message="icehouse %(version)s")
def main() -> None:
    """Reads text once with a frozen BERT; trains recurrent heads on the cached hidden states.

    Works in the folder of a project, where params.yaml is. The order of work is that of the
    sections; `icehouse COMMAND --help` says more of each. Exits with 2, after one line, where
    something is for you to mend.
    """


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Prints the script with which SHELL completes the words of `icehouse`.

    Commands, options and files are completed, and the names of rows in params.yaml.

    \b
    bash  eval "$(icehouse completion bash)"          in ~/.bashrc; bash 4.4 or newer
    zsh   eval "$(icehouse completion zsh)"           in ~/.zshrc, after compinit
    fish  icehouse completion fish | source           in ~/.config/fish/config.fish
    """  # noqa: D301  (click's mark of a paragraph that keeps its lines)
    shell_completion = get_completion_class(shell)
    if shell_completion is None:
        raise AssertionError(shell)
    click.echo(shell_completion(main, {}, "icehouse", COMPLETE_VARIABLE).source(), nl=False)
