from __future__ import annotations

import pytest

from pipeline.core.printing import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ~ text", "plain ~ text"),
        ("тон 👩\u200d🔬 é", "тон 👩\u200d🔬 é"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("two\nlines\r\ttab", "two\\nlines\\r\\ttab"),
        ("\x9b31m\x7f", "\\x9b31m\\x7f"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("half \ud800", "half \\ud800"),
        ("line\u2028end", "line\\u2028end"),
    ],
)
def test_what_a_terminal_would_obey_is_spelled_out(text: str, shown: str) -> None:
    assert printable(text) == shown
