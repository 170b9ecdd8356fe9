"""Features of pairs apart that somebody made to harm: no row is given, whatever digests they have.

Promise: that examples have two rows each is said by the manifest and by the index file, and what
they say is held against each other, and against the rows that there are, before a row is given.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from forged import change_file, manifest, sign
from pipelines import extracted, fit, head_settings, prepared_pairs
from test_hostile_hdf5 import Edit, odd, set_value

from pipeline.core.errors import StoreError
from pipeline.features.reader import open_features
from pipeline.store.export import export_features

ROW_B = "examples/row_b"


@pytest.fixture(scope="module")
def made(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = prepared_pairs(tmp_path_factory.mktemp("made"))
    extracted(where, tiny_encoder, pairs="apart")
    return where


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A corpus and its features, in which texts are rows of their own."""
    return Path(shutil.copytree(made, tmp_path / "made"))


def swap(file: h5py.File) -> None:
    """The second texts before the first ones: rows are then numbered in another order."""
    first, second = (file[f"examples/{name}"][()] for name in ("row", "row_b"))
    file["examples/row"][()], file["examples/row_b"][()] = second, first


INDEX: dict[str, Edit] = {
    **{
        f"second rows {what}": edit
        for what, edit in odd(ROW_B).items()
        if what not in {"virtual", "values elsewhere"}
    },
    "a row beyond": set_value(ROW_B, 3, 10**9),
    "a row below 0": set_value(ROW_B, 3, -1),
    "second texts first": swap,
    "rows that no example has": lambda file: file[ROW_B].__setitem__(..., file["examples/row"][()]),
    "rows of a matrix": lambda file: (
        file.__delitem__("examples/row"),
        file.__setitem__("examples/row", np.zeros((121, 2), np.int64)),
    ),
}


def refuses(folder: Path, path: Path) -> None:
    """No way to read the features gives anything; what is told is one line that names the file."""
    features = folder / "features"
    for read in (
        lambda: open_features(features).example_rows,
        lambda: open_features(features).states("p0", layer=3, text=1),
        lambda: open_features(features).tokens("p0", text=1),
        lambda: open_features(features).verify(),
        lambda: fit(folder, head_settings("regression", training={"epochs": 1})),
        lambda: export_features(
            open_features(features), folder / "given.h5", layers=[3], progress=lambda _: None
        ),
    ):
        with pytest.raises(StoreError) as caught:
            read()
        assert str(path) in str(caught.value)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 800
    assert not (folder / "given.h5").exists()


@pytest.mark.parametrize("what", INDEX)
def test_rows_of_second_texts_that_are_none_are_not_given(folder: Path, what: str) -> None:
    path = folder / "features" / "features.h5"
    change_file(path, INDEX[what], folder / "features")
    refuses(folder, path)


@pytest.mark.parametrize(
    "pairs", ["together", "Apart", "", None, False, 2, ["apart"], {"apart": 1}]
)
def test_a_manifest_says_apart_or_nothing_of_pairs(folder: Path, pairs: object) -> None:
    features = folder / "features"
    content = manifest(features)
    assert content["pairs"] == "apart"
    content["pairs"] = pairs
    sign(content, features)
    refuses(folder, features / "manifest.json")


def test_a_manifest_that_hides_that_pairs_are_apart_is_not_believed(folder: Path) -> None:
    """Heads would learn from first texts alone, as if nothing was wrong."""
    features = folder / "features"
    content = manifest(features)
    del content["pairs"]
    sign(content, features)
    refuses(folder, features / "features.h5")
