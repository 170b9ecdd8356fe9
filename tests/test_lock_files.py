"""What is installed is what was locked: all of it has digests, and pip asks for them."""

from __future__ import annotations

import re

import pytest
from import_graph import ROOT

FILES = ("lock.txt", "torch.txt", "torch-cpu.txt", "samples.txt", "peers.txt")


def requirements(name: str) -> dict[str, list[str]]:
    """Digests by requirement."""
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    blocks = re.findall(r"^[^#\s].*(?:\n .*)*\n", text, re.MULTILINE)
    return {
        block.split(" \\")[0]: re.findall(r"sha256:([0-9a-f]{64})\b", block) for block in blocks
    }


@pytest.mark.parametrize("name", FILES)
def test_every_requirement_is_pinned_and_has_digests(name: str) -> None:
    found = requirements(name)
    assert found
    for requirement, digests in found.items():
        assert re.match(r"[a-z0-9._-]+(\[[a-z,-]+\])?==", requirement), requirement
        assert digests, requirement


def test_torch_may_be_pypis_or_a_cpu_build_of_the_same_version() -> None:
    (pypi,) = (name for name in requirements("torch.txt") if name.startswith("torch=="))
    (cpu,) = requirements("torch-cpu.txt")
    assert pypi == cpu == "torch==2.13.0"
    assert not set(requirements("torch.txt")[pypi]) & set(requirements("torch-cpu.txt")[cpu])


def test_a_cpu_build_of_torch_fetches_nothing_of_cuda() -> None:
    assert not any(re.match("torch=|nvidia|cuda|triton", name) for name in requirements("lock.txt"))
    assert any(name.startswith("nvidia-cublas==") for name in requirements("torch.txt"))


@pytest.mark.parametrize("name", ["README.md", "Makefile"])
def test_commands_ask_for_digests(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    commands = [line for line in text.splitlines() if re.search(r"-r requirements/\w+\.txt", line)]
    assert len(commands) >= 3
    for command in commands:
        assert "--require-hashes" in command or "$(PIP)" in command
    assert "--require-hashes" in text
