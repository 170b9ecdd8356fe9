"""``python -m benchmarks.gpu.limited MEGABYTES FILE MODULE ARGUMENT...``: a stage on less memory.

Runs a module as ``python -m`` does, in a process that may take so much of the GPU's memory (0 for
all of it), and writes to FILE how much tensors took at most, and whether a GPU was used at all.
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import torch

from benchmarks.gpu.device import limit_memory


def main() -> None:
    """Runs the module."""
    megabytes, file, module, *arguments = sys.argv[1:]
    limit_memory(int(megabytes))
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        used = torch.cuda.is_initialized()
        most = torch.cuda.max_memory_allocated() if used else 0
        figures = {"gpu_used": most > 0, "peak_gb": most / 1e9}
        Path(file).write_text(json.dumps(figures), encoding="utf-8")


if __name__ == "__main__":
    main()
