"""One thin command per DVC stage: paths in, one parameter section, one library call, files out."""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, version

# OpenMP's threads spin while they wait for each other. Beside another busy process on two cores,
# that made a training of 9 s take 25 to 60 s; with few spins before they sleep it takes 20 s, and
# still 9 s on an idle machine. It is read when torch is first imported, hence here.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

# MKL, where torch has it, promises the same bits from run to run only in this mode: without it, how
# threads' parts of a sum come together may depend on which thread was first. Strict, it also keeps
# threads from parting the sums of wide inputs (1,024 numbers and more with two threads), which it
# otherwise does or not by the number of rows. It costs nothing here.
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")

if os.name == "nt":
    sys.exit("icehouse: native Windows is not supported; use WSL2 (see README.md)")
try:
    version("icehouse")
except PackageNotFoundError:
    print(
        f"icehouse: {sys.executable} is not the project's environment; run `make setup` once, "
        "then `source .venv/bin/activate` (or use `make repro`)",
        file=sys.stderr,
    )
    sys.exit(2)
