from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch.nn import functional as F

from pipeline.encoder import attention
from pipeline.encoder.attention import RowLayout, packed_attention, row_bounds

CPU = torch.device("cpu")
LENGTHS = [3, 3, 9, 20, 20, 33, 16]
HEADS, WIDTH = 4, 16


def tensors(key_heads: int = HEADS) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    tokens = sum(LENGTHS)
    return (
        torch.randn(1, HEADS, tokens, WIDTH),
        torch.randn(1, key_heads, tokens, WIDTH),
        torch.randn(1, key_heads, tokens, WIDTH),
    )


def layout_of(lengths: list[int]) -> RowLayout:
    return RowLayout.of(lengths, torch.from_numpy(row_bounds(lengths)))


def one_by_one(query, key, value, scale=None, window=None) -> torch.Tensor:
    """Every row by itself, keys repeated for heads that share them."""
    repeats = query.shape[1] // key.shape[1]
    key, value = (tensor.repeat_interleave(repeats, 1) for tensor in (key, value))
    outputs = []
    for begin, end in pairwise(torch.tensor([0, *LENGTHS]).cumsum(0).tolist()):
        q, k, v = (tensor[:, :, begin:end] for tensor in (query, key, value))
        place = torch.arange(end - begin)
        near = (place[:, None] - place).abs() < (window or end)
        output = F.scaled_dot_product_attention(q, k, v, attn_mask=near, scale=scale)
        outputs.append(output.transpose(1, 2))
    return torch.cat(outputs, 1)


def attend(*states: torch.Tensor, **options) -> torch.Tensor:
    output, weights = packed_attention(
        torch.nn.Identity(), *states, None, rows=layout_of(LENGTHS), **options
    )
    assert weights is None
    return output


def test_layout_says_where_rows_lie():
    layout = layout_of(LENGTHS)
    assert layout.runs == [(2, 3), (1, 9), (2, 20), (1, 33), (1, 16)]
    assert layout.bounds.tolist() == [0, 3, 6, 15, 35, 55, 88, 104]
    assert layout.bounds.dtype == torch.int32
    assert layout.longest == 33


@pytest.mark.parametrize("key_heads", [HEADS, 2, 1])
@pytest.mark.parametrize("window", [None, 1, 5, 33, 100])
@pytest.mark.parametrize("scale", [None, 0.3])
def test_every_row_attends_to_itself_alone(key_heads, window, scale):
    states = tensors(key_heads)
    output = attend(*states, sliding_window=window, scaling=scale, dropout=0.0)
    expected = one_by_one(*states, scale=scale, window=window)
    assert output.shape == (1, sum(LENGTHS), HEADS, WIDTH)
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-6)


def kernel_of_torch_2_11(
    query, key, value, bounds, key_bounds, longest, longest_key, *, scale=None, window_size=(-1, -1)
):
    """The kernel itself needs a GPU; here, what it is given goes by the words of its docstring."""
    assert bounds is key_bounds
    assert longest == longest_key == max(LENGTHS)
    left, right = window_size
    assert left == right
    assert all(tensor.is_contiguous() for tensor in (query, key, value))
    states = [tensor.transpose(0, 1)[None] for tensor in (query, key, value)]
    reach = None if left == -1 else left + 1
    return one_by_one(*states, scale=scale, window=reach)[0]


def kernel_of_torch_2_12(*states, enable_gqa=False, num_splits=None, **options):
    assert num_splits == 1
    assert enable_gqa == (states[0].shape[1] != states[1].shape[1])
    return kernel_of_torch_2_11(*states, **options)


@pytest.mark.parametrize("kernel", [kernel_of_torch_2_11, kernel_of_torch_2_12])
@pytest.mark.parametrize("key_heads", [HEADS, 2])
@pytest.mark.parametrize("window", [None, 5])
def test_the_gpu_kernel_is_asked_for_the_same(monkeypatch, kernel, key_heads, window):
    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", kernel)
    states = tensors(key_heads)
    expected = attend(*states, sliding_window=window, scaling=0.2)
    monkeypatch.setattr(attention, "_has_varlen", lambda *_: True)
    output = attend(*states, sliding_window=window, scaling=0.2)
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("device", "dtype", "width", "capability", "has"),
    [
        ("cpu", torch.bfloat16, 64, (9, 0), False),
        ("cuda", torch.float32, 64, (9, 0), False),
        ("cuda", torch.bfloat16, 64, (9, 0), True),
        ("cuda", torch.float16, 64, (8, 0), True),
        ("cuda", torch.float16, 64, (7, 5), False),
        ("cuda", torch.float16, 60, (9, 0), False),
        ("cuda", torch.float16, 512, (9, 0), False),
    ],
)
def test_the_gpu_kernel_is_used_where_it_can_be(monkeypatch, device, dtype, width, capability, has):
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda _: capability)
    monkeypatch.setattr("torch.version.hip", None)
    attention._has_varlen.cache_clear()
    assert attention._has_varlen(torch.device(device), dtype, width) == has
    attention._has_varlen.cache_clear()
