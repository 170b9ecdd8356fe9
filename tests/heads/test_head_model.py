from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pipelines import head_settings, new_head
from torch import Tensor, nn

from pipeline.heads.layer_mix import LayerMix
from pipeline.heads.model import Head
from pipeline.heads.packing import pack_batch
from pipeline.heads.word_layout import WordLayout, lay_out_words
from pipeline.tasks.registry import tasks
from pipeline.tasks.words import Words

TASKS: list[str] = tasks()
LENGTHS = [4, 1, 7, 2]
WIDTH = 6
NAMES = ["B-x", "I-x", "O"]


def make_head(task: str, *, width: int = WIDTH, hidden: int = 5, **changes: Any) -> Head:
    recurrent = {"hidden_size": hidden, "dropout": 0.0, **changes.pop("recurrent", {})}
    settings = head_settings(task, recurrent=recurrent, **changes)
    names = [] if task == "regression" else NAMES
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return new_head(settings, names, width=width).eval()


def padded_batch(width: int = WIDTH, lengths: list[int] = LENGTHS) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(len(lengths), max(lengths), width, generator=generator)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return hidden, mask


def every_token(lengths: list[int]) -> WordLayout:
    """Each token as a word of its own."""
    words = [Words(np.arange(length), np.ones(length, np.int64)) for length in lengths]
    return lay_out_words(words, np.array(lengths))


def words_of(task: str, lengths: list[int]) -> WordLayout | None:
    return every_token(lengths) if task == "token_classification" else None


@pytest.mark.parametrize("task", [task for task in TASKS if task != "token_classification"])
def test_a_text_is_read_by_a_bilstm_at_the_first_token(task: str) -> None:
    head = make_head(task)
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
    assert logits.shape == (len(LENGTHS), 1 if task == "regression" else len(NAMES))
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "mean_max", "attention"])
def test_a_text_is_pooled_as_the_settings_say(pooling: str) -> None:
    head = make_head("sequence_classification", pooling=pooling)
    hidden, mask = padded_batch()
    oracle = nn.LSTM(WIDTH, 5, bidirectional=True)
    oracle.load_state_dict(head.recurrent.state_dict())
    logits = head(hidden[mask], pack_batch(LENGTHS))
    for text, (row, keep) in enumerate(zip(hidden, mask, strict=True)):
        outputs, (last, _) = oracle(row[keep][:, None])
        outputs = outputs[:, 0]
        scores = outputs.sum(1) if head.attention is None else head.attention.query(outputs)[:, 0]
        pooled = {
            "last": last[:, 0].flatten(),
            "mean": outputs.mean(0),
            "max": outputs.amax(0),
            "mean_max": torch.cat([outputs.mean(0), outputs.amax(0)]),
            "attention": scores.softmax(0) @ outputs,
        }[pooling]
        expected = head.output(pooled[None])[0]
        torch.testing.assert_close(logits[text], expected, rtol=1e-5, atol=1e-6)


def test_numbers_come_back_in_the_unit_of_the_targets() -> None:
    head = make_head("regression")
    hidden, mask = padded_batch()
    before = head.padded(hidden, mask)
    head.target_mean.fill_(100.0)
    head.target_scale.fill_(7.0)
    torch.testing.assert_close(head.padded(hidden, mask), before * 7 + 100)


@pytest.mark.parametrize("subwords", ["first", "last", "mean"])
def test_words_are_read_at_the_subwords_that_the_settings_say(subwords: str) -> None:
    head = make_head("token_classification", subwords=subwords)
    tokens = torch.randn(9, WIDTH, generator=torch.Generator().manual_seed(2))
    words = Words.of(np.array([-1, 0, 0, 0, 1, -1], np.int32), 3)
    other = Words.of(np.array([-1, 0, -1], np.int32), 1)
    layout = lay_out_words([words, other], np.array([6, 3]))
    logits = head(tokens, pack_batch([6, 3]), layout)
    outputs = head.recurrent(tokens, pack_batch([6, 3]))
    first_word = {"first": outputs[1], "last": outputs[3], "mean": outputs[1:4].mean(0)}[subwords]
    expected = head.output(torch.stack([first_word, outputs[4], outputs[7]]))
    torch.testing.assert_close(logits, expected)


def test_layers_side_by_side_are_read_as_one_wide_layer_or_mixed() -> None:
    tokens, batch = torch.randn(8, 2 * WIDTH), pack_batch([3, 5])
    concat = make_head("sequence_classification", layers=(1, 2))
    assert concat.mix is None
    assert concat.recurrent.get_parameter("weight_ih_l0").shape[1] == 2 * WIDTH
    mixed = make_head("sequence_classification", layers=(1, 2), combine="mix")
    assert isinstance(mixed.mix, LayerMix)
    alone = make_head("sequence_classification")
    alone.load_state_dict({k: v for k, v in mixed.state_dict().items() if "mix" not in k})
    middle = tokens.view(8, 2, WIDTH).mean(1)
    torch.testing.assert_close(mixed(tokens, batch), alone(middle, batch))


def test_a_field_knows_the_rules_of_the_scheme() -> None:
    head = make_head("token_classification", crf=True)
    assert head.crf is not None
    allowed = head.crf.constraints
    names = head.names
    assert not allowed.transitions[names.index("O"), names.index("I-x")]
    assert not allowed.starts[names.index("I-x")]
    assert make_head("token_classification").crf is None


def test_tagging_gives_logits_for_every_token_of_a_padded_batch() -> None:
    head = make_head("token_classification")
    hidden, mask = padded_batch()
    logits = head.padded(hidden, mask)
    assert logits.shape == (len(LENGTHS), max(LENGTHS), len(NAMES))
    assert torch.equal(logits[mask], head(hidden[mask], pack_batch(LENGTHS), every_token(LENGTHS)))
    assert not logits[~mask].any()


@pytest.mark.parametrize("task", TASKS)
def test_what_stands_in_the_padding_does_not_matter(task: str) -> None:
    hidden, mask = padded_batch()
    noisy = hidden.masked_fill(~mask[..., None], 1e6)
    head = make_head(task)
    assert torch.equal(head.padded(hidden, mask), head.padded(noisy, mask))


@pytest.mark.parametrize(
    ("task", "changes"),
    [
        *((task, {}) for task in TASKS),
        ("sequence_classification", {"pooling": "attention"}),
        ("sequence_classification", {"combine": "mix", "layers": (0, 1, 2)}),
        ("multilabel_classification", {"pooling": "max", "combine": "mix", "layers": (0, 1)}),
        ("regression", {"pooling": "mean", "recurrent": {"num_layers": 2, "cell": "gru"}}),
        ("token_classification", {"crf": True, "subwords": "mean"}),
    ],
)
@pytest.mark.parametrize("size", [6, 64])
def test_logits_are_the_same_bits_alone_and_in_company(
    task: str, changes: dict[str, Any], size: int
) -> None:
    """Alone, all products but those of the walk have a row or a few."""
    head = make_head(task, width=size, hidden=size // 2, **changes)
    lengths = [*LENGTHS, 15, 16, 17, 33]
    hidden, mask = padded_batch(size * len(changes.get("layers", (-1,))), lengths)
    with torch.inference_mode():
        together = head(hidden[mask], pack_batch(lengths), words_of(task, lengths))
        alone = [
            head(row[keep], pack_batch([int(keep.sum())]), words_of(task, [int(keep.sum())]))
            for row, keep in zip(hidden, mask, strict=True)
        ]
    assert torch.equal(together, torch.cat(alone))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("locked", [False, True])
def test_dropout_acts_before_the_output_layer_in_training(task: str, locked: bool) -> None:
    head = make_head(task, recurrent={"dropout": 0.5, "locked_dropout": locked})
    tokens, batch = torch.randn(8, WIDTH), pack_batch([5, 3])
    words = words_of(task, [5, 3])
    assert torch.equal(head(tokens, batch, words), head(tokens, batch, words))
    head.train()
    assert not torch.equal(head(tokens, batch, words), head(tokens, batch, words))


def test_locked_dropout_drops_the_same_units_at_all_words_of_a_text() -> None:
    head = make_head("token_classification", recurrent={"dropout": 0.5, "locked_dropout": True})
    seen: list[Tensor] = []
    head.output.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    head.train()
    head(torch.randn(sum(LENGTHS), WIDTH), pack_batch(LENGTHS), every_token(LENGTHS))
    kept = [text.bool().unique(dim=0) for text in seen[0].split(LENGTHS)]
    assert [len(text) for text in kept] == [1] * len(LENGTHS)
    assert len(torch.cat(kept).unique(dim=0)) > 1
