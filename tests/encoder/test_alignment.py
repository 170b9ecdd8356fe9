"""Which characters and which word each token stands for, whatever the tokenizer and the text.

Of every tokenizer: tokens stand in order, and each in its own word; a word has the tokens that it
has alone, at the same places, so that a word without tokens moves no other's; and the tokens of a
text leave out no character but white space and what the normalizer drops. What offsets point to
holds the token's own characters. Two tokens share a character only where it is one character to us
and several to the tokenizer (bytes of UTF-8, a decomposed character), or where the first of them is
a mark that was put before the word.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from vocabularies import BYTE_LEVEL, METASPACE, tokenizer_of, with_tokenizer

from pipeline.encoder.tokenise import RowTokenizer
from pipeline.encoder.tokenised import TokenisedRow

AWKWARD = [
    "",
    " ",
    "\t",
    "\u00a0",  # a space that does not break
    "\u200b",  # zero-width space
    "the\u200dof",  # zero-width joiner
    "\ufeff",  # byte-order mark
    "\u0301",  # a combining accent on nothing
    "e\u0301a\u0300\u0301b",  # accents of their own
    "\u00e9t\u00e9",  # accents that are part of their letter
    "\u1100\u1161\u11a8\uac01",  # Korean, letter by letter and as a syllable
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # one family, five code points
    "\U0001f1e9\U0001f1ea",  # a flag
    "snow\u2744\ufe0f",
    "\u6771\u4eac",  # CJK
    "\u05e9\u05dc\u05d5\u05dd",  # right to left
    "\u202eabc\u202c",  # turned around
    "\u0915\u094d\u0937\u093f",  # vowel signs
    "\ufb01sh",  # a ligature
    "\u00bd",  # one half: three characters to NFKC
    "\u0130stanbul",  # a capital that grows when lower-cased
    "\u00df\u1e9e",
    "\u00ad",  # a soft hyphen
    "don't",
    "a b",
    " ice ",
    "\x1cice",  # white space to Python, and to nobody else
    "the\u2028of",
    "\ufffd",
    "the",
    "river.",
]
any_text = st.text(st.characters(exclude_categories=["Cs", "Cn"]), max_size=8)
unicode_words = st.lists(st.sampled_from(AWKWARD) | any_text, max_size=10).map(tuple)
unicode_texts = st.tuples(unicode_words, st.sampled_from([" ", "", "  ", "\n"])).map(
    lambda drawn: drawn[1].join(drawn[0])
)


@dataclass(frozen=True)
class Kind:
    """A tokenizer, and what it makes of characters.

    Attributes:
        name: of the family.
        rows: turns inputs into rows.
        shown: the characters that a token stands for, as the tokenizer writes them; ``None`` for
            an unknown or special token.
        written: a text as the tokenizer writes it.
        dropped: whether a character, that follows a text, is in no token.
        marks: whether a token may stand for no character, but for the beginning of a word.
    """

    name: str
    rows: RowTokenizer
    shown: Callable[[int], str | None]
    written: Callable[[str], str]
    dropped: Callable[[str, str], bool]
    marks: bool = False


SPECIAL = {"[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]"}


def word_piece(name: str, rows: RowTokenizer) -> Kind:
    backend = rows._tokenizer
    normal = backend.normalizer.normalize_str

    def shown(token: int) -> str | None:
        written = backend.id_to_token(token)
        # A special token that stands in a text is one, and is not lower-cased.
        return None if written in SPECIAL else written.removeprefix("##")

    return Kind(name, rows, shown, normal, lambda _before, character: not normal(character).strip())


def byte_level(name: str, rows: RowTokenizer) -> Kind:
    backend = rows._tokenizer
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    names = bytes_to_unicode()

    def written(text: str) -> str:
        return "".join(names[byte] for byte in text.encode("utf-8"))

    return Kind(name, rows, backend.id_to_token, written, lambda _before, _character: False)


def metaspace(name: str, rows: RowTokenizer) -> Kind:
    backend = rows._tokenizer
    normal = backend.normalizer.normalize_str

    def shown(token: int) -> str | None:
        written = backend.id_to_token(token)
        return None if written == "<unk>" else written

    def joins(before: str, character: str) -> bool:
        """Whether a character becomes one with what stands before it."""
        return len(normal(before + character)) < len(normal(before)) + len(normal(character))

    return Kind(
        name, rows, shown, lambda text: normal(text).replace(" ", "\u2581"), joins, marks=True
    )


KINDS = {
    "bert": word_piece,
    **dict.fromkeys(BYTE_LEVEL, byte_level),
    **dict.fromkeys(METASPACE, metaspace),
}
EXAMPLES = dict.fromkeys(KINDS, 100) | {"bert": 500, "roberta_prefixed": 500, "xlm_roberta": 500}


@pytest.fixture(scope="module")
def rows_of(tiny_encoder, tmp_path_factory) -> dict[str, RowTokenizer]:
    """Turns inputs into rows, whole, by the family of the tokenizer."""
    folders = {
        name: with_tokenizer(tiny_encoder, name, tmp_path_factory.mktemp(name) / "encoder")
        for name in (*BYTE_LEVEL, *METASPACE)
    }
    return {
        name: RowTokenizer(folder, max_length=None)
        for name, folder in {"bert": tiny_encoder, **folders}.items()
    }


@pytest.fixture(scope="module", params=KINDS)
def kind(request, rows_of) -> Kind:
    return KINDS[request.param](request.param, rows_of[request.param])


def is_space(character: str) -> bool:
    """Whether a character is white space to Unicode, whose separators of records are none."""
    return character.isspace() and character not in "\x1c\x1d\x1e\x1f"


def accents_move(text: str) -> bool:
    """Whether NFKC puts accents into another order; tokenizers then point somewhere near.

    So of a spacing acute, to NFKC a space and an accent, before a stem of music: it comes first.
    """
    alone = "".join(unicodedata.normalize("NFKD", character) for character in text)
    return unicodedata.normalize("NFKD", text) != alone


def tokens_of(row: TokenisedRow) -> list[tuple[int, int, int, int]]:
    """``(id, word, begin, end)`` of every token that is not special."""
    return [
        (token, word, begin, end)
        for token, word, (begin, end) in zip(
            row.input_ids[1:-1].tolist(),
            row.word_index[1:-1].tolist(),
            row.char_offsets[1:-1].tolist(),
            strict=True,
        )
    ]


def assert_covered(kind: Kind, text: str, tokens: Sequence[tuple[int, int, int, int]]) -> None:
    """The tokens of a text, or of a word, lie in it as the top of this file says."""
    covered = [False] * len(text)
    previous = (0, 0)
    for position, (token, _, begin, end) in enumerate(tokens):
        assert 0 <= begin <= end <= len(text)
        assert previous <= (begin, end)
        part, shown = text[begin:end], kind.shown(token)
        assert not part.startswith(" ")
        shared = text[begin : previous[1]]
        if shared:
            assert len(shared) == 1
            first_is_a_mark = kind.marks and kind.shown(tokens[position - 1][0]) == "\u2581"
            assert len(kind.written(shared)) > 1 or first_is_a_mark
        if shown is not None:
            # A mark, or the space that the offsets leave out, is no character of the text; an
            # accent that is written as one with its letter is, but offsets end before it.
            characters = shown.removeprefix("\u2581").removeprefix("\u0120")
            whole = end
            while whole < len(text) and kind.dropped(text[:whole], text[whole]):
                whole += 1
            assert characters in kind.written(text[begin:whole])
        covered[begin:end] = [True] * (end - begin)
        previous = (begin, end)
    for position, character in enumerate(text):
        dropped = is_space(character) or kind.dropped(text[:position], character)
        known = covered[position] or dropped or (kind.marks and accents_move(text))
        assert known, (position, unicodedata.name(character, "?"))


def assert_aligned_with_text(kind: Kind, text: str) -> None:
    [row] = kind.rows([text])
    tokens = tokens_of(row)
    words = [word for _, word, _, _ in tokens]
    assert sorted(set(words)) == list(range(row.words))
    assert words == sorted(words)
    assert_covered(kind, text, tokens)


def assert_aligned_with_words(kind: Kind, words: tuple[str, ...]) -> None:
    [row] = kind.rows([words])
    assert row.words == len(words)
    tokens = []
    for index, one in enumerate(kind.rows([(word,) for word in words])):
        alone = [(token, index, begin, end) for token, _, begin, end in tokens_of(one)]
        assert_covered(kind, words[index], alone)
        tokens += alone
    assert tokens_of(row) == tokens


def test_tokens_of_a_text_leave_out_no_character(kind):
    @settings(max_examples=EXAMPLES[kind.name], deadline=None)
    @given(text=unicode_texts)
    @example(text=" ".join(AWKWARD))
    @example(text=" the river")
    def check(text: str) -> None:
        assert_aligned_with_text(kind, text)

    check()


def test_tokens_of_words_leave_out_no_character_and_do_not_depend_on_other_words(kind):
    @settings(max_examples=EXAMPLES[kind.name], deadline=None)
    @given(words=unicode_words)
    @example(words=tuple(AWKWARD))
    @example(words=("[CLS]",))
    @example(words=("\u00b4\U0001d165",))  # an accent that NFKC moves behind what follows it
    def check(words: tuple[str, ...]) -> None:
        assert_aligned_with_words(kind, words)

    check()


@settings(max_examples=100, deadline=None)
@given(words=unicode_words)
@example(words=tuple(AWKWARD))
def test_words_are_read_with_the_space_before_them_where_the_tokenizer_adds_none(rows_of, words):
    """``add_prefix_space`` is what transformers wants for words; few tokenizers' files set it."""
    prefixed, *others = (rows_of[name] for name in BYTE_LEVEL)
    [expected] = prefixed([words])
    given_to = tokenizer_of("roberta_prefixed")(list(words), is_split_into_words=True)
    assert expected.input_ids.tolist() == given_to["input_ids"]
    for other in others:
        [row] = other([words])
        assert row.input_ids.tolist() == expected.input_ids.tolist()
        assert row.word_index.tolist() == expected.word_index.tolist()


@pytest.mark.parametrize("name", [*BYTE_LEVEL, *METASPACE])
def test_texts_give_the_ids_that_transformers_gives(name, rows_of):
    rows, reference = rows_of[name], tokenizer_of(name)
    texts = [*AWKWARD, " ".join(AWKWARD), " The river, and\nthe   wolf "]
    for row, text in zip(rows(texts), texts, strict=True):
        expected = reference(text)
        assert row.input_ids.tolist() == expected["input_ids"]
        words = [-1 if word is None else word for word in expected.word_ids()]
        assert row.word_index.tolist() == words


@pytest.mark.parametrize("name", [*BYTE_LEVEL, *METASPACE])
def test_offsets_leave_out_the_space_before_a_token(name, rows_of):
    rows = rows_of[name]
    text = " the cold river"
    [row] = rows([text])
    for index, word in enumerate(text.split()):
        offsets = row.char_offsets[row.word_index == index]
        assert text[offsets[0, 0] : offsets[-1, 1]] == word
    words = ("the", " cold", "river of")
    [row] = rows([words])
    for index, word in enumerate(words):
        offsets = row.char_offsets[row.word_index == index]
        assert word[offsets[0, 0] : offsets[-1, 1]] == word.strip()
