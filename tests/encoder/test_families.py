"""Every family gives what transformers gives, one sentence at a time, in any company."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import VOCABULARY
from encoded import bits, rows_of_lengths, states_of
from families import ARRANGEMENTS, CONFIGURATIONS, DEPTH, materialise_family

from pipeline.core.errors import EncoderError
from pipeline.encoder.forward import PACK_TOKENS, FrozenEncoder
from pipeline.encoder.snapshot import UNBOUNDED, read_snapshot

CPU = torch.device("cpu")
LAYERS = range(DEPTH + 1)
LENGTHS = [2, 3, 5, 9, 16, 17, 30, 33, 48, 61, 64, 64, 20, 20, 20]


@pytest.fixture(scope="module", params=CONFIGURATIONS)
def folder(request, tiny_bert, tmp_path_factory) -> Path:
    return materialise_family(request.param, tiny_bert, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def encoder(folder) -> FrozenEncoder:
    return FrozenEncoder(folder, layers=LAYERS, device=CPU)


@pytest.fixture(scope="module")
def reference(folder) -> Callable[..., list[np.ndarray]]:
    """Transformers' own forward pass of one sentence, every layer."""
    import inspect

    model = whole_model(folder)
    segments = (
        "token_type_ids" in inspect.signature(model.forward).parameters
        and (getattr(model.config, "type_vocab_size", 0) or 0) > 1
    )

    @torch.inference_mode()
    def states(ids: np.ndarray, segment_ids: np.ndarray) -> list[np.ndarray]:
        # CANINE's convolution needs four characters; a shorter text is padded.
        missing = max(0, getattr(model.config, "downsampling_rate", 1) - len(ids))
        inputs = {
            "input_ids": torch.from_numpy(np.pad(ids.astype(np.int64), (0, missing)))[None],
            "attention_mask": (torch.arange(len(ids) + missing) < len(ids)).long()[None],
        }
        if segments:
            padded = np.pad(segment_ids.astype(np.int64), (0, missing))
            inputs["token_type_ids"] = torch.from_numpy(padded)[None]
        output = model(**inputs, output_hidden_states=True)
        hidden = output.hidden_states
        if model.config.model_type == "canine":
            hidden = of_characters(model, output)
        return [layer[0, : len(ids)].numpy() for layer in hidden]

    return states


def whole_model(folder: Path):
    """The model as a user of transformers loads it, of an encoder and a decoder the former."""
    from transformers import AutoConfig, AutoModel, T5EncoderModel, UMT5EncoderModel

    halves = {"t5": T5EncoderModel, "umt5": UMT5EncoderModel}
    config = AutoConfig.from_pretrained(folder)
    model = halves.get(config.model_type, AutoModel).from_pretrained(folder).eval()
    return model.get_encoder() if config.model_type == "bart" else model


def of_characters(model, output) -> list[torch.Tensor]:
    """CANINE's layers: the deep ones have a state for four characters, which each of them gets."""
    embeddings, _, _, *deep = output.hidden_states[:-2]
    tokens, rate = embeddings.shape[1], model.config.downsampling_rate
    of_token = torch.arange(tokens).div(rate, rounding_mode="floor") + 1
    layers = [layer[:, of_token.clamp(max=layer.shape[1] - 1)] for layer in deep[:-1]]
    return [embeddings, *layers, output.last_hidden_state]


def test_every_layer_equals_transformers_one_sentence_at_a_time(encoder, reference):
    rows = rows_of_lengths([*LENGTHS, *range(2, 65)])
    assert sum(row.length for row in rows) > PACK_TOKENS  # several packs
    for row, states in zip(rows, states_of(encoder, rows), strict=True):
        expected = reference(row.input_ids, row.segment_ids)
        assert len(expected) == len(LAYERS)
        for layer in LAYERS:
            assert np.abs(states[layer] - expected[layer]).max() <= 1e-5


@pytest.mark.parametrize("threads", [1, 2])
def test_a_row_has_the_same_bits_alone_shuffled_and_in_company(encoder, set_threads, threads):
    rows = rows_of_lengths(LENGTHS)
    set_threads(1)
    alone = [states_of(encoder, [row])[0] for row in rows]
    set_threads(threads)
    assert bits([states_of(encoder, [row])[0] for row in rows]) == bits(alone)
    order = np.random.default_rng(1).permutation(len(rows))
    company = rows_of_lengths(np.random.default_rng(2).integers(2, 61, 120).tolist(), seed=3)
    mixed = states_of(encoder, [*(rows[index] for index in order), *company])
    assert bits(mixed[: len(rows)]) == bits([alone[index] for index in order])


@pytest.mark.parametrize("layer", LAYERS[:-1])
def test_early_exit_gives_the_hidden_state_of_the_whole_model(folder, encoder, layer):
    rows = rows_of_lengths([2, 9, 33])
    part = FrozenEncoder(folder, layers=[layer], device=CPU)
    assert bits(states_of(part, rows), [layer]) == bits(states_of(encoder, rows), [layer])


def test_layers_above_the_kept_one_are_not_run(folder, encoder):
    part = FrozenEncoder(folder, layers=[2], device=CPU)
    assert calls_of_layers(part) == 2
    assert calls_of_layers(encoder) == DEPTH


def calls_of_layers(encoder: FrozenEncoder) -> int:
    """How many encoder layers one short row passes through; ALBERT's share modules."""
    lists = [
        module
        for name, module in encoder._model.named_modules()
        if isinstance(module, torch.nn.ModuleList) and not re.search("[0-9]", name)
    ]
    layers = max(lists, key=len)
    calls: list[object] = []
    hooks = [
        layer.register_forward_hook(lambda module, *_: calls.append(module))
        for layer in set(iter(layers))
    ]
    states_of(encoder, rows_of_lengths([5]))
    for hook in hooks:
        hook.remove()
    return len(calls)


def test_the_path_follows_from_what_the_model_can_do(request, encoder):
    family = request.node.callspec.params["folder"]
    assert encoder.arrangement.name == ARRANGEMENTS.get(family, "PACKED")


def test_longest_row_is_what_the_model_has_positions_for(folder, encoder, reference):
    longest = read_snapshot(folder, verify=False).longest_row()
    if longest == UNBOUNDED:  # T5; its configuration has n_positions: 512
        longest = 700
    [row] = rows_of_lengths([longest])
    [states] = states_of(encoder, [row])
    assert np.abs(states[DEPTH] - reference(row.input_ids, row.segment_ids)[DEPTH]).max() <= 1e-5
    if longest != 700:
        with pytest.raises(EncoderError, match=f"a row of {longest + 1} tokens"):
            states_of(encoder, rows_of_lengths([longest + 1]))


@pytest.mark.parametrize("family", ["roberta", "mpnet"])
def test_a_padding_token_in_the_text_has_the_position_that_the_model_gives_it(
    family, tiny_bert, tmp_path
):
    from transformers import AutoModel

    folder = materialise_family(family, tiny_bert, tmp_path)
    encoder = FrozenEncoder(folder, layers=[DEPTH], device=CPU)
    [row] = rows_of_lengths([12])
    row.input_ids[[4, 5]] = 1
    model = AutoModel.from_pretrained(folder).eval()
    ids = torch.from_numpy(row.input_ids.astype(np.int64))[None]
    with torch.inference_mode():
        expected = model(ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0].numpy()
    [states] = states_of(encoder, [row])
    assert np.abs(states[DEPTH] - expected).max() <= 1e-5


@pytest.mark.parametrize(
    ("configuration", "changes", "reason"),
    [
        (
            "AlbertConfig",
            {
                "hidden_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "intermediate_size": 64,
                "inner_group_num": 2,
            },
            "several layers in a group",
        ),
    ],
)
def test_what_cannot_be_cached_is_refused(configuration, changes, reason, tiny_bert, tmp_path):
    sizes = changes | {"vocab_size": len(VOCABULARY)}

    def load() -> None:
        folder = materialise_family(configuration, tiny_bert, tmp_path, **sizes)
        FrozenEncoder(folder, layers=[1], device=CPU)

    with pytest.raises(EncoderError, match=reason) as caught:
        load()
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_model_whose_rows_mix_is_refused(tiny_bert, tmp_path, monkeypatch):
    from transformers import BertModel

    forward = BertModel.forward

    def mixing(self, input_ids, **inputs):
        return forward(self, (input_ids + input_ids.shape[0] - 1) % len(VOCABULARY), **inputs)

    folder = materialise_family("bert", tiny_bert, tmp_path)
    monkeypatch.setattr(BertModel, "is_backend_compatible", lambda _: False)
    monkeypatch.setattr(BertModel, "forward", mixing)
    reason = "'bert' is not supported: in company a row has other states at layer 1 than alone"
    with pytest.raises(EncoderError, match=reason):
        FrozenEncoder(folder, layers=[1], device=CPU)


def test_masked_residues_of_one_protein_do_not_scale_another(tiny_bert, tmp_path):
    folder = materialise_family("esm", tiny_bert, tmp_path)
    encoder = FrozenEncoder(folder, layers=LAYERS, device=CPU)
    rows = rows_of_lengths([9, 9, 20])
    alone = [states_of(encoder, [row])[0] for row in rows]
    rows[0].input_ids[3:6] = 4
    assert bits(states_of(encoder, rows)[1:]) == bits(alone[1:])


def test_a_token_of_a_decoder_depends_on_those_before_it_alone(tiny_bert, tmp_path):
    folder = materialise_family("gpt2", tiny_bert, tmp_path)
    encoder = FrozenEncoder(folder, layers=[DEPTH], device=CPU)
    [row] = rows_of_lengths([20])
    [before] = states_of(encoder, [row])
    row.input_ids[12] = 7
    [after] = states_of(encoder, [row])
    changed = np.abs(after[DEPTH] - before[DEPTH]).max(1) > 1e-6
    assert not changed[:12].any()
    assert changed[12:].all()
