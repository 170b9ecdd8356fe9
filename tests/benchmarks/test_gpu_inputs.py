"""What the GPU's steps work on, where neither sample corpora nor a tokenizer are at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.gpu import inputs
from benchmarks.gpu.inputs import MADE_UP, Bench, made_up_texts, repeated, sample_texts


@pytest.fixture
def nothing_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(inputs, "TOKENIZER_PACKAGE", "no_such_package")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("nothing_here")
@pytest.mark.parametrize("kind", ["tweets", "news"])
def test_made_up_texts_differ_and_are_about_as_long_as_the_samples(kind: str) -> None:
    texts = sample_texts(kind)
    count, mean, _, least, most = MADE_UP[kind]
    assert len(set(texts)) == len(texts) == count
    lengths = np.array([2 + len(text if kind == "tweets" else text.split()) for text in texts])
    assert abs(lengths.mean() / mean - 1) < 0.1
    assert least <= lengths.min()
    assert lengths.max() <= most
    assert texts == made_up_texts(kind)


@pytest.mark.usefixtures("nothing_here")
def test_a_tokenizer_is_made_of_the_words_of_texts(tmp_path: Path) -> None:
    bench = Bench(torch.device("cpu"), tmp_path, rehearsal=True)
    for kind in ("tweets", "news"):
        texts, rows = bench.texts(kind), bench.rows(kind)
        for text, row in zip(texts, rows, strict=True):
            words = text if isinstance(text, tuple) else text.split()
            assert row.length == len(words) + 2  # no word is cut, and none unknown
            assert 1 not in row.input_ids


def test_rows_repeat_until_there_are_tokens_enough(tmp_path: Path) -> None:
    rows = Bench(torch.device("cpu"), tmp_path, rehearsal=True).rows("tweets")
    chosen = repeated(rows, 2000)
    assert 2000 <= sum(row.length for row in chosen) < 2000 + max(rows.lengths)
    assert chosen[len(rows)].input_ids.tolist() == rows[0].input_ids.tolist()


@pytest.mark.parametrize(
    ("device", "dtypes"),
    [("cuda", ["float16", "bfloat16", "float32"]), ("cpu", ["float32", "bfloat16"])],
)
def test_a_device_is_asked_for_what_it_computes_in(
    tmp_path: Path, device: str, dtypes: list[str]
) -> None:
    bench = Bench(torch.device(device), tmp_path, rehearsal=False)
    assert bench.dtypes == dtypes
    assert bench.fast == dtypes[0]
