"""The checks of the GPU's steps find what they look for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

from benchmarks.gpu import __main__ as command
from benchmarks.gpu import commands, correctness
from benchmarks.gpu.bare import BareLabels
from benchmarks.gpu.head_work import head_work, new_head, same_weights
from benchmarks.gpu.inputs import Bench
from pipeline.encoder.packs import EncodedPack, PackStates, Piece
from pipeline.encoder.tokenised import TokenisedRow


class OddEncoder:
    """Gives a row of more than three tokens other states where a longer one is beside it."""

    layers = (1,)
    pack_tokens = 2048

    def encode_packs(
        self, rows: Sequence[TokenisedRow], dtype: torch.dtype
    ) -> Iterator[EncodedPack]:
        lengths = [row.length for row in rows]
        ends = np.cumsum(lengths).tolist()
        pieces = [
            Piece(row, end - length, 0, length)
            for row, (end, length) in enumerate(zip(ends, lengths, strict=True))
        ]
        states = torch.zeros(ends[-1], 2, dtype=dtype)
        for piece, length in zip(pieces, lengths, strict=True):
            states[piece.tokens] = float(length > 3 and max(lengths) > length)
        yield EncodedPack(pieces, lambda: PackStates({1: states}, {1: True}))


def row_of(tokens: int) -> TokenisedRow:
    return TokenisedRow.bare(np.arange(tokens, dtype=np.int32), np.zeros(tokens, np.int8))


def test_rows_that_depend_on_their_company_are_counted() -> None:
    rows = [row_of(tokens) for tokens in (8, 8, 9)]
    usual = correctness._Usual(OddEncoder, rows)
    found = correctness._in_company(lambda: usual, [row_of(5)])
    assert found["again"] == found["shuffled"] == {"differ": 0, "of": 3}
    assert found["alone"] == {"differ": 2, "of": 3}
    # The longest is the one that has a longer one beside it for the first time.
    assert found["first_in_a_pack"] == {"differ": 1, "of": 3}
    assert found["last_in_a_pack"] == {"differ": 0, "of": 3}


def test_differences_are_told_beside_the_size_of_the_states() -> None:
    right = {0: {4: np.array([[3.0, -4.0]], np.float32)}}
    found = {0: {4: np.array([[3.0, -3.5]], np.float32)}}
    assert correctness._difference(right, found, 4) == {
        "relative_rms": pytest.approx(0.1),
        "largest": 0.5,
        "largest_state": 4.0,
    }


def test_files_of_two_trainings_are_compared_one_by_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        commands._same_files(tmp_path)
    for top, run, name, content in (
        ("models", "tagger", "head", "a"),
        ("models", "again", "head", "b"),
        ("reports", "tagger", "scores", "a"),
        ("reports", "again", "scores", "a"),
        ("reports", "tagger", "layers", "a"),
    ):
        (tmp_path / top / run).mkdir(parents=True, exist_ok=True)
        (tmp_path / top / run / name).write_text(content)
    assert commands._same_files(tmp_path) == {"head": False, "scores": True, "layers": False}


@pytest.mark.parametrize(
    ("rc", "errors", "promised"),
    [
        (2, ["error: cuda: out of memory in training; lower training.batch_size, now 16"], True),
        (1, ["error: cuda: out of memory in training; lower training.batch_size, now 16"], False),
        (2, ["error: not enough memory"], False),
        (2, ["a warning", "lower training.batch_size"], False),
        (2, ["lower training.batch_size", "a warning"], False),
        (2, [], False),
    ],
)
def test_too_little_memory_is_one_line_that_names_a_setting(
    rc: int, errors: list[str], promised: bool
) -> None:
    given: list[int] = []

    def run(*, megabytes: int) -> dict[str, Any]:
        given.append(megabytes)
        return {"rc": rc, "errors": errors}

    found = commands._refused("train", run)
    assert found["as_promised"] is promised
    assert given == [commands._LIMITS["train"]]


@pytest.mark.parametrize("name", ["tweet_entities", "news_topic"])
def test_bare_steps_read_the_tokens_that_have_labels(tmp_path: Path, name: str) -> None:
    bench = Bench(torch.device("cpu"), tmp_path, rehearsal=True)
    work = head_work(bench, name, steps=1, width=4)
    members = np.array([2, 0, 1])
    texts = [
        torch.full((int(length), 1), float(member)) + torch.arange(int(length))[:, None] / 1000
        for member, length in zip(members, work.split.lengths[members], strict=True)
    ]
    labels = BareLabels.of(work, members)
    packed = pack_sequence(texts, enforce_sorted=False)
    read = sorted(packed.data[labels.places, 0].tolist())
    words = work.split.words
    firsts = {
        member: [0] if words is None else words[member].first[words[member].with_token].tolist()
        for member in range(3)
    }
    expected = sorted(m + first / 1000 for m, places in firsts.items() for first in places)
    assert read == pytest.approx(expected)
    assert len(labels.targets) == len(read)


def test_two_heads_are_the_same_only_if_all_bits_are(tmp_path: Path) -> None:
    bench = Bench(torch.device("cpu"), tmp_path, rehearsal=True)
    work = head_work(bench, "news_topic", steps=1, width=4)
    first, second = new_head(work), new_head(work)
    assert same_weights(first, second) == {"same": True, "largest_difference": 0.0}
    with torch.no_grad():
        second.output.bias[0] += 0.5
    found = same_weights(first, second)
    assert found == {"same": False, "largest_difference": pytest.approx(0.5)}


@pytest.mark.parametrize(
    ("arguments", "lacking", "said"),
    [
        (["--rehearse"], ["pydantic", "h5py"], "not installed: pydantic, h5py; see benchmarks/"),
        (["--rehearse", "--only", "machine,nothing"], [], "no step nothing; known are machine, "),
        ([], [], "torch sees no CUDA GPU; --rehearse tries the code on the CPU"),
    ],
)
def test_what_cannot_run_is_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    lacking: list[str],
    said: str,
) -> None:
    monkeypatch.setattr("sys.argv", ["benchmarks.gpu", *arguments])
    monkeypatch.setattr(command, "missing", lambda: lacking)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert command.main() == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith(said)
    assert err.count("\n") == 1
