"""A small disk, where the tests may mount one, and files that leave so much of it free."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PAGE = 4096


class Disk:
    """A file system of its own, in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def leave(self, pages: int) -> None:
        """Fills it but for so many pages."""
        self.empty()
        space = os.statvfs(self.folder)
        with self._ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, space.f_bavail * space.f_frsize - pages * PAGE)

    def empty(self) -> None:
        """Gives the space back."""
        self._ballast.unlink(missing_ok=True)

    def mount(self, *options: str) -> None:
        """Mounts it; skips the test where that is not allowed."""
        command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(self.folder)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            pytest.skip("there is no command `mount` here")
        if done.returncode != 0:
            pytest.skip(f"these tests may not mount a disk: {done.stderr.strip()}")

    def remount(self, *options: str) -> None:
        """Changes its size, or whether it can be written to."""
        self.mount("remount", *options)


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Disk]:
    """Yields a disk of such a size, as ``64m``, mounted at a folder that is made."""
    folder.mkdir()
    disk = Disk(folder)
    disk.mount(f"size={size}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
