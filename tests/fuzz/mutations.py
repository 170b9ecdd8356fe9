"""Wrong bytes out of right ones, a way for each kind of file; chance comes from a ``Random``."""

from __future__ import annotations

import gzip
import json
import math
import struct
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

Mutation = Callable[[bytes, Random], bytes]

NAMES = (
    "../outside/secret.txt",
    "../../outside/secret.txt",
    "../../../../outside/secret.h5",
    "/tmp/icehouse-fuzz-absolute/evil",  # noqa: S108
    "/proc/version",
    "..",
    ".",
    "",
    "a/../../b",
    "evil.py",
    "a\\b",
    "n" * 300,
    "new\nline",
    "\x1b[2Jcleared",
    "\u202eesrever",
    "nul\0",
    "\ud800",
    "-rf",
    "con.txt ",
)
"""Names and texts that were made to harm."""

_TEXTS = (
    *NAMES,
    " ",
    "a",
    "null",
    "nan",
    "=HYPERLINK(1)",
    "<script>",
    "object",
    "float128",
    "O" * 70,
    "٣",
    "²",
    "\u2028",
    "\ufeff",
    "ﬃ😀",
    "1e5",
    "0x10",
    "B-",
    "I-x",
    "fold_0",
    "fold_99999999",
    "train",
)
_NUMBERS = (
    *(0, 1, 2, 3, -1, -2, 7, 255, 65536, 2**31 - 1, 2**31, -(2**31) - 1),
    *(2**63 - 1, 2**63, 2**64, 10**30, 10**400),
    *(0.5, -0.0, 1e308, -1e308, 5e-324, 1e-9, 200000, 10**12),
)
_PLACE = "@@{}@@"
_RAW = {  # what json.dumps does not write
    "nan": "NaN",
    "infinity": "-Infinity",
    "huge": "1e999",
    "digits": "9" * 5000,
    "deep": "[" * 100_000 + "]" * 100_000,
    "deeper": '{"a":' * 30_000 + "1" + "}" * 30_000,
    "deepish": "[" * 150 + "]" * 150,
    "twice": '{"a": 1, "a": 2}',
    "bad": "\\x",
    "bare": "\t",
}


def hostile(random: Random) -> Any:
    """A value that hardly any field has."""
    kind = random.randrange(8)
    if kind == 0:
        return random.choice((None, True, False, [], {}, [[]], [None], {"": None}))
    if kind <= 2:
        return random.choice(_NUMBERS)
    if kind <= 5:
        return random.choice(_TEXTS)
    if kind == 6:
        return _PLACE.format(random.choice(tuple(_RAW)))
    return [random.choice(_TEXTS)] * random.choice((1, 2, 5000))


def json_tree(value: Any, random: Random) -> Any:
    """The tree with one node changed, removed, doubled, renamed or wrapped."""
    path: list[Any] = []
    node = value
    while isinstance(node, dict | list) and node and random.random() < 0.8:
        key = random.choice(list(node)) if isinstance(node, dict) else random.randrange(len(node))
        path.append(key)
        node = node[key]
    if not path:
        return _changed(value, random)
    parent = value
    for key in path[:-1]:
        parent = parent[key]
    _change_in(parent, path[-1], random)
    return value


def _change_in(parent: Any, key: Any, random: Random) -> None:
    way = random.randrange(6)
    if way == 0:
        del parent[key]
    elif way == 1 and isinstance(parent, dict):
        parent[str(random.choice((*NAMES, *parent)))] = parent.pop(key)
    elif way == 1:
        parent += [parent[key]] * random.choice((1, 3, 10_000))
    elif way == 2 and isinstance(parent, dict):
        parent[str(random.choice(_TEXTS))] = hostile(random)
    elif way == 2:
        random.shuffle(parent)
    else:
        parent[key] = _changed(parent[key], random)


def _changed(value: Any, random: Random) -> Any:
    way = random.randrange(5)
    if way == 0 and isinstance(value, str) and value:
        place = random.randrange(len(value) + 1)
        return value[:place] + random.choice(_TEXTS) + value[place + random.randrange(2) :]
    if way == 0 and isinstance(value, int | float) and not isinstance(value, bool):
        with suppress(OverflowError):
            return random.choice(
                (value + 1, value - 1, -value, value * 2, float(value), str(value))
            )
    if way == 1:
        return [value]
    if way == 2:
        return {"a": value}
    return hostile(random)


def dump_json(value: Any, random: Random) -> bytes:
    """JSON text of a tree, with what ``hostile`` put there and JSON has not."""
    plain = random.random() < 0.5
    text = json.dumps(
        value, ensure_ascii=plain, sort_keys=True, separators=(",", ":") if plain else None
    )
    for name, raw in _RAW.items():
        if (mark := f'"{_PLACE.format(name)}"') in text:
            text = text.replace(mark, raw)
    return text.encode("utf-8", "surrogatepass")


def as_json(data: bytes, random: Random) -> bytes:
    """JSON, mostly changed as a tree, sometimes as bytes."""
    if random.random() < 0.15:
        return as_bytes(data, random)
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return as_text(data, random)
    with suppress(RecursionError, ValueError):
        return dump_json(json_tree(tree, random), random) + b"\n"
    return data


def as_json_lines(data: bytes, random: Random) -> bytes:
    """JSON Lines: one line changed as JSON, or lines as text."""
    lines = data.splitlines(keepends=True)
    if not lines or random.random() < 0.25:
        return as_text(data, random)
    for _ in range(random.choice((1, 1, 3))):
        place = random.randrange(len(lines))
        lines[place] = as_json(lines[place], random)
    return b"".join(lines)


def as_yaml(data: bytes, random: Random) -> bytes:
    """YAML: as text, or its tree in the style of JSON, which YAML is."""
    if random.random() < 0.4 or b"*" in data:  # as a tree, aliases could be of any size
        return as_text(data, random, _YAML)
    from pipeline.core.yaml_reading import load_yaml  # ruamel's own reader has no bounds

    with suppress(ValueError, RecursionError, LookupError, TypeError):
        tree = load_yaml(data)
        for _ in range(random.choice((1, 1, 2))):
            tree = json_tree(tree, random)
        return dump_json(tree, random)
    return as_text(data, random, _YAML)


_YAML = (
    *(b"&a ", b"*a", b"!!python/object/apply:os.system ", b"!!binary ", b"!!timestamp 2001-01-01"),
    *(b"<<: *a\n", b"? ", b"- ", b": ", b"{", b"}", b"|\n", b"%YAML 1.1\n---\n", b"...\n", b"~"),
    *(
        b"0o17",
        b"1_000",
        b".inf",
        b".nan",
        b"12:30:45",
        b"!!set {a}",
        b"2001-12-14t21:59:43.10-05:00",
    ),
    b"".join(
        b"%c: &%c [%s]\n"
        % (name, name, b",".join([b"*%c" % (name - 1)] * 9) if name > 97 else b"x")
        for name in range(97, 107)
    ),
    b"[" * 3000,
    b"{a: " * 500,
    b"\n" * 5000 + b"a: 1\n",
)
_TEXT = (
    *(
        b"\t",
        b"\t\t",
        b" ",
        b"\n",
        b"\n\n",
        b"\r",
        b"\r\n",
        b'"',
        b'""',
        b"'",
        b",",
        b";",
        b"|",
        b"#",
    ),
    *(b"\0", b"\x1b[2J", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xfe\xff", b"\x1f\x8b\x08"),
    *(b"\xe2\x80\xa8", b"\xc2\x85", b"\x0b", b"\x1c", b"\xe2\x80\xae", b"\xf0\x9f\xa7\x8a"),
    *(b"# sent_id = s1\n", b"1-2\ta\n", b"1.1\ta\n", b"-DOCSTART- -X- O O\n", b"# text = \n"),
    *(b"_", b"O", b"B-", b"I-x", b"E-y", b"S-", b"-1", b"1e999", b"nan", b"inf", b"train", b"null"),
    *(b"{", b"}", b"[", b"]", b"\\", b"\\u", b"\\ud800", b"true", b"=1+1", b"../x", b"1" * 5000),
    *(b"[" * 30_000, b"a" * 200_000, b'"' * 1001, b"\t" * 5000, b"\n" * 3000, b"x,\n" * 2000),
)


def as_text(data: bytes, random: Random, tokens: tuple[bytes, ...] = _TEXT) -> bytes:
    """Text: lines and cells moved, and what formats give a meaning to, put somewhere."""
    way = random.randrange(10)
    lines = data.split(b"\n")
    place = random.randrange(len(data) + 1)
    line = random.randrange(len(lines))
    if way <= 3:
        return data[:place] + random.choice(tokens) + data[place:]
    if way == 4:
        lines.insert(random.randrange(len(lines) + 1), lines[line])
    elif way == 5:
        del lines[line]
    elif way == 6:
        between = random.choice((b"\t", b",", b" "))
        cells = lines[line].split(between)
        cell = random.randrange(len(cells))
        cells[cell : cell + 1] = random.choice(
            ([], [cells[cell]] * 2, [b""], [random.choice(tokens)])
        )
        lines[line] = between.join(cells)
    elif way == 7:
        other = random.randrange(len(lines))
        lines[line], lines[other] = lines[other], lines[line]
    elif way == 8:
        return random.choice(
            (
                gzip.compress(data, mtime=0),
                gzip.compress(data, mtime=0)[: random.randrange(20, 60)],
                data.decode("utf-8", "replace").encode("utf-16"),
                data.decode("utf-8", "replace").encode("latin-1", "replace"),
                data + data,
                data.replace(b"\n", b"\r\n"),
                _bomb(),
                b"",
                b"\n",
            )
        )
    else:
        return as_bytes(data, random)
    return b"\n".join(lines)


@cache
def _bomb() -> bytes:
    """Fifty thousand bytes that are fifty million."""
    return gzip.compress(b"a" * 50_000_000, 1, mtime=0)


def as_bytes(data: bytes, random: Random) -> bytes:
    """Bytes changed, cut off, taken out, doubled or overwritten."""
    if not data:
        return random.choice((b"\0", b"\xff" * 100))
    changed = bytearray(data)
    # Formats have their say at the beginning.
    end = len(data) if random.random() < 0.6 else min(len(data), 512)
    place = random.randrange(end)
    way = random.randrange(7)
    size = random.choice((1, 2, 4, 8, 64))
    if way <= 2:
        for _ in range(random.choice((1, 1, 2, 8))):
            changed[random.randrange(end)] = random.randrange(256)
    elif way == 3:
        changed[place : place + size] = random.choice((b"\xff", b"\0", b"\x7f", b"\x80")) * size
    elif way == 4:
        del changed[place:]
    elif way == 5:
        del changed[place : place + size]
    else:
        changed[place:place] = changed[place : place + size]
    return bytes(changed)


def as_safetensors(data: bytes, random: Random) -> bytes:
    """Safetensors: the header as JSON, its length, or bytes."""
    if random.random() < 0.25 or len(data) < 9:
        return as_bytes(data, random)
    (length,) = struct.unpack("<Q", data[:8])
    header, rest = data[8 : 8 + length], data[8 + length :]
    way = random.randrange(8)
    if way == 0:
        length = random.choice((0, 1, length + 1, length - 1, 2**32, 2**62, 2**64 - 1, 10**8))
        return struct.pack("<Q", length % 2**64) + header + rest
    if way == 1:
        rest = random.choice((rest[:-1], rest + b"\0", b"", rest * 2))
    try:
        tree = json.loads(header)
        tensor = random.choice([name for name in tree if name != "__metadata__"])
        if way == 2:
            tree[tensor]["dtype"] = random.choice(
                ("F16", "F64", "I64", "BOOL", "F8_E4M3", "F4", "BF16", "C64", "U8", "X", "")
            )
        elif way == 3:
            shape = tree[tensor]["shape"]
            tree[tensor]["shape"] = random.choice(
                ([], [0], [*shape, 1], shape[::-1], [2**40, 2**40], [math.prod(shape)], [-1])
            )
        elif way == 4:
            del tree[tensor]
        elif way == 5:
            tree[random.choice((*NAMES, *tree))] = tree[tensor]
        else:
            tree = json_tree(tree, random)
        header = dump_json(tree, random)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, RecursionError):
        return as_bytes(data, random)
    return struct.pack("<Q", len(header)) + header + rest


def as_hdf5(data: bytes, random: Random) -> bytes:
    """HDF5: objects and attributes changed with h5py, or bytes."""
    if random.random() < 0.3:
        return as_bytes(data, random)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "changed.h5"
        path.write_bytes(data)
        for _ in range(random.choice((1, 1, 2))):
            try:
                _change_hdf5(path, random)
            except Exception:  # h5py would not write it, and says so in many ways
                return as_bytes(data, random)
        return path.read_bytes()


def _change_hdf5(path: Path, random: Random) -> None:
    import h5py

    with h5py.File(path, "r+") as file:
        names: list[str] = []
        file.visit(names.append)
        name = random.choice(sorted(names)) if names else "a"
        held = file[name]
        if random.random() < 0.2:
            _change_attribute(random.choice((file, held)), random)
        elif _is_small(held) and random.random() < 0.45:
            _change_values(held, random)
        else:
            del file[name]
            _replace(file, name, held, random)


def _is_small(held: Any) -> bool:
    """Whether a dataset is one whose values are in the file, and can be changed there."""
    import h5py

    if not isinstance(held, h5py.Dataset) or held.external or held.is_virtual:
        return False
    plain = held.dtype.kind in "iuf" or h5py.check_string_dtype(held.dtype) is not None
    return plain and held.shape is not None and held.size < 100_000


def _change_attribute(held: Any, random: Random) -> None:
    import h5py
    import numpy as np

    names = [*held.attrs, "unknown"]
    name = random.choice(names)
    if random.random() < 0.3:
        held.attrs.pop(name, None)
        return
    held.attrs[name] = random.choice(
        (
            *("icehouse-tokens", "", "a" * 5000, 0, 2, -1, 1.0, float("nan")),
            np.arange(1000),
            np.array([b"icehouse-layer"]),
            np.array([], np.int64),
            h5py.Empty("f4"),
            b"\xff\xfe",
            held.file.ref,
            np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")]),
        )
    )


def _change_values(dataset: Any, random: Random) -> None:
    import numpy as np

    values = dataset[()]
    if getattr(values, "size", 0) == 0:
        return
    flat = values.reshape(-1)
    for _ in range(random.choice((1, 1, 5))):
        place = random.choice((0, len(flat) - 1, random.randrange(len(flat))))
        if flat.dtype == object:
            flat[place] = random.choice((b"", b"\xff", b"same", b"\x1b[2J", b"x" * 10_000))
        elif flat.dtype.kind == "f":
            flat[place] = random.choice((np.nan, np.inf, -np.inf, 65504, 0))
        elif flat.dtype.kind in "iu":
            edges = np.iinfo(flat.dtype)
            number = random.choice((-1, 0, 1, 2, 10**9, -(10**9), 2**40, edges.min, edges.max))
            flat[place] = min(max(number, edges.min), edges.max)
    if random.random() < 0.1:
        flat[:] = flat[::-1].copy()
    dataset[...] = values


def _replace(file: Any, name: str, held: Any, random: Random) -> None:  # noqa: PLR0912
    """Something else under a dataset's or group's name."""
    import h5py
    import numpy as np

    is_dataset = isinstance(held, h5py.Dataset)
    shape = held.shape if is_dataset else (4,)
    dtype = held.dtype if is_dataset else np.dtype("i4")
    way = random.randrange(14)
    if way == 0:
        return  # it is gone
    if way == 1:
        file[name] = random.choice(
            (
                h5py.SoftLink("/nowhere"),
                h5py.SoftLink(f"/{name}"),
                h5py.ExternalLink("../outside/secret.h5", "hidden"),
                h5py.ExternalLink("../../../../outside/secret.h5", "hidden"),
                h5py.ExternalLink("../../../../../outside/secret.h5", "hidden"),
                h5py.ExternalLink("/proc/self/mem", "hidden"),
            )
        )
    elif way == 2:
        file.create_group(name)
    elif way == 3:
        file[name] = file["/"]
    elif way == 4:
        huge = (10**12, *(shape or (1,))[1:])
        file.create_dataset(name, shape=huge, dtype=dtype, chunks=(1, *huge[1:]))
    elif way == 5:
        huge = (2**40, *(shape or (1,))[1:])
        file.create_dataset(name, shape=huge, dtype=dtype)  # contiguous, and never written
    elif way == 6:
        file.create_dataset(name, data=_fitting(held, dtype), chunks=True, compression="gzip")
    elif way == 7:
        other = random.choice(("i8", "i1", "u2", "f8", ">f2", ">i4", "S3", "f4", "c8", "?", "V16"))
        file.create_dataset(name, shape=shape, dtype=other)
    elif way == 8:
        file.create_dataset(name, shape=shape, dtype=h5py.string_dtype())
    elif way == 9:
        file.create_dataset(
            name, shape=shape, dtype=random.choice((h5py.vlen_dtype("i4"), h5py.ref_dtype, "i4,f8"))
        )
    elif way == 10:
        file[name] = random.choice((h5py.Empty(dtype), np.zeros((), "i4")))
    elif way == 11:
        part = random.choice(
            (shape[:-1], (*shape, 1), (0, *shape[1:]), tuple(n + 1 for n in shape))
        )
        file.create_dataset(name, shape=part, dtype=dtype)
    elif way == 12:
        outside = [(random.choice(("../outside/secret.h5", "/proc/version")), 0, 10**6)]
        file.create_dataset(name, shape=shape, dtype=dtype, external=outside)
    else:
        source = random.choice(("../outside/secret.h5", "../../../../outside/secret.h5", "."))
        layout = h5py.VirtualLayout(shape or (1,), dtype)
        layout[...] = h5py.VirtualSource(source, "hidden", shape or (1,), dtype)
        file.create_virtual_dataset(name, layout)


def _fitting(held: Any, dtype: Any) -> Any:
    import numpy as np

    return held[()] if _is_small(held) and held.shape else np.zeros(4, dtype)


MUTATIONS: dict[str, Mutation] = {
    "bytes": as_bytes,
    "text": as_text,
    "json": as_json,
    "jsonl": as_json_lines,
    "yaml": as_yaml,
    "hdf5": as_hdf5,
    "safetensors": as_safetensors,
}
