"""One thin command per DVC stage: paths in, one parameter section, one library call, files out."""

from __future__ import annotations

import os
import signal
import sys
from importlib.metadata import PackageNotFoundError, version

if sys.argv[:1] == ["-m"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Libraries take seconds to import: Ctrl-C then ends the program without a traceback. The
    # command itself, once it runs, ends in order.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
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
