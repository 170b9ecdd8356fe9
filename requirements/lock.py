"""Makes the lock files of this folder from what uv resolves; ``make lock`` runs it.

``lock.txt``     everything but torch
``torch.txt``    PyPI's torch, and what its CUDA build on Linux needs
``samples.txt``  packages whose data files are read, without their dependencies
``peers.txt``    what benchmarks compare with, besides what ``lock.txt`` has

All with the digests of every file that PyPI has of a version. CPU builds of torch are not on PyPI:
``torch-cpu.txt`` has those that are known, and is written by hand.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
HEADER = "# Made by make lock; do not edit.\n"
TORCH = re.compile(r"(torch$|nvidia-|cuda-|triton)")


def resolve(uv: str, *arguments: str) -> list[tuple[str, str]]:
    """Names of requirements, and each with its digests as uv writes it; some names come twice."""
    options = ("--universal", "--python-version", "3.11", "--generate-hashes", "--quiet")
    style = ("--no-header", "--no-annotate", "--no-emit-index-url")
    environment = {key: value for key, value in os.environ.items() if key != "PIP_FIND_LINKS"}
    output = subprocess.run(  # noqa: S603
        [uv, "pip", "compile", *arguments, *options, *style],
        cwd=HERE.parent,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    blocks = re.findall(r"^\S.*(?:\n .*)*\n", output, re.MULTILINE)
    return [(re.split(r"[=\[ ]", block, maxsplit=1)[0], block) for block in blocks]


def main(uv: str) -> None:
    """Write all lock files.

    Args:
        uv: the program.
    """
    found = resolve(uv, "pyproject.toml", "--group", "dev")
    write("lock.txt", [block for name, block in found if not TORCH.match(name)])
    write("torch.txt", [block for name, block in found if TORCH.match(name)])
    samples = resolve(uv, "--no-deps", "requirements/samples.in")
    write("samples.txt", [block for _, block in samples])
    peers = resolve(uv, "requirements/peers.in", "--constraint", "requirements/lock.txt")
    known = {name for name, _ in found}
    write("peers.txt", [block for name, block in peers if name not in known])


def write(name: str, blocks: list[str]) -> None:
    """Write one lock file."""
    (HERE / name).write_text(HEADER + "".join(blocks), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
