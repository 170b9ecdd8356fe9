from __future__ import annotations

import pytest
import torch
from torch import nn

from pipeline.heads.model import Head
from pipeline.heads.packing import pack_batch
from pipeline.heads.settings import RecurrentSettings, Task

LENGTHS = [4, 1, 7, 2]
WIDTH, LABELS = 6, 3


def make_head(task: Task, *, dropout: float = 0.0) -> Head:
    recurrent = RecurrentSettings(
        cell="lstm", hidden_size=5, num_layers=1, bidirectional=True, dropout=dropout
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return Head(task=task, input_size=WIDTH, labels=LABELS, recurrent=recurrent).eval()


def padded_batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(len(LENGTHS), max(LENGTHS), WIDTH, generator=generator)
    mask = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
    return hidden, mask


def test_classification_reads_a_bilstm_at_the_first_token() -> None:
    head = make_head("sequence_classification")
    hidden, mask = padded_batch()
    oracle = nn.LSTM(WIDTH, 5, bidirectional=True)
    oracle.load_state_dict(head.recurrent.state_dict())
    expected = torch.stack(
        [
            head.output(oracle(row[keep][:, None])[0][0])[0]
            for row, keep in zip(hidden, mask, strict=True)
        ]
    )
    logits = head(hidden[mask], pack_batch(LENGTHS))
    assert logits.shape == (len(LENGTHS), LABELS)
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-6)


def test_tagging_gives_logits_for_every_token_of_a_padded_batch() -> None:
    head = make_head("token_classification")
    hidden, mask = padded_batch()
    logits = head.padded(hidden, mask)
    assert logits.shape == (len(LENGTHS), max(LENGTHS), LABELS)
    assert torch.equal(logits[mask], head(hidden[mask], pack_batch(LENGTHS)))
    assert not logits[~mask].any()


def test_what_stands_in_the_padding_does_not_matter() -> None:
    hidden, mask = padded_batch()
    noisy = hidden.masked_fill(~mask[..., None], 1e6)
    for task in ("token_classification", "sequence_classification"):
        head = make_head(task)
        assert torch.equal(head.padded(hidden, mask), head.padded(noisy, mask))


@pytest.mark.parametrize("task", ["token_classification", "sequence_classification"])
def test_logits_are_the_same_bits_alone_and_in_company(task: Task) -> None:
    head = make_head(task)
    hidden, mask = padded_batch()
    together = head(hidden[mask], pack_batch(LENGTHS))
    alone = [
        head(row[keep], pack_batch([int(keep.sum())]))
        for row, keep in zip(hidden, mask, strict=True)
    ]
    assert torch.equal(together, torch.cat(alone))


def test_dropout_acts_before_the_output_layer_in_training() -> None:
    head = make_head("token_classification", dropout=0.5)
    tokens, batch = torch.randn(8, WIDTH), pack_batch([8])
    assert torch.equal(head(tokens, batch), head(tokens, batch))
    head.train()
    assert not torch.equal(head(tokens, batch), head(tokens, batch))
