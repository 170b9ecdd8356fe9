"""Training on the path of a GPU without one: its losses, its launches, and what it waits for.

Launches are counted on a CPU. That nothing waits is seen on the ``meta`` device, where no value can
be read: a step that asked for one would fail, and copies from the host are copies between devices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fused_heads import HEADS, as_one_kernel, everywhere
from launches import Launches
from pipelines import extracted, head_inputs, head_settings, prepared

from pipeline.core.errors import MachineError, TrainingError
from pipeline.heads import fused
from pipeline.heads.settings import HeadSettings
from pipeline.training import fit as fitting
from pipeline.training import loop
from pipeline.training.data import HeadInputs
from pipeline.training.fit import new_head, train_seed
from pipeline.training.gpu_states import HeldStates, on_device
from pipeline.training.loop import Epoch, train
from pipeline.training.states import MappedStates

CPU, META = torch.device("cpu"), torch.device("meta")


@pytest.fixture(scope="module")
def folder(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = prepared(tmp_path_factory.mktemp("gpu_steps"))
    extracted(where, tiny_encoder, storage_dtype="float16")
    return where


def settings_of(name: str, *, dropout: float = 0.2, **training: Any) -> HeadSettings:
    task, changes = HEADS[name]
    recurrent = {**changes.get("recurrent", {}), "dropout": dropout}
    return head_settings(task, **{**changes, "recurrent": recurrent, "training": training})


def run(
    inputs: HeadInputs, device: torch.device, on_step: Callable[[float], object] = float
) -> list[Epoch]:
    """A training on states that the device holds."""
    mapped = inputs.states
    assert isinstance(mapped, MappedStates)
    held = [on_device(shards, device) for shards in mapped.layers]
    splits = inputs.dataset.splits
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return train(
            new_head(inputs).to(device),
            HeldStates(held, mapped._offsets),
            train_split=splits["train"],
            dev_split=splits["dev"],
            dev_score=len,
            settings=inputs.settings.training,
            seed=0,
            device=device,
            report=repr,
            on_step=on_step,
        )


def after_each_step(patch: pytest.MonkeyPatch, look: Callable[[], int]) -> list[int]:
    """What is seen after each step of the optimizer."""
    seen: list[int] = []
    step = torch.optim.AdamW.step

    def watching(self: torch.optim.AdamW, *arguments: Any) -> Any:
        result = step(self, *arguments)
        seen.append(look())
        return result

    patch.setattr(torch.optim.AdamW, "step", watching)
    return seen


@pytest.mark.parametrize("name", HEADS)
def test_losses_and_dev_scores_are_those_of_a_cpu(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = head_inputs(folder, settings_of(name, dropout=0.0, epochs=2))
    losses: list[float] = []
    history = run(inputs, CPU, losses.append)
    everywhere(monkeypatch)
    monkeypatch.setattr(fused, "STEPS_AHEAD", 4)
    others: list[float] = []
    other_history = run(inputs, CPU, others.append)
    assert len(losses) == len(others) == 2 * 9
    np.testing.assert_allclose(others, losses, rtol=1e-3, atol=1e-4)
    for epoch, other in zip(history, other_history, strict=True):
        assert (other.epoch, other.dev_score) == (epoch.epoch, epoch.dev_score)
        assert other.train_loss == pytest.approx(epoch.train_loss, rel=1e-3, abs=1e-4)
        assert other.dev_loss == pytest.approx(epoch.dev_loss, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("name", HEADS)
def test_a_step_launches_few_operations_besides_those_of_the_library(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CRF's depend on the logarithm of the longest sentence, here of up to 32 words."""
    inputs = head_inputs(folder, settings_of(name, epochs=1))
    everywhere(monkeypatch)
    with Launches() as counted:
        as_one_kernel(monkeypatch, counted)
        ends = after_each_step(monkeypatch, lambda: counted.operations)
        run(inputs, CPU)
    steps = np.diff(ends)
    assert len(steps) == 8
    assert steps.max() <= (160 if name == "CRF" else 60)
    assert steps.min() > 20, "nothing was counted"


@pytest.mark.parametrize(
    "name", ["tagger, mean", "two layers", "attention", "mix", "numbers", "CRF"]
)
def test_nothing_in_an_epoch_waits_for_the_device_after_the_first_step(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = head_inputs(folder, settings_of(name, epochs=2, batch_size=20))
    everywhere(monkeypatch)
    read: list[int] = []

    def reading(losses: list[torch.Tensor]) -> list[float]:
        read.append(len(losses))
        return [1.0] * len(losses)

    def begin(self: torch.optim.AdamW, parameters: Any, **_: Any) -> None:
        torch.optim.Optimizer.__init__(self, parameters, {"lr": 1.0})

    monkeypatch.setattr(loop, "read_losses", reading)
    monkeypatch.setattr(loop, "evaluate", lambda *_, **__: ([], 0.0))
    # Torch has its fused step for devices with values only.
    monkeypatch.setattr(torch.optim.AdamW, "__init__", begin)
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda _: None)
    with Launches() as counted:
        as_one_kernel(monkeypatch, counted)
        waits = after_each_step(monkeypatch, lambda: counted.synchronisations)
        run(inputs, META)
    assert len(waits) == 2 * 4
    assert waits[0] > 0, "copies of the first step are seen"
    assert len(set(waits)) == 1
    assert read == [4, 4]


def test_losses_are_read_some_steps_at_a_time_and_told_in_order(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = head_inputs(folder, settings_of("classifier", epochs=1))
    everywhere(monkeypatch)
    monkeypatch.setattr(fused, "STEPS_AHEAD", 4)
    read: list[int] = []
    reading = loop.read_losses

    def watched(losses: list[torch.Tensor]) -> list[float]:
        read.append(len(losses))
        return reading(losses)

    monkeypatch.setattr(loop, "read_losses", watched)
    monkeypatch.setattr(loop, "evaluate", lambda *_, **__: ([], 0.0))
    steps: list[float] = []
    (epoch,) = run(inputs, CPU, steps.append)
    assert read == [4, 4, 1]
    assert epoch.train_loss == pytest.approx(np.mean(steps))


def test_a_loss_that_is_no_number_is_found_at_the_next_reading(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wild = {"learning_rate": 1e37, "gradient_clip": 1e37, "epochs": 1}
    inputs = head_inputs(folder, settings_of("classifier", **wild))
    everywhere(monkeypatch)
    with pytest.raises(TrainingError, match=r"the loss became \w+ in epoch 1; lower learning_rate"):
        run(inputs, CPU)


def test_a_full_gpu_is_one_line_that_names_the_setting(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.\nMore.")

    monkeypatch.setattr(fitting, "train", full)
    inputs = replace(head_inputs(folder, settings_of("classifier")), device=META)
    with pytest.raises(MachineError) as caught:
        train_seed(inputs, seed=1, after_epoch=repr)
    assert str(caught.value) == (
        "meta: out of memory in training; lower training.batch_size, now 8"
    )
