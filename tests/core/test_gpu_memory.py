from __future__ import annotations

import pytest
import torch

from pipeline.core.errors import MachineError
from pipeline.core.gpu_memory import naming_what_to_lower

ADVICE = "in training; lower training.batch_size, now 32"


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.\nMore."),
        RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_a_full_gpu_is_one_line(error: RuntimeError) -> None:
    with (
        pytest.raises(MachineError) as caught,
        naming_what_to_lower(torch.device("cuda:1"), ADVICE),
    ):
        raise error
    assert str(caught.value) == f"cuda:1: out of memory {ADVICE}"


def test_other_failures_and_those_of_a_cpu_stay_what_they_are() -> None:
    with (
        pytest.raises(RuntimeError, match="assert"),
        naming_what_to_lower(torch.device("cuda"), ADVICE),
    ):
        raise RuntimeError("device-side assert triggered")
    with (
        pytest.raises(RuntimeError, match="out of memory"),
        naming_what_to_lower(torch.device("cpu"), ADVICE),
    ):
        raise RuntimeError("out of memory")
