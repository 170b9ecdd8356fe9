"""``python -m benchmarks [NAME ...]``: runs all benchmarks, or the named ones."""

from __future__ import annotations

import importlib
import sys

NAMES = (
    "extract",
    "host",
    "early_exit",
    "epoch",
    "epoch_bert_base",
    "probe",
    "read",
    "trial",
    "sweep",
    "edit",
    "noop",
    "memory",
)


def main() -> None:
    """Runs the benchmarks one after another, each in this process."""
    for name in sys.argv[1:] or NAMES:
        if name not in NAMES:
            sys.exit(f"no benchmark {name!r}; known are {', '.join(NAMES)}")
        print(f"== {name}")
        importlib.import_module(f"benchmarks.{name}").main()


if __name__ == "__main__":
    main()
