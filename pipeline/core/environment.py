"""Environment of a run, which is no parameter: device, threads and store.

``ICEHOUSE_DEVICE``      ``cuda``, ``cuda:1``, ``mps`` or ``cpu``; by default the best there is.
``ICEHOUSE_THREADS``     CPU threads of torch; by default torch's own choice.
``ICEHOUSE_GPU_TOKENS``  tokens that a GPU encodes at once: 65536, or 16384 where it has less than
                         16 GB; fewer where that is too much.
``FEATURE_STORE``        folder of the local feature store; by default ``.features`` at the root of
                         the main checkout, which DVC names in ``DVC_ROOT``.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.core.errors import MachineError

if TYPE_CHECKING:
    import torch

MOST_THREADS = 1024
_MOST_DIGITS = 9
GPU_TOKENS = 65536
SMALL_GPU_TOKENS = 16384
_LARGE_GPU = 15 << 30  # cards of 16 GB show a little less

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 1 << 30

_MOST_FILES = (1 << 16, 10240)


def store_path() -> Path:
    """Folder of the local feature store, absolute; it may not exist yet.

    Raises:
        MachineError: something else is there, or the path names an unknown user.
    """
    chosen = os.environ.get("FEATURE_STORE")
    try:
        folder = Path(chosen).expanduser().absolute() if chosen else project_root() / ".features"
    except RuntimeError:
        raise MachineError(f"FEATURE_STORE={chosen}: there is no such user") from None
    if folder.exists() and not folder.is_dir():
        raise MachineError(
            f"{folder}: is no folder, and the feature store is one; let FEATURE_STORE name another "
            "place"
        )
    return folder


def project_root() -> Path:
    """The main checkout, also in an experiment that runs in a folder of its own; absolute."""
    root = os.environ.get("DVC_ROOT")
    if root:
        return Path(root).absolute()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / ".dvc").is_dir():
            return folder
    return here


def use_threads() -> int:
    """Applies ``ICEHOUSE_THREADS`` to torch and returns the number of threads in use.

    Raises:
        MachineError: the variable is not a whole number of at least 1.
    """
    import torch

    asked = os.environ.get("ICEHOUSE_THREADS")
    if asked:
        number = _whole(asked)
        if not 1 <= number <= MOST_THREADS:
            raise MachineError(
                f"ICEHOUSE_THREADS={_short(asked)}: must be a whole number from 1 to {MOST_THREADS}"
            )
        torch.set_num_threads(number)
    return torch.get_num_threads()


@contextmanager
def one_thread() -> Iterator[None]:
    """Keeps torch to one thread, for operations that are too short to share.

    Threads that sleep in between cost more to wake than they bring, and threads that do not sleep
    bring everything to a halt where another process wants their core.
    """
    import torch

    threads = torch.get_num_threads()
    if threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def flush_denormals() -> None:
    """Lets CPUs take numbers below 1e-38 for zero; to be called before torch computes anything.

    Gradients that go back from one end of a long text to the other become that small, and a product
    with them takes ten times as long as any other.
    """
    import torch

    torch.set_flush_denormal(True)


def keep_freed_memory() -> None:
    """Tells the C library to keep memory that is freed, where it is glibc.

    A training step asks for the same megabytes again and again. Given back to the system in
    between, they have to be zeroed and mapped anew each time: a fifth of the time on long texts.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    for option in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD):
        mallopt(option, _KEPT_BYTES)


def allow_open_files() -> None:
    """Lets the process open as many files as the system lets it ask for.

    Every shard that is mapped into memory stays open, each layer by itself. Programs are started
    with 1024 files, 256 on a Mac, because of an old call that the pipeline does not use.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in _MOST_FILES:
        if soft != resource.RLIM_INFINITY and soft < wanted:
            most = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
            with suppress(OSError, ValueError):  # a Mac may have a limit below the one it tells
                resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
                return


def gpu_tokens(device: torch.device) -> int:
    """Tokens that a GPU encodes at once: ``ICEHOUSE_GPU_TOKENS``, or a number that fits most.

    Raises:
        MachineError: the variable is not a whole number of at least 16.
    """
    asked = os.environ.get("ICEHOUSE_GPU_TOKENS")
    if not asked:
        return GPU_TOKENS if _gpu_bytes(device) >= _LARGE_GPU else SMALL_GPU_TOKENS
    number = _whole(asked)
    if number < 16:
        raise MachineError(
            f"ICEHOUSE_GPU_TOKENS={_short(asked)}: must be a whole number of at least 16, and of "
            f"at most {_MOST_DIGITS} digits"
        )
    return number


def _gpu_bytes(device: torch.device) -> int:
    """Memory of a CUDA GPU; of others it is not asked for."""
    import torch

    if device.type != "cuda":
        return 0
    return int(torch.cuda.get_device_properties(device).total_memory)


def _whole(text: str) -> int:
    """The number that a variable holds; -1 where it is none, or one that no machine is for."""
    plain = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
    return int(text) if plain else -1


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."


def choose_device() -> torch.device:
    """The device to compute on: ``ICEHOUSE_DEVICE``, else CUDA, else MPS, else the CPU.

    Raises:
        MachineError: the asked device is not a device, or is not on this machine.
    """
    import torch

    asked = os.environ.get("ICEHOUSE_DEVICE")
    if not asked:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(asked)
    except RuntimeError:
        raise MachineError(
            f"ICEHOUSE_DEVICE={_short(asked)}: not a device; use cuda, cuda:<number>, mps or cpu"
        ) from None
    present = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not present.get(device.type, False):
        raise MachineError(
            f"ICEHOUSE_DEVICE={asked}: this machine has no such device; unset it or use cpu"
        )
    return device


def describe_device(device: torch.device, threads: int) -> str:
    """The device in words, and why it is no GPU where one is here."""
    import torch

    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    if device.type != "cpu":
        return str(device)
    words = f"{threads} thread{'s' if threads > 1 else ''}"
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        words += "; ICEHOUSE_DEVICE keeps it off the GPU"
    elif any(path.exists() for path in (Path("/dev/kfd"), *Path("/dev").glob("nvidia[0-9]*"))):
        words += f"; there is a GPU, but torch {torch.__version__} cannot use it"
    return f"cpu ({words})"


def is_emulated(dtype: str, device: torch.device) -> bool:
    """Whether a device computes in a precision by converting to another, several times as slow.

    Torch tells of x86-64 CPUs and of CUDA; others are taken to have what they are asked for.
    """
    import torch

    if dtype != "bfloat16":
        return False
    if device.type == "cuda":
        with torch.cuda.device(device):
            return not torch.cuda.is_bf16_supported(including_emulation=False)
    has = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    known = has.get("architecture") == "x86_64"
    return known and not (has.get("avx512_bf16") or has.get("amx_bf16"))


def describe_machine(device: torch.device, threads: int) -> dict[str, Any]:
    """Machine, as far as it decides last bits: for logs, and never for files that are hashed."""
    import torch

    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": threads,
        "torch": torch.__version__,
        "cpu": _cpu(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
