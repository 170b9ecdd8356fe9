"""Output that a guide shows, compared with what a command prints."""

from __future__ import annotations

import re


def matches(expected: str, output: str) -> bool:
    """Whether an output is the expected one, where ``...`` stands for anything."""
    lines = [
        "(?:.*\n)*?" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*") + "\n"
        for line in expected.splitlines()
    ]
    return re.fullmatch("".join(lines), output) is not None


def sessions(guide: str) -> list[tuple[str, str]]:
    """``(command, output)`` of every command in a guide's console blocks, in order."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", guide, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            if "<<END" in command:
                body, output = output.split("\nEND\n", 1) if "\nEND\n" in output else (output, "")
                command = f"{command}\n{body}\nEND"
            found.append((command, output))
    return found
