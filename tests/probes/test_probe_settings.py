"""A probe reads what it shares with its head, and none of the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.core.errors import ParameterError
from pipeline.core.params import ParamsFile
from pipeline.probes.settings import ProbeSettings

HEAD = """\
heads:
  topic:
    label: queue
    task: {task}
    layers: {layers}
    corpus: tickets
    recurrent: {{cell: whatever, of: another version}}
    something: new
"""


def read(tmp_path: Path, *, task: str = "regression", layers: str = "[4, -1]") -> ProbeSettings:
    path = tmp_path / "params.yaml"
    path.write_text(HEAD.format(task=task, layers=layers), encoding="utf-8")
    return ParamsFile(path).section(ProbeSettings, "heads", "topic")


def test_fields_of_the_network_are_ignored(tmp_path: Path) -> None:
    assert read(tmp_path) == ProbeSettings(label="queue", task="regression", layers=(4, -1))


def test_its_own_fields_are_read_strictly(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"params\.yaml:4: heads\.topic\.task: "):
        read(tmp_path, task="parsing")
    with pytest.raises(ParameterError, match=r"params\.yaml:5: heads\.topic\.layers"):
        read(tmp_path, layers="[]")
    with pytest.raises(ParameterError, match=r"heads\.topic\.layers\.0"):
        read(tmp_path, layers="[last]")
