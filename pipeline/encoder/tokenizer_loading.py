"""Loading of an encoder's tokenizer, with a fast implementation or without."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pipeline.core.command import explain
from pipeline.core.errors import EncoderError
from pipeline.encoder.config import json_object
from pipeline.encoder.inspection import require_loadable
from pipeline.encoder.quiet import quiet_transformers
from pipeline.encoder.roles import CONFIG, TOKENIZER_CONFIG
from pipeline.encoder.slow_tokenizer import SlowTokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_FILLERS = ("bos", "eos", "pad", "unk")


class LoadedTokenizer(NamedTuple):
    """A tokenizer.

    Attributes:
        backend: gives tokens, without special ones or with them.
        filler: id of a token that stands for a text without any: the one that begins a text, if
            the tokenizer has such a one.
    """

    backend: Tokenizer | SlowTokenizer
    filler: int | None


def load_tokenizer(folder: Path, *, trust_remote_code: bool) -> LoadedTokenizer:
    """Loads the tokenizer of a materialised encoder, which neither cuts nor pads.

    Raises:
        EncoderError: it cannot be read, or has code that may not run.
    """
    # Told neither to run code nor not to, transformers would ask on the terminal.
    trusted = require_loadable(folder, trust_remote_code=trust_remote_code).has_code
    with quiet_transformers():
        from transformers import AutoTokenizer

        try:
            _refuse_other_classes(folder)
            tokenizer = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=trusted
            )
        except Exception as error:  # tokenizers raises bare Exception for damaged files
            if explain(error) is not None:
                raise
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            if not trusted and "trust_remote_code" in str(error):
                reason = "it needs Python code of its own; read it, and set trust_remote_code: true"
            raise EncoderError(f"{folder}: its tokenizer cannot be read: {reason}") from error
    fillers = (getattr(tokenizer, f"{name}_token_id", None) for name in _FILLERS)
    filler = next((found for found in fillers if found is not None), None)
    if not tokenizer.is_fast:
        return LoadedTokenizer(SlowTokenizer(tokenizer), filler)
    backend: Tokenizer = tokenizer.backend_tokenizer
    # Files often carry the truncation and padding of somebody's fine-tuning.
    backend.no_truncation()
    backend.no_padding()
    return LoadedTokenizer(backend, filler)


def _refuse_other_classes(folder: Path) -> None:
    """Refuses a class that is in transformers, and no tokenizer: it would be loaded all the same.

    Raises:
        EncoderError: a configuration names one.
    """
    from transformers import PreTrainedTokenizerBase
    from transformers.models.auto.tokenization_auto import tokenizer_class_from_name

    for file in (TOKENIZER_CONFIG, CONFIG):
        path = folder / file
        name = json_object(path, str(folder)).get("tokenizer_class") if path.is_file() else None
        if name is None:
            continue
        found = tokenizer_class_from_name(name) if isinstance(name, str) else name
        if found is not None and not (
            isinstance(found, type) and issubclass(found, PreTrainedTokenizerBase)
        ):
            raise EncoderError(f"{folder}: its {file} has tokenizer_class {name!a:.60}")
