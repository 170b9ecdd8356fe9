"""A training epoch with an encoder of BERT's size: in the loop, and cached."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from benchmarks.corpora import default_encoder
from benchmarks.epoch import compare, make_work
from benchmarks.measure import Bar, report
from pipeline.core.environment import flush_denormals, keep_freed_memory, use_threads
from pipeline.encoder.settings import EncoderSettings
from pipeline.encoder.snapshot import materialise

TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


def main() -> None:
    """Prints tokens per second and the bar; its speed does not depend on its weights."""
    flush_denormals()
    use_threads()
    keep_freed_memory()
    with tempfile.TemporaryDirectory(prefix="icehouse-bench-") as name:
        folder = Path(name)
        encoder = _bert_base(folder, default_encoder(folder))
        work = make_work(folder / "tweets", encoder, head="tweet_entities", examples=160)
        seconds = compare(work, encoder, "the tagger on tweets, BERT base", with_packed=False)
    report("epoch_bert_base", {"loop": Bar(seconds["encoder in the loop"] / seconds["ours"], 60)})


def _bert_base(folder: Path, tokenizer: Path) -> Path:
    """A random BERT of 12 layers of width 768, with the default encoder's tokenizer."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    BertModel(BertConfig()).save_pretrained(folder / "base")
    for file in TOKENIZER:
        if (tokenizer / file).exists():
            shutil.copyfile(tokenizer / file, folder / "base" / file)
    settings = EncoderSettings(source=str(folder / "base"), revision=None)
    materialise(settings, folder / "materialised")
    return folder / "materialised"


if __name__ == "__main__":
    main()
