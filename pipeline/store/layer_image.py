"""The HDF5 file of one layer as a header and the states as they lie in memory.

Such a file is the same for all shards but for the number of tokens, so that its header need not be
built by HDF5 each time, nor the states be copied into an image. It is taken from a file that HDF5
made, and the number put into the places that hold it: the superblock's end of file, and of the
dataset's object header the dataspace's dimensions and the layout's size. Both end in a checksum.
Layout of these: HDF5 File Format Specification 3.0, II.A, IV.A.1.b; the checksum is Jenkins'
lookup3 (Bob Jenkins 2006, ``hashlittle`` with a seed of zero), as the specification says.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from pipeline.features import layout
from pipeline.store.image import HDF5Image

_TOKENS = 2
"""Tokens of the file that the header is taken from."""

_END_OF_FILE, _SUPERBLOCK_CHECKSUM = 28, 44
_OBJECT_HEADER = b"OHDR"
_TIMES, _PHASE_CHANGE, _CREATION_ORDER, _SIZE_BYTES = 0x20, 0x10, 0x04, 0x03
_DATASPACE, _LAYOUT = 1, 8


def layer_file(hidden: npt.NDArray[Any], *, layer: int) -> tuple[bytes, memoryview]:
    """One layer of a shard, in two parts that are written one after the other.

    Args:
        hidden: (tokens, width) float16 or float32, row-major, of at least one token; stored
            contiguous, so that it can be memory-mapped.
        layer: which layer it is.
    """
    tokens, width = hidden.shape
    return _header(tokens, width, hidden.dtype.str, layer), hidden.data.cast("B")


def _header(tokens: int, width: int, dtype: str, layer: int) -> bytes:
    template = _template(width, dtype, layer)
    row = width * np.dtype(dtype).itemsize
    header = bytearray(template.header)
    _put(header, _END_OF_FILE, len(header) + tokens * row)
    for place in template.dimensions:
        _put(header, place, tokens)
    _put(header, template.size, tokens * row)
    for begin, end in ((0, _SUPERBLOCK_CHECKSUM), (template.begin, template.checksum)):
        header[end : end + 4] = struct.pack("<I", lookup3(bytes(header[begin:end])))
    return bytes(header)


def _put(header: bytearray, place: int, number: int) -> None:
    header[place : place + 8] = struct.pack("<Q", number)


@dataclass(frozen=True)
class _Template:
    """What comes before the states in a file of some tokens.

    Attributes:
        header: all of it.
        begin: of the dataset's object header.
        checksum: where the checksum of the object header is.
        dimensions: where the number of tokens is: its present value and the largest.
        size: where the number of bytes is.
    """

    header: bytes
    begin: int
    checksum: int
    dimensions: tuple[int, int]
    size: int


@lru_cache(maxsize=256)
def _template(width: int, dtype: str, layer: int) -> _Template:
    image = _image(_TOKENS, width, dtype, layer)
    row = width * np.dtype(dtype).itemsize
    header = image[: len(image) - _TOKENS * row]
    begin = header.rindex(_OBJECT_HEADER)
    flags = header[begin + 5]
    place = begin + 6 + (16 if flags & _TIMES else 0) + (4 if flags & _PHASE_CHANGE else 0)
    size_bytes = 1 << (flags & _SIZE_BYTES)
    checksum = place + size_bytes + int.from_bytes(header[place : place + size_bytes], "little")
    place += size_bytes
    bodies = {}
    while place + 4 <= checksum:
        kind, length = header[place], int.from_bytes(header[place + 1 : place + 3], "little")
        place += 6 if flags & _CREATION_ORDER else 4
        bodies[kind] = place
        place += length
    dataspace, layout_ = bodies[_DATASPACE], bodies[_LAYOUT]
    template = _Template(
        header, begin, checksum, (dataspace + 4, dataspace + 20), size=layout_ + 10
    )
    _refuse_other_format(template, len(image), (_TOKENS, width, _TOKENS, width), _TOKENS * row)
    return template


def _refuse_other_format(
    template: _Template, end_of_file: int, dimensions: tuple[int, ...], size: int
) -> None:
    """Refuses a file in which the numbers are not where the specification has them.

    Raises:
        ValueError: this HDF5 writes another version of it.
    """
    header = template.header
    found = (
        struct.unpack_from("<Q", header, _END_OF_FILE)[0],
        struct.unpack_from("<4Q", header, template.dimensions[0]),
        struct.unpack_from("<Q", header, template.size)[0],
        struct.unpack_from("<I", header, _SUPERBLOCK_CHECKSUM)[0],
        struct.unpack_from("<I", header, template.checksum)[0],
    )
    checksums = (
        lookup3(header[:_SUPERBLOCK_CHECKSUM]),
        lookup3(header[template.begin : template.checksum]),
    )
    if found != (end_of_file, dimensions, size, *checksums):
        raise ValueError(f"HDF5 {h5py.version.hdf5_version} writes files in another way")


def _image(tokens: int, width: int, dtype: str, layer: int) -> bytes:
    with HDF5Image(layout.TYPE_LAYER) as file:
        file.hdf5.attrs[layout.ATTRIBUTE_LAYER] = np.int64(layer)
        file.hdf5.create_dataset(layout.HIDDEN, data=np.zeros((tokens, width), dtype))
        return file.image()


def lookup3(data: bytes) -> int:
    """Jenkins' ``hashlittle`` of some bytes, at least one, with a seed of zero: 32 bits."""
    a = b = c = (0xDEADBEEF + len(data)) & _BITS
    padded = data + bytes(-len(data) % 12)
    *blocks, last = struct.iter_unpack("<III", padded)
    for x, y, z in blocks:
        a, b, c = (a + x) & _BITS, (b + y) & _BITS, (c + z) & _BITS
        a, c = (a - c) & _BITS ^ _turned(c, 4), (c + b) & _BITS
        b, a = (b - a) & _BITS ^ _turned(a, 6), (a + c) & _BITS
        c, b = (c - b) & _BITS ^ _turned(b, 8), (b + a) & _BITS
        a, c = (a - c) & _BITS ^ _turned(c, 16), (c + b) & _BITS
        b, a = (b - a) & _BITS ^ _turned(a, 19), (a + c) & _BITS
        c, b = (c - b) & _BITS ^ _turned(b, 4), (b + a) & _BITS
    a, b, c = (a + last[0]) & _BITS, (b + last[1]) & _BITS, (c + last[2]) & _BITS
    c = ((c ^ b) - _turned(b, 14)) & _BITS
    a = ((a ^ c) - _turned(c, 11)) & _BITS
    b = ((b ^ a) - _turned(a, 25)) & _BITS
    c = ((c ^ b) - _turned(b, 16)) & _BITS
    a = ((a ^ c) - _turned(c, 4)) & _BITS
    b = ((b ^ a) - _turned(a, 14)) & _BITS
    c = ((c ^ b) - _turned(b, 24)) & _BITS
    return int(c)


_BITS = 0xFFFFFFFF


def _turned(value: int, by: int) -> int:
    return (value << by | value >> (32 - by)) & _BITS
