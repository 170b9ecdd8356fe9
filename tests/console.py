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
