"""CoNLL-U to examples, as https://universaldependencies.org/format.html says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import example_settings
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ingest.rows import Example

CONLLU: dict[str, Any] = {
    "path": "data/raw/corpus.conllu",
    "format": "conllu",
    "id": "sent_id",
    "words": "form",
    "labels": {"upos": "tags", "xpos": "tags"},
    "split": {"train": 0.8, "dev": 0.1, "test": 0.1},
    "seed": 1,
}
SENTENCES = """\
# newdoc
# sent_id = weblog-1
# text = vámonos al mar
# genre = web
1-2\tvámonos\t_\t_\t_\t_\t_\t_\t_\t_
1\tvamos\tir\tVERB\tV\t_\t0\troot\t_\t_
2\tnos\tnosotros\tPRON\tP\t_\t1\tobj\t_\t_
3-4\tal\t_\t_\t_\t_\t_\t_\t_\t_
3\ta\ta\tADP\tA\t_\t5\tcase\t_\t_
4\tel\tel\tDET\tD\t_\t5\tdet\t_\t_
5\tmar\tmar\tNOUN\tN\t_\t1\tobl\t_\t_
5.1\tnada\tnada\tNOUN\tN\t_\t_\t_\t_\t_

# sent_id = weblog-2
# genre = news
1\tNew York\tNew York\tPROPN\tN\t_\t0\troot\t_\t_
"""


def read(folder: Path, content: str, **changes: Any) -> list[Example]:
    return example_settings.read(folder / "corpus.conllu", content, CONLLU, **changes)


def test_words_have_tags_and_ranges_and_empty_nodes_are_left_out(tmp_path: Path):
    first, second = read(tmp_path, SENTENCES)
    assert (first.id, first.line) == ("weblog-1", 6)
    assert first.text == ("vamos", "nos", "a", "el", "mar")
    assert first.labels["upos"] == ("VERB", "PRON", "ADP", "DET", "NOUN")
    assert first.labels["xpos"] == ("V", "P", "A", "D", "N")
    assert (second.id, second.text) == ("weblog-2", ("New York",))


def test_sentences_are_numbered_without_an_id(tmp_path: Path):
    assert [row.id for row in read(tmp_path, SENTENCES, id=None)] == ["1", "2"]


def test_comments_are_fields_of_a_sentence(tmp_path: Path):
    rows = read(tmp_path, SENTENCES, labels={"genre": "class", "deprel": "tags"})
    assert [row.labels["genre"] for row in rows] == ["web", "news"]


cell = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\0\t\n\r"), min_size=1
).filter(str.strip)


@given(st.lists(st.lists(st.tuples(cell, cell), min_size=1, max_size=4), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_sentences_read_back_as_written(
    tmp_path_factory: pytest.TempPathFactory, sentences: list[list[tuple[str, str]]]
):
    rest = "\t_" * 5
    content = "\n".join(
        "".join(f"{n + 1}\t{form}\t_\t{tag}\t_{rest}\n" for n, (form, tag) in enumerate(words))
        for words in sentences
    )
    rows = read(tmp_path_factory.mktemp("conllu"), content, id=None, labels={"upos": "tags"})
    assert [list(zip(row.text, row.labels["upos"], strict=True)) for row in rows] == [
        [(form, tag.strip()) for form, tag in words] for words in sentences
    ]
