"""Examples of each kind of label: order, confidence, cells."""

from __future__ import annotations

from collections import Counter

import pytest
from written import BIO, KINDS, WORDS, read_all, write_all

from pipeline.corpus.texts import TextPair
from pipeline.report.confusion import confusion_matrix
from pipeline.report.examples import MOST_CHARACTERS, examples, shown_text


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    inputs = read_all(write_all(tmp_path_factory.mktemp("all")))
    texts = {corpus.name: corpus.texts for corpus in inputs.corpora}
    return {head.name: (head, texts[head.corpus]) for head in inputs.heads}


def pairs_of(head, split="test"):
    labels = head.labels
    rows = [place for place, own in enumerate(labels.splits) if own == split]
    gold = [labels.values[place] for place in rows]
    return head.label_type.pairs(gold, [head.predictions[labels.ids[place]] for place in rows])


@pytest.mark.parametrize("name", [name for name in KINDS if name != "stars"])
def test_a_cell_is_in_the_rows_that_it_counts(heads, name):
    head, texts = heads[name]
    matrix = confusion_matrix(pairs_of(head))
    rows, total = examples(head.label_type, head.labels, head.predictions, matrix, texts)
    assert len(rows) == total == sum(split != "train" for split in head.labels.splits)
    cells = Counter(cell for row in rows for cell in row.cells)
    filled = {
        (row, column)
        for row, counts in enumerate(matrix.counts)
        for column, count in enumerate(counts)
        if count
    }
    assert set(cells) == filled
    assert all(not row.cells for row in rows if row.split == "dev")
    if name == "topic":  # a row is in one cell
        assert all(matrix.counts[row][column] == cells[row, column] for row, column in filled)


@pytest.mark.parametrize("name", KINDS)
def test_wrong_rows_come_first_and_the_surest_before_others(heads, name):
    head, texts = heads[name]
    rows, _ = examples(head.label_type, head.labels, head.predictions, None, texts)
    right = [row.right for row in rows]
    assert right == sorted(right)
    wrong = [row.sure or 0 for row in rows if not row.right]
    assert wrong == sorted(wrong, reverse=True)
    assert [row.sure for row in rows if row.right] == sorted(row.sure for row in rows if row.right)
    few, total = examples(head.label_type, head.labels, head.predictions, None, texts, most=3)
    assert few == rows[:3]
    assert total == len(rows)


def test_what_is_true_and_said_by_kind(heads):
    found = {}
    for name, (head, texts) in heads.items():
        rows, _ = examples(head.label_type, head.labels, head.predictions, None, texts)
        found[name] = {row.id: row for row in rows}
    topic = found["topic"]["r8"]
    assert (topic.gold, topic.predicted, topic.sure) == (("ice",), ("<b>fire",), 0.54)
    flags = found["flags"]["r8"]  # cold and wet; nothing was said
    assert (flags.gold, flags.predicted) == (("cold", "wet"), ())
    assert flags.sure == pytest.approx(max(1 - 0.54, 0.54))
    stars = found["stars"]["r10"]
    assert (stars.gold, stars.predicted, stars.sure) == (("3",), ("3.5",), 0.5)
    names = found["names"]["r4"]
    assert (names.gold, names.predicted) == (("place",), ("person",))
    assert names.sure == 0.52
    pos = found["pos"]["r4"]
    assert pos.right
    assert not any(segment.gold for segment in pos.segments)


def test_sentences_are_cut_where_entities_are(heads):
    head, texts = heads["names"]
    row = next(
        row
        for row in examples(head.label_type, head.labels, head.predictions, None, texts)[0]
        if row.id == "r6"
    )
    assert [segment.text for segment in row.segments] == [
        WORDS[0][0],
        WORDS[0][1],
        "New York",
        "</script>",
    ]
    assert [segment.right for segment in row.segments] == [False, False, True, False]
    assert row.segments[3].unread
    assert BIO[0][2:4] == ("B-place", "I-place")


def test_without_texts_no_words_are_left(heads):
    head, _ = heads["names"]
    rows, _ = examples(head.label_type, head.labels, head.predictions, None, {})
    assert not any(row.segments for row in rows)
    assert any(row.gold == ("place",) for row in rows)


def test_long_texts_are_cut_at_a_space():
    (cut,) = shown_text("snow " * 1000)
    assert cut.endswith("snow …")
    assert len(cut) <= MOST_CHARACTERS + 2
    assert shown_text(TextPair("a", "b")) == ("a", "b")
    assert shown_text(("a", "b")) == ("a b",)
    assert len(shown_text("x" * 2000)[0]) <= MOST_CHARACTERS + 2
