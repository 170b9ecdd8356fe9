"""Files are complete or absent; equal content is equal bytes."""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.files import (
    READ_ONLY,
    atomic_directory,
    atomic_file,
    canonical_json,
    csv_text,
    readable_json,
    remove_temporaries,
    sha256_file,
    sha256_text,
    write_text,
)
from pipeline.core.reading import SpecialFileError

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fail_in_file(path: Path, error: type[BaseException]) -> None:
    with atomic_file(path) as temporary:
        temporary.write_text("half")
        raise error


def fail_in_directory(path: Path, error: type[BaseException]) -> None:
    with atomic_directory(path) as temporary:
        (temporary / "new").write_text("half")
        raise error


@given(VALUES)
def test_canonical_json_reads_back_equal(value: object):
    text = canonical_json(value)
    assert json.loads(text) == value
    assert "\n" not in text


@given(st.dictionaries(st.text(), st.integers()), st.randoms())
def test_canonical_json_ignores_the_order_of_keys(value: dict[str, int], random: object):
    items = list(value.items())
    random.shuffle(items)
    assert canonical_json({"inner": dict(items)}) == canonical_json({"inner": value})


def test_canonical_json_has_no_spaces_and_no_needless_escapes():
    assert canonical_json({"b": [1, "é\u2028"], "a": None}) == '{"a":null,"b":[1,"é\u2028"]}'


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("encode", [canonical_json, readable_json])
def test_json_refuses_numbers_that_json_does_not_have(encode: object, number: float):
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode({"value": number})


def test_readable_json_keeps_the_order_of_keys_and_ends_its_last_line():
    text = readable_json({"b": 1, "a": ["é"]})
    assert text.endswith("}\n")
    assert list(json.loads(text)) == ["b", "a"]
    assert "é" in text


@given(st.text())
def test_sha256_text_is_of_the_utf_8_bytes(text: str):
    assert sha256_text(text) == hashlib.sha256(text.encode("utf-8")).hexdigest()


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (1 << 21) + 5])
def test_sha256_file_is_of_the_whole_file(tmp_path: Path, size: int):
    content = (bytes(range(251)) * (size // 251 + 1))[:size]
    (tmp_path / "file").write_bytes(content)
    assert sha256_file(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_atomic_file_appears_only_when_the_block_ends(tmp_path: Path):
    path = tmp_path / "new" / "folder" / "file"
    with atomic_file(path) as temporary:
        temporary.write_text("content")
        assert temporary.parent == path.parent
        assert not path.exists()
    assert path.read_text() == "content"
    assert names(path.parent) == ["file"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_atomic_file_leaves_nothing_on_error(tmp_path: Path, error: type[BaseException]):
    with pytest.raises(error):
        fail_in_file(tmp_path / "file", error)
    assert names(tmp_path) == []


def test_atomic_file_leaves_the_old_content_on_error(tmp_path: Path):
    (tmp_path / "file").write_text("old")
    with pytest.raises(KeyboardInterrupt):
        fail_in_file(tmp_path / "file", KeyboardInterrupt)
    assert names(tmp_path) == ["file"]
    assert (tmp_path / "file").read_text() == "old"


@pytest.mark.parametrize("wanted", [READ_ONLY, 0o644, 0o600])
def test_atomic_file_has_the_mode_asked_for(tmp_path: Path, wanted: int):
    with atomic_file(tmp_path / "file", mode=wanted) as temporary:
        temporary.write_text("content")
    assert mode(tmp_path / "file") == wanted


def test_atomic_file_is_readable_by_all_unless_asked(tmp_path: Path):
    with atomic_file(tmp_path / "file"):
        pass
    assert mode(tmp_path / "file") == 0o644


def test_atomic_file_replaces_a_read_only_file_and_not_its_hard_links(tmp_path: Path):
    for content in ("old", "new"):
        with atomic_file(tmp_path / "file", mode=READ_ONLY) as temporary:
            temporary.write_text(content)
        if content == "old":
            (tmp_path / "link").hardlink_to(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "new"
    assert (tmp_path / "link").read_text() == "old"


def test_atomic_directory_replaces_the_whole_folder(tmp_path: Path):
    path = tmp_path / "parent" / "folder"
    (path / "inner").mkdir(parents=True)
    (path / "inner" / "old").write_text("old")
    with atomic_directory(path) as temporary:
        (temporary / "new").write_text("new")
        assert (path / "inner" / "old").read_text() == "old"
    assert names(path) == ["new"]
    assert names(path.parent) == ["folder"]
    assert mode(path) == 0o755


def test_atomic_directory_makes_its_parents(tmp_path: Path):
    with atomic_directory(tmp_path / "a" / "b") as temporary:
        (temporary / "file").write_text("content")
    assert (tmp_path / "a" / "b" / "file").read_text() == "content"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_atomic_directory_leaves_the_old_content_on_error(
    tmp_path: Path, error: type[BaseException]
):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old").write_text("old")
    with pytest.raises(error):
        fail_in_directory(tmp_path / "folder", error)
    assert names(tmp_path) == ["folder"]
    assert (tmp_path / "folder" / "old").read_text() == "old"
    assert names(tmp_path / "folder") == ["old"]


def test_write_text_writes_utf_8_with_line_ends_as_given(tmp_path: Path):
    write_text(tmp_path / "file", "é\u2028\r\nb\n")
    assert (tmp_path / "file").read_bytes() == b"\xc3\xa9\xe2\x80\xa8\r\nb\n"


def test_remove_temporaries_passes_over_what_it_may_not_remove(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    left = tmp_path / ".file.abc.tmp"
    left.touch()

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        remove_temporaries(tmp_path)
    assert left.exists()


def test_an_error_of_a_folder_says_which(tmp_path: Path):
    with pytest.raises(OSError, match="made") as caught, atomic_directory(tmp_path / "made"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(tmp_path / "made")


@pytest.mark.parametrize("cell", ["a\rb", "a\nb", 'a"b', "a,b"])
def test_a_table_reads_back(cell: str):
    text = csv_text(["x", "y"], [[cell, 1]])
    assert list(csv.reader(io.StringIO(text, newline=""))) == [["x", "y"], [cell, "1"]]


def test_a_digest_of_a_pipe_is_refused(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SpecialFileError):
        sha256_file(tmp_path / "pipe")
