"""The counter of launches, on operations whose launches are known."""

from __future__ import annotations

import pytest
import torch
from launches import Launches

META = torch.device("meta")


def test_views_and_empty_memory_launch_nothing() -> None:
    values = torch.ones(4, 6)
    with Launches() as counted:
        values.t()[1:].unflatten(1, (2, 2)).detach().split(1)
        torch.empty_like(values)
    assert counted.operations == 0


def test_backward_passes_count_and_foreach_operations_once() -> None:
    weight = torch.ones(3, 3, requires_grad=True)
    with Launches() as counted:
        product = weight.exp()
    assert dict(counted.by_name) == {"exp": 1}
    with Launches() as counted:
        product.backward(torch.ones(3, 3))
        torch._foreach_mul_([torch.empty(2), torch.empty(3)], 2.0)
    assert dict(counted.by_name) == {"mul": 1, "_foreach_mul_": 1, "ones": 1}


def test_what_runs_uncounted_does_not_count() -> None:
    values = torch.ones(2)
    with Launches() as counted:
        with counted.uncounted():
            values.exp()
        values.log()
    assert dict(counted.by_name) == {"log": 1}


@pytest.mark.parametrize(
    "wait",
    [
        torch.Tensor.item,
        torch.nonzero,
        lambda values: values[values > 0],
        lambda values: values.masked_select(values > 0),
        lambda values: torch.equal(values, values),
        bool,
    ],
)
def test_values_that_the_host_waits_for_are_seen(wait) -> None:
    values = torch.ones(1)
    with Launches() as counted:
        wait(values)
    assert counted.synchronisations == 1


def test_copies_between_devices_are_seen_unless_nothing_waits_for_them() -> None:
    values, there = torch.ones(2), torch.empty(2, device=META)
    with Launches() as counted:
        values.to(META, non_blocking=True)
        there.copy_(values, non_blocking=True)
        there.to(torch.float64)
    assert (counted.copies, counted.operations) == (0, 3)
    with Launches() as counted:
        values.to(META)
        there.copy_(values)
    assert (counted.copies, counted.synchronisations) == (2, 2)
