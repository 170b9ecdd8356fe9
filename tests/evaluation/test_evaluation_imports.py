"""Scores are numbers of text files: evaluation starts without the libraries of models."""

from __future__ import annotations

import subprocess
import sys

from import_graph import ROOT


def test_the_evaluate_stage_imports_no_library_of_models():
    code = (
        "import sys, stages.evaluate; "
        "print(*sorted({'torch', 'transformers', 'h5py', 'safetensors'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == []
