"""HDF5 files that are built in memory."""

from __future__ import annotations

import itertools
from typing import Self

import h5py
import numpy as np

from pipeline.features import layout

_numbers = itertools.count()


class HDF5Image:
    """An HDF5 file in memory.

    Args:
        kind: what its attribute says that it is.

    Attributes:
        hdf5: the open file.
    """

    def __init__(self, kind: str) -> None:
        # Files in memory that are open at once, in several threads, must not have one name.
        self.hdf5 = h5py.File(
            f"{kind}-{next(_numbers)}",
            "w",
            driver="core",
            backing_store=False,
            libver=layout.LIBVER,
            track_order=False,
        )
        self.hdf5.attrs[layout.ATTRIBUTE_TYPE] = kind
        self.hdf5.attrs[layout.ATTRIBUTE_VERSION] = np.int64(layout.FORMAT_VERSION)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.hdf5.close()

    def image(self) -> bytes:
        """The bytes that the file would have on disk."""
        self.hdf5.flush()
        image: bytes = self.hdf5.id.get_file_image()
        return image
