"""Every family gives what transformers gives, one sentence at a time, in any company."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import VOCABULARY
from encoded import bits, rows_of_lengths, states_of
from families import CONFIGURATIONS, DEPTH, PADDED, materialise_family

from pipeline.core.errors import EncoderError
from pipeline.encoder.forward import PACK_TOKENS, FrozenEncoder
from pipeline.encoder.snapshot import read_snapshot

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

    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder).eval()
    segments = (
        "token_type_ids" in inspect.signature(model.forward).parameters
        and (getattr(model.config, "type_vocab_size", 0) or 0) > 1
    )

    @torch.inference_mode()
    def states(ids: np.ndarray, segment_ids: np.ndarray) -> list[np.ndarray]:
        inputs = {"input_ids": torch.from_numpy(ids.astype(np.int64))[None]}
        if segments:
            inputs["token_type_ids"] = torch.from_numpy(segment_ids.astype(np.int64))[None]
        output = model(**inputs, output_hidden_states=True)
        return [hidden[0].numpy() for hidden in output.hidden_states]

    return states


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
    name, lists = next(
        (name, module)
        for name, module in encoder._model.named_modules()
        if isinstance(module, torch.nn.ModuleList) and "layer" in name
    )
    calls: list[str] = []
    hooks = [
        layer.register_forward_hook(lambda *_: calls.append(name)) for layer in set(iter(lists))
    ]
    states_of(encoder, rows_of_lengths([5]))
    for hook in hooks:
        hook.remove()
    return len(calls)


def test_the_path_follows_from_what_the_model_can_do(request, encoder):
    family = request.node.callspec.params["folder"]
    assert encoder._loaded.packs == (family not in PADDED)


def test_longest_row_is_what_the_model_has_positions_for(folder, encoder, reference):
    longest = read_snapshot(folder, verify=False).longest_row()
    [row] = rows_of_lengths([longest])
    [states] = states_of(encoder, [row])
    assert np.abs(states[DEPTH] - reference(row.input_ids, row.segment_ids)[DEPTH]).max() <= 1e-5
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
        ("GPT2Config", {"n_embd": 64, "n_layer": 2, "n_head": 4}, "'gpt2' is a decoder"),
        (
            "LlamaConfig",
            {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4},
            "'llama' is a decoder",
        ),
        (
            "BartConfig",
            {
                "d_model": 64,
                "hidden_size": 64,
                "encoder_layers": 1,
                "decoder_layers": 1,
                "encoder_attention_heads": 4,
                "decoder_attention_heads": 4,
            },
            "'bart' has a decoder too",
        ),
        (
            "FNetConfig",
            {"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 128},
            "'fnet' is not supported: in company a row has other states at layer 1 than alone",
        ),
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
