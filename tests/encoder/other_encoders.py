"""Encoders that are no BERT, each with the kind of tokenizer that it comes with, of a few words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from families import CONFIGURATIONS
from transformers import (
    AutoModel,
    BertJapaneseTokenizer,
    CanineTokenizer,
    EsmTokenizer,
    GPT2Tokenizer,
    LlamaTokenizer,
    PhobertTokenizer,
    PreTrainedTokenizerBase,
    T5Tokenizer,
)
from vocabularies import LINES, bpe, unigram

from pipeline.encoder.settings import EncoderSettings
from pipeline.encoder.snapshot import materialise

RESIDUES = "LAGVSERTIDPKQNFYMHWCXBUZO"
ESM_TOKENS = ["<cls>", "<pad>", "<eos>", "<unk>", *RESIDUES, ".", "-", "<null_1>", "<mask>"]
JAPANESE_TOKENS = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    *("東京", "東", "##京", "は", "寒", "##い", "##は", "a"),
]
FAMILIES = {
    "esm": "esm",
    "bert_japanese": "bert",
    "phobert": "roberta",
    "canine": "canine",
    "t5": "t5",
    "gpt2": "gpt2",
    "llama": "llama",
}
"""Family of ``CONFIGURATIONS`` by kind of encoder."""
SLOW = ("esm", "bert_japanese", "phobert", "canine")
"""Kinds whose tokenizer has no fast implementation."""
TEXTS = {
    "esm": ("MKVLA", ("M", "K", "V", "L", "A")),
    "bert_japanese": ("東京 は 寒い", ("東京", "は", "寒い")),
    "phobert": ("con gấu tuyết", ("con", "gấu", "tuyết")),
} | dict.fromkeys(("canine", "t5", "gpt2", "llama"), ("the cold wolf", ("the", "cold", "wolf")))
"""A text of each kind, raw and as words."""


def tokenizer_of(kind: str, folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a kind of encoder; what it is read from is written into ``folder``."""
    return _TOKENIZERS[kind](folder)


def _esm(folder: Path) -> EsmTokenizer:
    return EsmTokenizer(_write(folder / "vocab.txt", ESM_TOKENS))


def _bert_japanese(folder: Path) -> BertJapaneseTokenizer:
    vocabulary = _write(folder / "vocab.txt", JAPANESE_TOKENS)
    return BertJapaneseTokenizer(vocabulary, word_tokenizer_type="basic")


def _phobert(folder: Path) -> PhobertTokenizer:
    pieces = [f"{piece} 1" for piece in ("con", "gấu", "tu@@", "yết", "a")]
    merges = ["c o 1", "co n</w> 1", "g ấ 1", "gấ u</w> 1", "t u 1"]
    return PhobertTokenizer(
        _write(folder / "vocab.txt", pieces), _write(folder / "bpe.codes", merges)
    )


def _canine(_folder: Path) -> CanineTokenizer:
    return CanineTokenizer()


def _t5(_folder: Path) -> T5Tokenizer:
    pieces = {"<pad>": 0.0, "</s>": 0.0, "<unk>": 0.0, **dict(unigram())}
    return T5Tokenizer(vocab=list(pieces.items()), extra_ids=0)


def _gpt2(_folder: Path) -> GPT2Tokenizer:
    tokens, merges = bpe()
    names = dict.fromkeys(("bos_token", "eos_token", "unk_token"), "</s>")
    return GPT2Tokenizer(vocab=dict(tokens), merges=list(merges), **names)


def _llama(_folder: Path) -> LlamaTokenizer:
    letters = sorted(set("".join(LINES)) - {" "})
    tokens = ["<unk>", "<s>", "</s>", "▁", *letters, "▁t", "he", "▁the", "▁a", "ld"]
    merges = [("▁", "t"), ("h", "e"), ("▁t", "he"), ("▁", "a"), ("l", "d")]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    return LlamaTokenizer(vocab=vocabulary, merges=merges)


def _write(path: Path, lines: list[str]) -> str:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(path)


_TOKENIZERS = {
    "esm": _esm,
    "bert_japanese": _bert_japanese,
    "phobert": _phobert,
    "canine": _canine,
    "t5": _t5,
    "gpt2": _gpt2,
    "llama": _llama,
}


def save_source(kind: str, folder: Path, **changes: Any) -> Path:
    """Saves a random model of a kind with its tokenizer, as a user would have them."""
    import torch
    import transformers

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = tokenizer_of(kind, folder)
    configuration, sizes = CONFIGURATIONS[FAMILIES[kind]]
    sizes = dict(sizes)
    if "vocab_size" in sizes:
        sizes["vocab_size"] = len(tokenizer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = getattr(transformers, configuration)(**sizes | changes)
        AutoModel.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def materialise_other(kind: str, folder: Path, **changes: Any) -> Path:
    """Materialises ``save_source`` below ``folder``."""
    source = save_source(kind, folder / "source", **changes)
    materialise(EncoderSettings(source=str(source), revision=None), folder / "encoder")
    return folder / "encoder"
