"""HDF5 files that somebody else may have made: nothing in them is believed before it is checked.

A dataset of HDF5 may say that it has 10^12 rows and hold none of them, lead to another file, or be
a kilobyte that unpacks to a terabyte. Those of this format lie in their file as they are, end to
end, and so take no more memory than the file has bytes.
"""

from __future__ import annotations

import math
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np
import numpy.typing as npt
from h5py import h5a, h5d, h5f, h5g, h5l, h5o, h5s

from pipeline.core.errors import StoreError
from pipeline.core.reading import open_regular
from pipeline.features import layout
from pipeline.features.global_heap import check_heap, heap_of_attribute

REPAIR = (
    "run `python -m stages.store verify --repair`; if that finds nothing it was made like this, "
    "and `dvc repro --force` makes it anew"
)

_ERRORS = (OSError, RuntimeError, LookupError, ValueError, TypeError, struct.error)
"""What h5py raises of a file that is not what it says."""

_TEXT_BYTES = 16
"""What a text takes in its dataset: its length, and where it is in the file."""


class Hdf5File:
    """An HDF5 file of one type, open for reading; a context manager.

    Args:
        path: the file.
        kind: its ``encoding-type``.
        follow: whether it may be a symbolic link; never in a store.

    Raises:
        StoreError: it is missing, is not HDF5, or of another type or version.
        OSError: the system cannot open it: too many open files, no right to it.
    """

    def __init__(self, path: Path, kind: str, *, follow: bool = True) -> None:
        self.path = path
        self._follow = follow
        self._advice = REPAIR if follow else "remove it, and what it holds is made anew"
        with self._checked("cannot be read as HDF5"):
            status = path.stat() if follow else path.lstat()
            if not stat.S_ISREG(status.st_mode):
                raise ValueError("no regular file")
            self._size = status.st_size
            self._file = h5f.open(os.fsencode(path), h5f.ACC_RDONLY)
            if self._file.get_create_plist().get_userblock():
                raise ValueError("something stands before it")
        try:
            self._refuse_other_types(kind)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _refuse_other_types(self, kind: str) -> None:
        found = self.attribute(layout.ATTRIBUTE_TYPE), self.attribute(layout.ATTRIBUTE_VERSION)
        if found != (kind, layout.FORMAT_VERSION):
            raise StoreError(
                f"{self.path}: holds {found[0]!s:.40} version {found[1]!s:.40}, not {kind} version "
                f"{layout.FORMAT_VERSION}; use the code that wrote it, or extract again with "
                "`dvc repro`"
            )

    def damaged(self, problem: object) -> StoreError:
        """The error of a file that does not hold what it must."""
        return StoreError(f"{self.path}: is damaged ({_one_line(problem)}); {self._advice}")

    def attribute(self, name: str) -> str | int | None:
        """A root attribute that is a text or an int64; ``None`` where it is neither."""
        with self._checked():
            if not h5a.exists(self._file, name.encode()):
                return None
            attribute = h5a.open(self._file, name.encode())
            if attribute.shape != ():
                return None
            value = np.empty((), attribute.dtype)
            text = h5py.check_string_dtype(value.dtype)
            if value.dtype != np.int64 and text is None:
                return None
            if text is not None and text.length is None:
                header = h5o.get_info(self._file).addr
                check_heap(self._bytes, heap_of_attribute(self._bytes, header, name.encode()))
            attribute.read(value)
            held = value[()]
        return held.decode("utf-8", "replace") if isinstance(held, bytes) else int(held)

    def array(self, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """A dataset, read.

        Raises:
            StoreError: it is not there, of another shape or type, or not stored end to end.
        """
        dataset, _ = self._plain(name, shape, np.dtype(dtype))
        values = np.empty(shape, dtype)
        with self._checked():
            dataset.read(h5s.ALL, h5s.ALL, values)
        return values

    def mapped(self, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """A dataset as a read-only memory map, which outlives the file's being open.

        Raises:
            StoreError: as ``array``.
        """
        _, offset = self._plain(name, shape, np.dtype(dtype))
        return np.memmap(self.path, dtype, "r", offset, shape)

    def has(self, name: str) -> bool:
        """Whether a group, which must be there, has something of a name: ``group/name``."""
        group, _, last = name.rpartition("/")
        with self._checked():
            place = self._object(group)
            return isinstance(place, h5g.GroupID) and bool(place.links.exists(last.encode()))

    def length(self, name: str) -> int:
        """The first dimension of a dataset.

        Raises:
            StoreError: it is not there, or has none.
        """
        with self._checked():
            shape = self._open(name).shape
        if not shape:
            raise self.damaged(f"{name} is one value")
        return int(shape[0])

    @contextmanager
    def texts(self, name: str) -> Iterator[h5py.Dataset]:
        """A dataset of texts in UTF-8, which is read by slices.

        A few bytes of it may stand for as long a text as the file has room for, again and again:
        what all of them have together is looked at first.

        Raises:
            StoreError: it is not there, of another shape or type, or its texts have more bytes than
                the file.
        """
        with self._checked():
            dataset = self._open(name)
            count = dataset.shape[0] if len(dataset.shape) == 1 else -1
            kind = h5py.check_string_dtype(dataset.dtype)
            if count < 0 or kind is None or kind.length is not None:
                raise ValueError(f"{name} is no list of texts")
            offset = self._place(name, dataset, count * _TEXT_BYTES)
            if count:
                heads = np.memmap(self.path, np.uint8, "r", offset, (count, _TEXT_BYTES))
                if int(heads[:, :4].view("<u4").sum(dtype=np.int64)) > self._size:
                    raise ValueError(f"{name} has more text than the file")
                for heap in np.unique(heads[:, 4:12].copy().view("<u8")).tolist():
                    check_heap(self._bytes, heap)
            yield h5py.Dataset(dataset).asstr()

    @cached_property
    def _bytes(self) -> mmap:
        """The file, as it is before libhdf5 makes anything of it."""
        with open_regular(self.path, follow=self._follow) as file:
            return mmap(file.fileno(), 0, access=ACCESS_READ)

    def _plain(
        self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> tuple[h5d.DatasetID, int]:
        """A dataset and where its values begin, which are all in the file."""
        with self._checked():
            dataset = self._open(name)
            found = dataset.shape, dataset.dtype
            if found != (shape, dtype) or found[1].metadata:
                raise ValueError(f"{name} is not {shape} {dtype}")
            return dataset, self._place(name, dataset, dtype.itemsize * math.prod(shape))

    def _place(self, name: str, dataset: h5d.DatasetID, size: int) -> int:
        properties = dataset.get_create_plist()
        if properties.get_layout() != h5d.CONTIGUOUS or properties.get_external_count():
            raise ValueError(f"{name} is not stored end to end in the file")
        offset = dataset.get_offset()
        if size and (offset is None or offset + size > self._size):
            raise ValueError(f"{name} has fewer bytes than it says")
        return offset or 0

    def _open(self, name: str) -> h5d.DatasetID:
        """Opens a dataset of this file; links that lead elsewhere are none."""
        place = self._object(name)
        if not isinstance(place, h5d.DatasetID):
            raise TypeError(f"{name} is no dataset")
        return place

    def _object(self, name: str) -> Any:
        """Opens what is in this file under a name."""
        place: Any = self._file
        for part in name.split("/"):
            if not isinstance(place, h5f.FileID | h5g.GroupID):
                raise TypeError(f"{name} is no dataset")
            if place.links.get_info(part.encode()).type != h5l.TYPE_HARD:
                raise ValueError(f"{name} is a link")
            place = h5o.open(place, part.encode())
        return place

    @contextmanager
    def _checked(self, problem: str = "is damaged") -> Iterator[None]:
        """Makes one line of whatever h5py says of a file; what the system says, stays."""
        try:
            yield
        except FileNotFoundError:
            raise StoreError(f"{self.path}: is missing; run `dvc checkout` or `dvc pull`") from None
        except _ERRORS as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise OSError(error.errno, os.strerror(error.errno), str(self.path)) from None
            raise StoreError(
                f"{self.path}: {problem} ({_one_line(error)}); {self._advice}"
            ) from None


def _one_line(problem: object) -> str:
    return f"{' '.join(str(problem).split()):.200}"
