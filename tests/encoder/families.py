"""Tiny random models of the families that the encoder reads, each with the tiny tokenizer."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from conftest import VOCABULARY

from pipeline.encoder.settings import EncoderSettings
from pipeline.encoder.snapshot import materialise

DEPTH = 4
SIZES = {
    "vocab_size": len(VOCABULARY),
    "hidden_size": 64,
    "num_hidden_layers": DEPTH,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "max_position_embeddings": 64,
}
COUNTED_FROM_PADDING = SIZES | {
    "max_position_embeddings": 66,
    "type_vocab_size": 1,
    "pad_token_id": 1,
}
DEBERTA = SIZES | {
    "relative_attention": True,
    "position_buckets": 16,
    "pos_att_type": ["c2p", "p2c"],
    "position_biased_input": False,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
}
CONFIGURATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("BertConfig", SIZES),
    "roberta": ("RobertaConfig", COUNTED_FROM_PADDING),
    "xlm_roberta": ("XLMRobertaConfig", COUNTED_FROM_PADDING),
    "distilbert": (
        "DistilBertConfig",
        {
            "vocab_size": len(VOCABULARY),
            "dim": 64,
            "n_layers": DEPTH,
            "n_heads": 4,
            "hidden_dim": 128,
            "max_position_embeddings": 64,
        },
    ),
    "electra": ("ElectraConfig", SIZES | {"embedding_size": 32}),
    "albert": ("AlbertConfig", SIZES | {"embedding_size": 32, "num_hidden_groups": 2}),
    "modernbert": (
        "ModernBertConfig",
        SIZES
        | {
            "local_attention": 16,
            "global_attn_every_n_layers": 3,
            "pad_token_id": 0,
            "cls_token_id": 2,
            "bos_token_id": 2,
            "sep_token_id": 3,
            "eos_token_id": 3,
        },
    ),
    "deberta_v2": ("DebertaV2Config", DEBERTA | {"type_vocab_size": 0}),
    "deberta_v2_conv": (
        "DebertaV2Config",
        DEBERTA | {"type_vocab_size": 2, "conv_kernel_size": 3, "conv_act": "gelu"},
    ),
    "mpnet": ("MPNetConfig", SIZES | {"max_position_embeddings": 66}),
    "camembert": ("CamembertConfig", COUNTED_FROM_PADDING),
    # Rotary positions, keys shared between heads, embeddings of another width.
    "nomic_bert": ("NomicBertConfig", SIZES),
    "eurobert": (
        "EuroBertConfig",
        SIZES
        | {
            "num_key_value_heads": 2,
            "pad_token_id": 0,
            "bos_token_id": 2,
            "eos_token_id": 3,
            "mask_token_id": 4,
        },
    ),
    "rembert": ("RemBertConfig", SIZES | {"input_embedding_size": 32}),
    # Proteins; the scale of embeddings depends on how many tokens of the row are masked.
    "esm": (
        "EsmConfig",
        COUNTED_FROM_PADDING
        | {
            "position_embedding_type": "rotary",
            "token_dropout": True,
            "mask_token_id": 4,
            "emb_layer_norm_before": False,
        },
    ),
    "flaubert": (
        "FlaubertConfig",
        {"vocab_size": len(VOCABULARY), "emb_dim": 64, "n_layers": DEPTH, "n_heads": 4}
        | {"max_position_embeddings": 64},
    ),
    "t5": (
        "T5Config",
        {"vocab_size": len(VOCABULARY), "d_model": 64, "d_kv": 16, "d_ff": 128, "num_heads": 4}
        | {"num_layers": DEPTH, "num_decoder_layers": 1, "feed_forward_proj": "gated-gelu"},
    ),
    "umt5": (
        "UMT5Config",
        {"vocab_size": len(VOCABULARY), "d_model": 64, "d_kv": 16, "d_ff": 128, "num_heads": 4}
        | {"num_layers": DEPTH, "num_decoder_layers": 1},
    ),
    "bart": (
        "BartConfig",
        {"vocab_size": len(VOCABULARY), "d_model": 64, "encoder_layers": DEPTH}
        | {"decoder_layers": 1, "encoder_attention_heads": 4, "decoder_attention_heads": 4}
        | {"encoder_ffn_dim": 128, "decoder_ffn_dim": 128, "max_position_embeddings": 64},
    ),
    "gpt2": (
        "GPT2Config",
        {"vocab_size": len(VOCABULARY), "n_embd": 64, "n_layer": DEPTH, "n_head": 4}
        | {"n_positions": 64, "bos_token_id": 2, "eos_token_id": 3},
    ),
    "llama": (
        "LlamaConfig",
        SIZES | {"num_key_value_heads": 2, "bos_token_id": 2, "eos_token_id": 3},
    ),
    "mistral": (
        "MistralConfig",
        SIZES | {"num_key_value_heads": 2, "sliding_window": 16, "head_dim": 16},
    ),
    "fnet": (
        "FNetConfig",
        {key: SIZES[key] for key in SIZES if key != "num_attention_heads"},
    ),
    "canine": (
        "CanineConfig",
        {key: SIZES[key] for key in SIZES if key != "vocab_size"} | {"num_hash_buckets": 128},
    ),
}
ARRANGEMENTS = {
    **dict.fromkeys(("gpt2", "llama", "mistral"), "PACKED_CAUSAL"),
    **dict.fromkeys(("deberta_v2", "deberta_v2_conv", "mpnet", "rembert"), "PADDED"),
    **dict.fromkeys(("esm", "flaubert", "t5", "umt5", "bart"), "PADDED"),
    **dict.fromkeys(("fnet", "canine"), "EQUAL"),
}
"""How rows of a family lie in what it is given, where they do not lie end to end in an encoder."""


def materialise_family(name: str, tokenizer: Path, folder: Path, **changes: Any) -> Path:
    """Materialises a random model of a family below ``folder``.

    Args:
        name: of ``CONFIGURATIONS``, or of a configuration in transformers.
        tokenizer: a folder with tokenizer files.
        folder: the source and the encoder are written here.
        changes: of the configuration.
    """
    import torch
    import transformers

    configuration, sizes = CONFIGURATIONS.get(name, (name, {}))
    config = getattr(transformers, configuration)(**sizes | changes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.AutoModel.from_config(config)
    source = folder / "source"
    model.save_pretrained(source)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tokenizer / file, source / file)
    materialise(EncoderSettings(source=str(source), revision=None), folder / "encoder")
    return folder / "encoder"
