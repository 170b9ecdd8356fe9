"""Tokenizers of other families, each trained on a few lines, in copies of an encoder."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path

from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast, RobertaTokenizer

SPECIALS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
LINES = [
    "the cold river of ice",
    "a wolf and a bear in the snow",
    "don't stop at the house",
    "it was summer, and the sun shone",
    "l'été à la mer, très loin",
    "\u6771\u4eac is far",
    "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd",
]
NAMES = {"bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>"} | {
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "mask_token": "<mask>",
}
BYTE_LEVEL = ("roberta_prefixed", "roberta", "modernbert")
METASPACE = ("xlm_roberta", "deberta_v2")


def byte_level(name: str) -> PreTrainedTokenizerBase:
    """A byte-level BPE with a merge here and there, as one of ``BYTE_LEVEL``."""
    vocabulary, merges = bpe()
    if name != "modernbert":
        prefix = name == "roberta_prefixed"
        return RobertaTokenizer(dict(vocabulary), list(merges), add_prefix_space=prefix)
    backend = Tokenizer(models.BPE(dict(vocabulary), list(merges)))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = _template()  # which, unlike RoBERTa's, trims no offsets
    return PreTrainedTokenizerFast(tokenizer_object=backend, **NAMES)


def metaspace(name: str) -> PreTrainedTokenizerBase:
    """A Unigram over text whose spaces are marked, as one of ``METASPACE``."""
    backend = Tokenizer(models.Unigram(list(unigram()), unk_id=SPECIALS.index("<unk>")))
    marked = pre_tokenizers.Metaspace(prepend_scheme="always")
    if name == "xlm_roberta":
        backend.normalizer = normalizers.NFKC()  # nearly the mapping that sentencepiece compiles
        splits = [pre_tokenizers.WhitespaceSplit(), marked]
    else:
        backend.normalizer = normalizers.NFC()
        splits = [pre_tokenizers.Punctuation("isolated"), marked]
    backend.pre_tokenizer = pre_tokenizers.Sequence(splits)
    backend.decoder = decoders.Metaspace(prepend_scheme="always")
    backend.post_processor = _template(segments=name == "deberta_v2")
    return PreTrainedTokenizerFast(tokenizer_object=backend, **NAMES)


def tokenizer_of(name: str) -> PreTrainedTokenizerBase:
    """A tokenizer by name, as transformers has it."""
    return byte_level(name) if name in BYTE_LEVEL else metaspace(name)


def with_tokenizer(encoder: Path, name: str, folder: Path) -> Path:
    """A copy of a materialised encoder in ``folder``, with another tokenizer."""
    shutil.copytree(encoder, folder)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (folder / file).unlink()
    tokenizer_of(name).save_pretrained(folder)
    return folder


def _template(*, segments: bool = False) -> processors.TemplateProcessing:
    second = 1 if segments else 0
    pair = f"<s> $A </s> $B:{second} </s>:{second}" if segments else "<s> $A </s> </s> $B </s>"
    special = [(token, SPECIALS.index(token)) for token in ("<s>", "</s>")]
    return processors.TemplateProcessing(single="<s> $A </s>", pair=pair, special_tokens=special)


@cache
def bpe() -> tuple[tuple[tuple[str, int], ...], tuple[tuple[str, str], ...]]:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=SPECIALS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(LINES * 3, trainer)
    model = json.loads(backend.to_str())["model"]
    return tuple(model["vocab"].items()), tuple(map(tuple, model["merges"]))


@cache
def unigram() -> tuple[tuple[str, float], ...]:
    backend = Tokenizer(models.Unigram())
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    trainer = trainers.UnigramTrainer(
        vocab_size=200, special_tokens=SPECIALS, unk_token="<unk>", show_progress=False
    )
    backend.train_from_iterator(LINES * 3, trainer)
    return tuple(map(tuple, json.loads(backend.to_str())["model"]["vocab"]))
