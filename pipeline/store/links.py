"""Hard links, or copies where the system refuses links."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from pathlib import Path

from pipeline.core.files import READ_ONLY, atomic_file
from pipeline.core.reading import open_regular

_CHUNK = 1 << 20
_REFUSALS = {
    errno.EXDEV: "it is on another file system",
    errno.EPERM: "the system refuses links to files of other users, or links at all",
    errno.EMLINK: "a file has all the links that its file system allows",
    errno.ENOTSUP: "its file system has no links",
}


class Linker:
    """Makes files appear in a second place without a second copy; counts what had to be copied.

    Attributes:
        copied_bytes: bytes that are now on disk twice.
        reason: why, in words; empty where all were linked.
    """

    def __init__(self) -> None:
        self.copied_bytes = 0
        self.reason = ""

    def link(self, source: Path, target: Path) -> None:
        """Makes ``target`` the same file as ``source``, or a read-only copy of it.

        ``target`` appears complete; what was there before is replaced by renaming.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        # A link to a symbolic link would be one more symbolic link.
        real = source.resolve() if source.is_symlink() else source
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
        try:
            os.link(real, temporary)
        except OSError as error:
            if error.errno not in _REFUSALS:
                raise
            self.reason = _REFUSALS[error.errno]
            self._copy(real, target)
            return
        try:
            temporary.replace(target)
        finally:
            # Also after success: renaming onto a link of the same file leaves both names.
            temporary.unlink(missing_ok=True)

    def _copy(self, source: Path, target: Path) -> None:
        with (
            open_regular(source) as file,
            atomic_file(target, mode=READ_ONLY, durable=False) as temporary,
            temporary.open("wb") as copy,
        ):
            shutil.copyfileobj(file, copy, _CHUNK)
            self.copied_bytes += copy.tell()
