from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import VOCABULARY, random_sentences
from encoded import states_of

from pipeline.core.errors import EncoderError
from pipeline.encoder.arrangement import Arrangement
from pipeline.encoder.forward import PACK_TOKENS, FrozenEncoder
from pipeline.encoder.packing import DUMMY_TOKENS, dummy_lengths
from pipeline.encoder.tokenise import RowTokenizer
from pipeline.encoder.tokenised import TokenisedRow

CPU = torch.device("cpu")
DEPTH = 3
ALL_LAYERS = tuple(range(DEPTH + 1))


def row_of(ids: Sequence[int], segments: Sequence[int] | None = None) -> TokenisedRow:
    count = len(ids)
    return TokenisedRow(
        input_ids=np.array(ids, np.int32),
        segment_ids=np.array(segments or [0] * count, np.int8),
        word_index=np.zeros(count, np.int32),
        char_offsets=np.zeros((count, 2), np.int32),
        full_length=count,
        words=count,
    )


def rows_of_lengths(lengths: Sequence[int], seed: int = 0) -> list[TokenisedRow]:
    rng = np.random.default_rng(seed)
    return [row_of(rng.integers(0, len(VOCABULARY), length).tolist()) for length in lengths]


def assert_same_bits(ones: Sequence[dict], others: Sequence[dict]) -> None:
    for one, other in zip(ones, others, strict=True):
        assert one.keys() == other.keys()
        for layer in one:
            assert one[layer].tobytes() == other[layer].tobytes()


@pytest.fixture(scope="module")
def encoder(tiny_encoder) -> FrozenEncoder:
    return FrozenEncoder(tiny_encoder, layers=ALL_LAYERS, device=CPU)


@pytest.fixture(scope="module")
def reference(tiny_bert) -> Callable[..., list[np.ndarray]]:
    """Transformers' own forward pass of one sentence, every layer."""
    from transformers import AutoModel

    model = AutoModel.from_pretrained(tiny_bert).eval()

    @torch.inference_mode()
    def states(row: TokenisedRow) -> list[np.ndarray]:
        output = model(
            input_ids=torch.from_numpy(row.input_ids[None].astype(np.int64)),
            token_type_ids=torch.from_numpy(row.segment_ids[None].astype(np.int64)),
            output_hidden_states=True,
        )
        return [hidden[0].numpy() for hidden in output.hidden_states]

    return states


@pytest.fixture
def folder(tiny_encoder, tmp_path) -> Path:
    """A copy of the encoder that a test may damage."""
    return Path(shutil.copytree(tiny_encoder, tmp_path / "encoder"))


def change_config(folder: Path, **changes) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**config, **changes}), encoding="utf-8")


def keep_tensors(folder: Path, keep: Callable[[str], bool]) -> None:
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    tensors = {name: tensor for name, tensor in load_file(path).items() if keep(name)}
    save_file(tensors, path, metadata={"format": "pt"})


def test_states_equal_transformers_one_sentence_at_a_time(encoder, reference, tiny_encoder):
    sentences = random_sentences(120)
    rows = RowTokenizer(tiny_encoder, max_length=64)([*sentences, "", "The river of ice."])
    assert sum(row.length for row in rows) > PACK_TOKENS  # several packs
    for row, states in zip(rows, states_of(encoder, rows), strict=True):
        assert tuple(sorted(states)) == ALL_LAYERS
        for layer, expected in enumerate(reference(row)):
            assert states[layer].dtype == np.float32
            assert states[layer].shape == expected.shape
            assert np.abs(states[layer] - expected).max() <= 1e-5


def test_states_equal_transformers_at_every_length(encoder, reference):
    rows = rows_of_lengths(range(2, 65))
    for row, states in zip(rows, states_of(encoder, rows), strict=True):
        for layer, expected in enumerate(reference(row)):
            assert np.abs(states[layer] - expected).max() <= 1e-5


def test_segment_ids_reach_the_model(encoder, reference):
    row = row_of([2, 7, 9, 3, 11, 3], [0, 0, 0, 0, 1, 1])
    [states] = states_of(encoder, [row])
    assert np.abs(states[DEPTH] - reference(row)[DEPTH]).max() <= 1e-5
    [without] = states_of(encoder, [row_of(row.input_ids.tolist())])
    assert np.abs(states[DEPTH] - without[DEPTH]).max() > 1e-3


@pytest.mark.parametrize("threads", [1, 2])
def test_row_has_the_same_bits_alone_shuffled_and_in_company(encoder, set_threads, threads):
    rows = rows_of_lengths(range(2, 61))
    set_threads(1)
    alone = [states_of(encoder, [row])[0] for row in rows]
    set_threads(threads)
    assert_same_bits([states_of(encoder, [row])[0] for row in rows], alone)
    assert_same_bits(states_of(encoder, rows), alone)
    order = np.random.default_rng(1).permutation(len(rows))
    shuffled = states_of(encoder, [rows[index] for index in order])
    assert_same_bits(shuffled, [alone[index] for index in order])
    company = rows_of_lengths(np.random.default_rng(2).integers(2, 61, 300).tolist(), seed=3)
    assert_same_bits(states_of(encoder, [*rows, *company])[: len(rows)], alone)


def test_rows_of_a_real_encoder_have_the_same_bits_in_any_company(minilm, set_threads):
    """Its products are shared between threads, and along which side depends on how many rows."""
    encoder = FrozenEncoder(minilm, layers=[3, 6], device=CPU)
    lengths = [3, 4, 9, 16, 17, 33, 64, 100, 128, 128, 128, 128, 128, 128]
    rows = rows_of_lengths(lengths)
    set_threads(1)
    together = states_of(encoder, rows)
    for threads in (1, 2):
        set_threads(threads)
        for count in (1, 2, 3, 6, 13):
            for first in range(0, len(rows), 5):
                some = rows[first : first + count]
                assert_same_bits(states_of(encoder, some), together[first : first + count])


def test_all_packs_have_one_size(encoder):
    sizes = set()
    encoder._model.embeddings.register_forward_hook(
        lambda _module, _inputs, output: sizes.add(output.shape[1])
    )
    states_of(encoder, rows_of_lengths([2, 5, 60, 31, *[17] * 90]))
    states_of(encoder, rows_of_lengths([3]))
    assert sizes == {PACK_TOKENS + DUMMY_TOKENS}


@pytest.mark.parametrize("tokens", [1, 3, 500, 1008, 1009, 1023, 1024, 2000])
def test_dummy_rows_are_short_and_fill_the_pack(tokens):
    lengths = dummy_lengths(tokens, 1024)
    assert all(DUMMY_TOKENS <= length < 2 * DUMMY_TOKENS for length in lengths)
    assert tokens + sum(lengths) == max(tokens, 1024) + DUMMY_TOKENS


@pytest.mark.parametrize("length", [2, 3, 7, 16, 17])
def test_row_has_the_same_bits_among_many_of_its_length(encoder, length):
    rows = rows_of_lengths([length] * 40)
    together = states_of(encoder, rows)
    assert_same_bits(together, [states_of(encoder, [row])[0] for row in rows])


def test_row_longer_than_a_pack_is_encoded(encoder, reference, monkeypatch):
    monkeypatch.setattr(encoder, "pack_tokens", 10)
    [row] = rows_of_lengths([50])
    [states] = states_of(encoder, [row])
    assert np.abs(states[DEPTH] - reference(row)[DEPTH]).max() <= 1e-5


def test_same_rows_give_the_same_bits_twice(encoder):
    rows = rows_of_lengths([5, 30, 12])
    assert not encoder._model.training
    assert_same_bits(states_of(encoder, rows), states_of(encoder, rows))


def test_nothing_to_encode_gives_nothing(encoder):
    assert list(encoder.encode([])) == []


@pytest.mark.parametrize("layers", [(1,), (2,), (0, 2), (3, 1)])
def test_layers_above_the_highest_are_not_in_the_model(tiny_encoder, encoder, layers):
    part = FrozenEncoder(tiny_encoder, layers=layers, device=CPU)
    assert len(part._model.encoder.layer) == max(layers)
    assert part._model.pooler is None
    rows = rows_of_lengths([2, 9, 33])
    expected = [{layer: states[layer] for layer in layers} for states in states_of(encoder, rows)]
    for one, other in zip(states_of(part, rows), expected, strict=True):
        assert set(one) == set(layers)
        assert_same_bits([dict(sorted(one.items()))], [dict(sorted(other.items()))])


def test_no_parameter_asks_for_gradients(encoder):
    assert not any(parameter.requires_grad for parameter in encoder._model.parameters())


@pytest.mark.parametrize("layers", [(4,), (1, 17), (-1,)])
def test_layer_beyond_the_depth_is_refused(tiny_encoder, layers):
    with pytest.raises(EncoderError, match="has layers 0 to 3"):
        FrozenEncoder(tiny_encoder, layers=layers, device=CPU)


def test_a_bert_that_decodes_is_read_as_one(folder):
    change_config(folder, is_decoder=True)
    encoder = FrozenEncoder(folder, layers=(1,), device=CPU)
    assert encoder.arrangement is Arrangement.PACKED_CAUSAL


def test_missing_weights_are_refused(folder):
    lost = "encoder.layer.1.output.dense.weight"
    keep_tensors(folder, lambda name: name != lost)
    with pytest.raises(EncoderError, match=f"lack 1 of the model's tensors, {lost}"):
        FrozenEncoder(folder, layers=(1,), device=CPU)


def test_weights_without_a_pooler_are_enough(folder, encoder):
    keep_tensors(folder, lambda name: not name.startswith("pooler."))
    rows = rows_of_lengths([2, 9])
    without = FrozenEncoder(folder, layers=ALL_LAYERS, device=CPU)
    assert_same_bits(states_of(without, rows), states_of(encoder, rows))


def test_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(EncoderError, match="holds no encoder"):
        FrozenEncoder(tmp_path, layers=(1,), device=CPU)


def test_the_embeddings_alone_can_be_kept(tiny_encoder):
    from transformers import AutoModel

    rows = RowTokenizer(tiny_encoder, max_length=32)([("wolf", "bear"), ("ice",)])
    encoder = FrozenEncoder(tiny_encoder, layers=[0], device=torch.device("cpu"))
    model = AutoModel.from_pretrained(tiny_encoder).eval()
    for position, states in encoder.encode(rows):
        ids = torch.from_numpy(rows[position].input_ids.astype("int64"))[None]
        with torch.inference_mode():
            expected = model(ids, output_hidden_states=True).hidden_states[0][0].numpy()
        assert list(states) == [0]
        assert abs(states[0] - expected).max() <= 1e-6


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("model.safetensors", "damaged"),
        ("config.json", '{"model_type": "bert", "hidden_size": 48, "num_attention_heads": 4}'),
        ("config.json", '{"model_type": "bert", "is_decoder": true}'),
    ],
)
def test_a_model_that_cannot_be_loaded_is_one_line(tiny_encoder, tmp_path, file, content):
    import shutil

    folder = tmp_path / "encoder"
    shutil.copytree(tiny_encoder, folder)
    (folder / file).unlink()
    (folder / file).write_text(content, encoding="utf-8")
    with pytest.raises(EncoderError) as caught:
        FrozenEncoder(folder, layers=[1], device=torch.device("cpu"))
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_a_damaged_tokenizer_is_one_line(tiny_encoder, tmp_path):
    import shutil

    folder = tmp_path / "encoder"
    shutil.copytree(tiny_encoder, folder)
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(EncoderError, match="its tokenizer cannot be read"):
        RowTokenizer(folder, max_length=32)
