"""Entries of dvc.lock and .dvc files, of any commit and of anybody."""

from __future__ import annotations

import pytest

from pipeline.lineage.lock_entries import Item, parse_lock, parse_pointer

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
)


def test_a_lock_is_its_stages() -> None:
    (stage,) = parse_lock(
        "schema: '2.0'\nstages:\n  a:\n    cmd: python -m a\n    deps: [{path: b, md5: '1'}]\n"
        "    outs: [{path: c, md5: '2'}]\n    params: {params.yaml: {a.b: 1}}\n"
    )
    assert (stage.name, stage.command) == ("a", "python -m a")
    assert (stage.deps, stage.outs) == ((Item("b", "1"),), (Item("c", "2"),))
    assert stage.params == {"params.yaml": {"a.b": 1}}


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        f"stages:\n  x: 1\n{BOMB}",
        "stages: !!python/object:os.system {}",
        "stages: []",
        "stages: {a: [1], b: 3}",
        "- 1",
        "\x00",
    ],
)
def test_a_lock_that_is_none_has_no_stages(text: str) -> None:
    assert parse_lock(text) == ()
    assert parse_pointer("a.dvc", text) == ()


def test_entries_of_other_types_are_none() -> None:
    (stage,) = parse_lock(
        "stages: {a: {deps: {b: c}, outs: [1, {path: [x], md5: y}], params: [3]}}"
    )
    assert (stage.deps, stage.outs, stage.params) == ((), (), {})
