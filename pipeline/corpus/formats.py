"""The registry of raw formats: one reader per name in ``corpora.<name>.format``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.corpus.conll import read_conll
from pipeline.corpus.jsonl import read_jsonl
from pipeline.corpus.records import Example, TextPair, parts
from pipeline.corpus.schemes import first_fault
from pipeline.corpus.settings import SCHEMES, WORD_KINDS, CorpusSettings, LabelKind
from pipeline.errors import DataError

READERS: dict[str, Callable[[Path, CorpusSettings], Iterator[Example]]] = {
    "jsonl": read_jsonl,
    "conll": read_conll,
}


def read_examples(path: Path, settings: CorpusSettings) -> list[Example]:
    """All examples of a raw corpus, in file order, checked as far as one file can be.

    Raises:
        DataError: the file cannot be read, holds no example, an id twice, a text without words
            (of a pair: either), not exactly one tag per word, or entity tags that do not fit
            their scheme.
    """
    examples: list[Example] = []
    first_line: dict[str, int] = {}
    for example in READERS[settings.format](path, settings):
        where = f"{path}:{example.line}"
        if example.id in first_line:
            raise DataError(
                f"{where}: id {example.id!r} is already used on line {first_line[example.id]}"
            )
        first_line[example.id] = example.line
        _refuse_empty(example, settings, where)
        for name, kind in settings.labels.items():
            _check_tags(example, name, kind, settings.broken_tags, where)
        if "\0" in example.id:
            raise DataError(f"{where}: the id holds a NUL character")
        _refuse_surrogates(example, where)
        examples.append(example)
    if not examples:
        raise DataError(f"{path}: holds no example")
    return examples


def _check_tags(example: Example, name: str, kind: LabelKind, broken: str, where: str) -> None:
    tags, words = example.labels[name], parts(example.text)
    if kind not in WORD_KINDS or not isinstance(tags, tuple):
        return
    if len(tags) != len(words):
        raise DataError(f"{where}: {len(tags)} tags in {name!r} for {len(words)} words")
    if scheme := SCHEMES.get(kind):
        fault = first_fault(tags, scheme)
        if fault and not (fault.repairable and broken == "repair"):
            advice = "; mend it, or set broken_tags: repair" if fault.repairable else ""
            raise DataError(
                f"{where}: {name!r} of word {fault.position + 1} "
                f"({words[fault.position]!r}): {fault.why}{advice}"
            )


def _refuse_empty(example: Example, settings: CorpusSettings, where: str) -> None:
    blank = [not part.strip() for part in parts(example.text)]
    if all(blank):
        raise DataError(f"{where}: the text is empty; remove the row or give it text")
    if isinstance(example.text, TextPair) and any(blank):
        name = settings.text if blank[0] else settings.text_b
        raise DataError(f"{where}: field {name!r} is empty; remove the row or give it text")


def _refuse_surrogates(example: Example, where: str) -> None:
    r"""JSON can spell half a character (``"\ud800"``), which no file can hold as UTF-8."""
    for value in (example.id, example.text, *example.labels.values()):
        for part in () if isinstance(value, float) else parts(value):
            try:
                part.encode("utf-8")
            except UnicodeEncodeError:
                raise DataError(f"{where}: holds a lone surrogate, which is no character") from None
