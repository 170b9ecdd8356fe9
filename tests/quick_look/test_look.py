"""A quick look as it is printed."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from looked import SETTINGS, words_corpus

from pipeline.quick_look.look import quick_look
from pipeline.quick_look.sample import draw_sample


class Screen(io.TextIOWrapper):
    """Standard output that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("encoding", "bars"), [("utf-8", True), ("ascii", False)])
def test_bars_are_drawn_on_a_terminal_that_has_them(
    tiny_encoder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    encoding: str,
    bars: bool,
) -> None:
    written = io.BytesIO()
    screen = Screen(written, encoding=encoding, errors="strict")
    monkeypatch.setattr(sys, "stdout", screen)
    found = quick_look(
        draw_sample(words_corpus(60), SETTINGS),
        ["size"],
        usual={"size": [1, 3]},
        settings=SETTINGS,
        encoder=tiny_encoder,
        store_root=tmp_path / "store",
        project=tmp_path,
    )
    screen.flush()
    lines = written.getvalue().decode(encoding).splitlines()
    assert len(lines) == 2 + len(found[0].scores) + 1
    assert max(row.score for row in found[0].scores) > 0.1
    assert any("█" in line for line in lines) == bars
