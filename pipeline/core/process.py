"""Environment of the numerical libraries: what decides bits, and how long threads spin.

They must be set before torch is first imported: ``pipeline/core/__init__.py`` sees to it, and
whatever imports torch here imports that first.
"""

from __future__ import annotations

import os
from pathlib import Path


def configure_libraries() -> None:
    """Set the environment variables that OpenMP, MKL and cuBLAS read when torch is first used.

    OpenMP's threads spin while they wait for each other. Beside another busy process on two cores,
    that made a training of 9 s take 25 to 60 s; with few spins before they sleep it takes 20 s, and
    still 9 s on an idle machine.

    MKL, where torch has it, promises the same bits from run to run only in a reproducible mode:
    without, how threads' parts of a sum come together may depend on which thread was first.
    cuBLAS, which cuDNN's recurrent networks call, promises them with a workspace of fixed size.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    os.environ.setdefault("MKL_CBWR", mkl_mode())
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def mkl_mode() -> str:
    """The value of ``MKL_CBWR`` under which rows are pure: a matrix product's row is its own.

    With MKL's AVX-512 kernels it is in every reproducible mode. With its AVX2 kernels, products of
    19 to 21 and 25 rows, for some, differ in the last bits from others, unless the mode is strict,
    which takes a fifth longer for small products.
    """
    try:
        description = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return "AUTO,STRICT"
    return "AUTO" if {"GenuineIntel", "avx512f"} <= set(description.split()) else "AUTO,STRICT"
