"""Texts of an HDF5 file lie in heaps, and a heap that is damaged can keep libhdf5 for ever.

Of all that the library reads to find its way, heaps alone have no checksum; and where one says that
its next object is free space of no size, libhdf5 2.0 takes the same step again and again, deaf to
Ctrl-C. Heaps are therefore gone through here first. The format is that of
https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html, III.E and IV.A.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from mmap import mmap

_OBJECT = struct.Struct("<HH4xQ")
"""Head of an object of a heap: its index, how often it is referred to, its size."""

_BLOCK = 16
_MOST_CHUNKS = 64
_UNDEFINED = b"\xff" * 8
_VARIABLE = 9
_CONTINUATION, _ATTRIBUTE, _ATTRIBUTES_ELSEWHERE = 0x10, 0x0C, 0x15


def check_heap(data: mmap, address: int) -> None:
    """Goes through one heap.

    Args:
        data: the file.
        address: where the heap begins.

    Raises:
        ValueError: there is none, or it is damaged.
    """
    if address + _BLOCK > len(data) or data[address : address + 5] != b"GCOL\x01":
        raise ValueError("a text's heap is not in the file")
    end = address + int.from_bytes(data[address + 8 : address + 16], "little")
    if end > len(data):
        raise ValueError("a heap of texts ends after the file")
    place = address + _BLOCK
    while place + _OBJECT.size <= end:
        index, _, size = _OBJECT.unpack_from(data, place)
        step = size if index == 0 else _OBJECT.size + _padded(size)
        if not _OBJECT.size <= step <= end - place:
            raise ValueError("a heap of texts is damaged")
        place += step


def heap_of_attribute(data: mmap, header: int, name: bytes) -> int:
    """The heap that an attribute's text lies in.

    Args:
        data: the file.
        header: where the header of the attribute's object begins.
        name: of the attribute.

    Raises:
        ValueError: the header is not as this format's files have it.
    """
    for message in _messages(data, header):
        if message[0] not in (1, 3) or message[1] != 0:
            raise ValueError("an attribute is of another version")
        sizes = struct.unpack_from("<HHH", message, 2)
        begin = 9 if message[0] == 3 else 8  # with the encoding of the name, or without
        if message[0] == 1:
            sizes = tuple(_padded(size) for size in sizes)
        if message[begin : begin + sizes[0]].rstrip(b"\0") == name:
            if message[begin + sizes[0]] & 0x0F != _VARIABLE:
                raise ValueError("an attribute is no text")
            (heap,) = struct.unpack_from("<Q", message, begin + sum(sizes) + 4)
            return int(heap)
    raise ValueError("an attribute is elsewhere than in its object")


def _padded(size: int) -> int:
    return (size + 7) // 8 * 8


def _messages(data: mmap, header: int) -> Iterator[bytes]:
    """Yields the messages of an object's header that are attributes."""
    flags = data[header + 5]
    if data[header : header + 5] != b"OHDR\x02" or flags & 0x04:
        raise ValueError("a header is of another version")
    begin = header + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
    width = 1 << (flags & 3)
    size = int.from_bytes(data[begin : begin + width], "little")
    chunks = [(begin + width, begin + width + size)]
    for place, end in chunks:
        while place + 4 <= min(end, len(data)):
            kind, length = data[place], int.from_bytes(data[place + 1 : place + 3], "little")
            message = data[place + 4 : place + 4 + length]
            place += 4 + length  # noqa: PLW2901
            if place > end or len(message) < length or len(chunks) > _MOST_CHUNKS:
                raise ValueError("a header is damaged")
            if kind == _CONTINUATION:
                chunk, size = struct.unpack_from("<QQ", message)
                chunks.append((chunk + 4, chunk + size - 4))
            elif kind == _ATTRIBUTES_ELSEWHERE:
                if message[4 if message[1] & 1 else 2 :][:8] != _UNDEFINED:
                    raise ValueError("attributes are elsewhere than in their object")
            elif kind == _ATTRIBUTE:
                yield message
