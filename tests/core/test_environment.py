"""Device, threads and store come from the environment, and bad values are the user's to mend."""

from __future__ import annotations

import platform
import resource
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from pipeline.core.environment import (
    allow_open_files,
    choose_device,
    describe_device,
    is_emulated,
    keep_freed_memory,
    store_path,
    use_threads,
)
from pipeline.core.errors import MachineError


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("FEATURE_STORE", "DVC_ROOT", "ICEHOUSE_DEVICE", "ICEHOUSE_THREADS"):
        monkeypatch.delenv(name, raising=False)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_store_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("FEATURE_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "dvc"))
    assert store_path() == tmp_path / "store"


def test_store_of_the_user_may_be_relative_or_at_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FEATURE_STORE", "store")
    assert store_path() == tmp_path / "store"
    monkeypatch.setenv("FEATURE_STORE", "~/store")
    assert store_path() == tmp_path / "home" / "store"


@pytest.mark.parametrize("chosen", [None, ""])
def test_store_is_at_the_main_checkout_that_dvc_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, chosen: str | None
):
    if chosen is not None:
        monkeypatch.setenv("FEATURE_STORE", chosen)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "main"))
    (tmp_path / ".dvc").mkdir()
    monkeypatch.chdir(tmp_path)
    assert store_path() == tmp_path / "main" / ".features"


def test_store_is_at_the_nearest_folder_with_dvc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / ".dvc").mkdir()
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    assert store_path() == tmp_path / ".features"


def test_store_is_at_the_working_folder_without_a_repository(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.chdir(tmp_path)
    assert store_path() == tmp_path / ".features"


def test_threads_are_those_asked_for(monkeypatch: pytest.MonkeyPatch):
    asked = torch.get_num_threads() + 1
    monkeypatch.setenv("ICEHOUSE_THREADS", str(asked))
    assert use_threads() == asked
    assert torch.get_num_threads() == asked


@pytest.mark.parametrize("asked", [None, ""])
def test_threads_are_left_alone_unless_asked_for(
    monkeypatch: pytest.MonkeyPatch, asked: str | None
):
    if asked is not None:
        monkeypatch.setenv("ICEHOUSE_THREADS", asked)
    before = torch.get_num_threads()
    assert use_threads() == before
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("asked", ["0", "-1", "1.5", "two", " ", "2 4"])
def test_threads_rejects_what_is_not_a_positive_whole_number(
    monkeypatch: pytest.MonkeyPatch, asked: str
):
    monkeypatch.setenv("ICEHOUSE_THREADS", asked)
    before = torch.get_num_threads()
    with pytest.raises(MachineError, match=f"ICEHOUSE_THREADS={asked}: must be a whole number"):
        use_threads()
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_device_is_the_best_there_is_unless_asked_for(
    monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool, expected: str
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert choose_device() == torch.device(expected)


def test_device_asked_for_wins_over_a_better_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("ICEHOUSE_DEVICE", "cpu")
    assert choose_device() == torch.device("cpu")


def test_device_may_name_one_of_several_gpus(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("ICEHOUSE_DEVICE", "cuda:1")
    assert choose_device() == torch.device("cuda:1")
    monkeypatch.setenv("ICEHOUSE_DEVICE", "cuda:2")
    with pytest.raises(MachineError, match="cuda:2: this machine has no such device"):
        choose_device()


@pytest.mark.parametrize("library", [object(), OSError("no library"), TypeError("no name")])
def test_freed_memory_is_kept_only_where_the_library_can(
    monkeypatch: pytest.MonkeyPatch, library: object
):
    def load(_name: None) -> object:
        if isinstance(library, Exception):
            raise library
        return library

    monkeypatch.setattr("ctypes.CDLL", load)
    keep_freed_memory()


def test_freed_memory_is_kept_by_thresholds_of_a_gibibyte(monkeypatch: pytest.MonkeyPatch):
    asked = []
    library = SimpleNamespace(mallopt=lambda *option: asked.append(option))
    monkeypatch.setattr("ctypes.CDLL", lambda _name: library)
    keep_freed_memory()
    assert asked == [(-1, 1 << 30), (-3, 1 << 30)]


def limited(monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, most: int) -> list[int]:
    """Asks for files where the limits are so, and more than ``most`` is refused."""
    asked: list[int] = []

    def setrlimit(_which: int, limits: tuple[int, int]) -> None:
        if limits[0] > most:
            raise ValueError("not allowed to raise maximum limit")
        asked.append(limits[0])
        assert limits[1] == hard

    monkeypatch.setattr("resource.getrlimit", lambda _which: (soft, hard))
    monkeypatch.setattr("resource.setrlimit", setrlimit)
    allow_open_files()
    return asked


@pytest.mark.parametrize(
    ("soft", "hard", "most", "asked"),
    [
        (1024, 4096, 4096, [4096]),
        (1024, 1 << 20, 1 << 20, [1 << 16]),
        (1024, 1024, 1024, [1024]),
        (1 << 17, 1 << 20, 1 << 20, []),
        (256, resource.RLIM_INFINITY, 10240, [10240]),
        (256, resource.RLIM_INFINITY, 256, []),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 0, []),
    ],
)
def test_as_many_files_may_be_open_as_the_system_allows(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, most: int, asked: list[int]
):
    assert limited(monkeypatch, soft, hard, most) == asked


@pytest.mark.parametrize("asked", ["gpu", "cuda:x", "cuda:-1", "CPU", " "])
def test_device_rejects_what_is_not_a_device(monkeypatch: pytest.MonkeyPatch, asked: str):
    monkeypatch.setenv("ICEHOUSE_DEVICE", asked)
    with pytest.raises(MachineError, match=f"ICEHOUSE_DEVICE={asked}: not a device"):
        choose_device()


@pytest.mark.parametrize("asked", ["cuda", "cuda:1", "mps", "meta", "xpu"])
def test_device_rejects_one_that_is_not_there(monkeypatch: pytest.MonkeyPatch, asked: str):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setenv("ICEHOUSE_DEVICE", asked)
    with pytest.raises(MachineError, match=f"ICEHOUSE_DEVICE={asked}: this machine has no such"):
        choose_device()


@pytest.mark.parametrize(
    ("cuda", "mps", "reason"),
    [(False, False, ""), (True, False, "; ICEHOUSE_DEVICE"), (False, True, "; ICEHOUSE_DEVICE")],
)
def test_a_gpu_that_is_not_used_has_its_reason_said(
    monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool, reason: str
):
    monkeypatch.setattr("torch.cuda.is_available", lambda: cuda)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: mps)
    monkeypatch.setattr("pipeline.core.environment.Path", _NoDevices)
    words = describe_device(torch.device("cpu"), 2)
    assert words == f"cpu (2 threads{reason}{' keeps it off the GPU' if reason else ''})"


@pytest.mark.parametrize("file", ["nvidia0", "kfd"])
def test_a_gpu_that_torch_cannot_use_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: str
):
    (tmp_path / file).touch()
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(
        "pipeline.core.environment.Path", lambda path: tmp_path / Path(path).relative_to("/dev")
    )
    words = describe_device(torch.device("cpu"), 1)
    assert words == f"cpu (1 thread; there is a GPU, but torch {torch.__version__} cannot use it)"


class _NoDevices:
    """A machine whose /dev is empty."""

    def __init__(self, path: str) -> None:
        self.path = path

    def exists(self) -> bool:
        return False

    def glob(self, _pattern: str) -> list[Path]:
        return []


@pytest.mark.parametrize(
    ("dtype", "has", "emulated"),
    [
        ("bfloat16", {"architecture": "x86_64", "avx512_bf16": False, "amx_bf16": False}, True),
        ("bfloat16", {"architecture": "x86_64", "avx512_bf16": True, "amx_bf16": False}, False),
        ("bfloat16", {"architecture": "x86_64", "avx512_bf16": False, "amx_bf16": True}, False),
        ("bfloat16", {"architecture": "aarch64"}, False),
        ("float32", {"architecture": "x86_64", "avx512_bf16": False, "amx_bf16": False}, False),
    ],
)
def test_a_cpu_without_bfloat16_is_known(
    monkeypatch: pytest.MonkeyPatch, dtype: str, has: dict[str, object], emulated: bool
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    assert is_emulated(dtype, torch.device("cpu")) == emulated


@pytest.mark.skipif(platform.machine() != "x86_64", reason="is about x86-64 CPUs")
@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="asks Linux")
def test_torch_knows_what_linux_says_of_this_cpu():
    words = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    has = "avx512_bf16" in words or "amx_bf16" in words
    assert is_emulated("bfloat16", torch.device("cpu")) == (not has)
