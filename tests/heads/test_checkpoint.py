from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pipelines import head_settings, new_head
from safetensors.torch import load_file

from pipeline.core.errors import StoreError
from pipeline.heads.checkpoint import DESCRIPTION, WEIGHTS, load_head, save_head
from pipeline.heads.model import Head
from pipeline.tasks.registry import tasks

CPU = torch.device("cpu")
WIDTH = 8
NAMES = ["B-x", "I-x", "O"]
TASKS: list[str] = tasks()
HEADS: list[tuple[str, dict[str, Any]]] = [
    *((task, {}) for task in TASKS),
    ("token_classification", {"crf": True}),
    ("sequence_classification", {"pooling": "attention", "layers": (1, 2), "combine": "mix"}),
    ("sequence_classification", {"pooling": "mean_max"}),
    ("sequence_classification", {"recurrent": {"cell": "gru", "num_layers": 2}}),
]


def make_head(task: str, **changes: Any) -> tuple[Head, dict[str, Any]]:
    settings = head_settings(task, **changes)
    names = [] if task == "regression" else NAMES
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        head = new_head(settings, names, width=WIDTH)
        for parameter in head.parameters():
            torch.nn.init.normal_(parameter)
    if task == "regression":
        head.target_mean.fill_(12.0)
        head.target_scale.fill_(3.0)
    description = {
        "settings": settings.model_dump(mode="json"),
        "label_type": head.label_type.name,
        "labels": names,
        "width": WIDTH,
        "layers": list(range(len(settings.layers))),
        "thresholds": None,
        "recipe": {},
    }
    return head, description


@pytest.mark.parametrize("stored", ["kind", "label_type"])
def test_a_head_that_was_saved_before_label_types_had_names_is_read(
    stored: str, tmp_path: Path
) -> None:
    head, description = make_head("token_classification", scheme="bioes", label="tags")
    del description["label_type"]
    save_head(tmp_path, head, {**description, stored: "bio"})
    loaded, _ = load_head(tmp_path, device=CPU)
    assert (loaded.label_type.name, loaded.label_type.scheme) == ("entities", "bioes")


@pytest.mark.parametrize(("task", "changes"), HEADS)
def test_a_saved_head_gives_what_it_gave(
    task: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    head, description = make_head(task, **changes)
    save_head(tmp_path, head, description)
    loaded, told = load_head(tmp_path, device=CPU)
    assert told == description
    assert loaded.label_type is head.label_type
    assert loaded.names == head.names
    assert not loaded.training
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(3, 9, WIDTH * len(description["settings"]["layers"]), generator=generator)
    mask = torch.arange(9) < torch.tensor([9, 1, 4])[:, None]
    assert torch.equal(loaded.padded(hidden, mask), head.eval().padded(hidden, mask))
    if head.crf is not None:
        assert loaded.crf is not None
        emissions = torch.randn(5, 3, generator=generator)
        assert torch.equal(
            loaded.crf.viterbi(emissions, [5])[1], head.crf.viterbi(emissions, [5])[1]
        )


def test_every_weight_is_in_the_file_and_nothing_that_follows_from_others(tmp_path: Path) -> None:
    head, description = make_head("token_classification", crf=True)
    save_head(tmp_path, head, description)
    assert set(load_file(tmp_path / WEIGHTS)) == {name for name, _ in head.named_parameters()}


def test_the_same_head_is_the_same_bytes(tmp_path: Path) -> None:
    head, description = make_head("regression")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        save_head(tmp_path / name, head, description)
    for file in (WEIGHTS, DESCRIPTION):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.mark.parametrize("missing", [DESCRIPTION, WEIGHTS])
def test_a_folder_without_a_head_is_named(tmp_path: Path, missing: str) -> None:
    save_head(tmp_path, *make_head("regression"))
    (tmp_path / missing).unlink()
    with pytest.raises(StoreError, match=f"{missing}: no such file; run `dvc repro` or `dvc pull`"):
        load_head(tmp_path, device=CPU)


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        (DESCRIPTION, lambda data: data[:-20]),
        (DESCRIPTION, lambda _: b"[1]"),
        (DESCRIPTION, lambda data: data.replace(b'"width"', b'"breadth"')),
        (DESCRIPTION, lambda data: data.replace(b'"hidden_size"', b'"units"')),
        (DESCRIPTION, lambda data: data.replace(b'"num_layers": 1', b'"num_layers": 2')),
        (WEIGHTS, lambda data: data[:-4]),
        (WEIGHTS, lambda _: b"nothing"),
    ],
)
def test_a_head_that_is_damaged_or_of_another_version_is_one_line(
    tmp_path: Path, file: str, damage: Callable[[bytes], bytes]
) -> None:
    save_head(tmp_path, *make_head("regression"))
    before = (tmp_path / file).read_bytes()
    (tmp_path / file).write_bytes(damage(before))
    assert (tmp_path / file).read_bytes() != before
    with pytest.raises(StoreError, match="is damaged, or made by another version; run `dvc repro`"):
        load_head(tmp_path, device=CPU)
