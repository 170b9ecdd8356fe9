"""Long rows are read in windows: which window each token's states come from, and that they do."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch
from conftest import VOCABULARY
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.encoder.forward import FrozenEncoder
from pipeline.encoder.tokenised import SPECIAL, TokenisedRow
from pipeline.encoder.windows import Window, Windows, encode_rows

CPU = torch.device("cpu")
LAYERS = (0, 1, 3)
CLS, SEP = VOCABULARY.index("[CLS]"), VOCABULARY.index("[SEP]")


def row_of(*lengths: int, between: int = 1, seed: int = 0) -> TokenisedRow:
    """A row of one text, or of two, with so many tokens each; ``[CLS]`` before, ``[SEP]`` after."""
    rng = np.random.default_rng(seed)
    ids, segments, words, following = [CLS], [0], [SPECIAL], 0
    for segment, length in enumerate(lengths):
        specials = 1 if segment == len(lengths) - 1 else between
        ids += [*rng.integers(5, len(VOCABULARY), length).tolist(), *[SEP] * specials]
        segments += [segment] * (length + specials)
        words += [*range(following, following + length), *[SPECIAL] * specials]
        following += length
    return TokenisedRow(
        input_ids=np.array(ids, np.int32),
        segment_ids=np.array(segments, np.int8),
        word_index=np.array(words, np.int32),
        char_offsets=np.full((len(ids), 2), SPECIAL, np.int32),
        full_length=len(ids),
        words=following,
    )


def assert_kept_once(row: TokenisedRow, windows: Sequence[Window]) -> None:
    """The kept parts follow each other from the first token to the last, none of them empty."""
    assert [window.begin for window in windows] == [0, *(window.end for window in windows[:-1])]
    assert windows[-1].end == row.length
    for window in windows:
        assert window.begin < window.end
        assert set(range(window.begin, window.end)) <= set(window.tokens.tolist())


def assert_best_context(windows: Sequence[Window], text: range) -> None:
    """No other window that holds a token of the text has more of it on the token's poorer side."""
    held = [[token for token in window.tokens.tolist() if token in text] for window in windows]
    for token in text:
        contexts = {
            number: min(token - tokens[0], tokens[-1] - token)
            for number, tokens in enumerate(held)
            if tokens[0] <= token <= tokens[-1]
        }
        [chosen] = [
            number for number, window in enumerate(windows) if window.begin <= token < window.end
        ]
        assert contexts[chosen] == max(contexts.values()), token


@st.composite
def settings_of_windows(draw: st.DrawFn, beside: int = 2) -> Windows:
    """``beside`` tokens of a window are not of the text that slides."""
    room = draw(st.integers(1, 40))
    return Windows(room + beside, draw(st.integers(0, room - 1)))


@settings(max_examples=300, deadline=None)
@given(length=st.integers(0, 300), windows=settings_of_windows())
@example(length=300, windows=Windows(12, 0))
@example(length=300, windows=Windows(12, 9))
@example(length=11, windows=Windows(12, 9))
@example(length=3, windows=Windows(3, 0))
def test_windows_over_one_text(length, windows):
    row = row_of(length)
    over = windows.over(row)
    assert_kept_once(row, over)
    if row.length <= windows.max_length:
        assert [window.tokens.tolist() for window in over] == [list(range(row.length))]
        return
    assert {len(window.tokens) for window in over} == {windows.max_length}
    for window in over:
        assert window.tokens[[0, -1]].tolist() == [0, row.length - 1]
        assert set(np.diff(window.tokens[1:-1]).tolist()) <= {1}
    starts = [int(window.tokens[1]) for window in over]
    room = windows.max_length - 2
    assert {after - before for before, after in pairwise(starts[:-1])} <= {room - windows.stride}
    assert 0 < starts[-1] - starts[-2] <= room - windows.stride
    assert (starts[0], starts[-1] + room) == (1, row.length - 1)
    assert_best_context(over, range(1, row.length - 1))


@settings(max_examples=300, deadline=None)
@given(
    shorter=st.integers(0, 12),
    more=st.integers(0, 100),
    swapped=st.booleans(),
    between=st.sampled_from([1, 2]),
    data=st.data(),
)
def test_windows_over_a_pair_slide_over_its_longer_text(shorter, more, swapped, between, data):
    longer = shorter + more
    lengths = (shorter, longer) if swapped and more else (longer, shorter)
    row = row_of(*lengths, between=between)
    windows = data.draw(settings_of_windows(beside=shorter + between + 2))
    over = windows.over(row)
    assert_kept_once(row, over)
    if row.length <= windows.max_length:
        assert len(over) == 1
        return
    assert windows.room(row) == windows.max_length - (shorter + between + 2)
    begin = 1 if lengths[0] == longer else 1 + shorter + between
    text = range(begin, begin + longer)
    others = [token for token in range(row.length) if token not in text]
    for window in over:
        assert len(window.tokens) == windows.max_length
        assert set(others) <= set(window.tokens.tolist())
        assert (np.diff(window.tokens) > 0).all()
    # What stands before the sliding text comes from the first window, what follows from the last.
    assert over[0].end > begin
    assert over[-1].begin < text.stop
    assert_best_context(over, text)


def test_of_two_texts_of_one_length_the_first_slides():
    row = row_of(10, 10)
    for window in Windows(20, 3).over(row):
        assert window.tokens[-12:].tolist() == list(range(11, 23))


def test_one_token_too_many_is_two_windows_that_differ_by_one():
    row = row_of(11)
    one, other = Windows(12, 4).over(row)
    assert one.tokens.tolist() == [0, *range(1, 11), 12]
    assert other.tokens.tolist() == [0, *range(2, 12), 12]
    assert (one.begin, one.end, other.end) == (0, 7, 13)


def test_a_stride_of_none_cuts_the_text_into_pieces():
    over = Windows(7, 0).over(row_of(15))
    assert [window.tokens[1:-1].tolist() for window in over] == [
        [1, 2, 3, 4, 5],
        [6, 7, 8, 9, 10],
        [11, 12, 13, 14, 15],
    ]
    assert [(window.begin, window.end) for window in over] == [(0, 6), (6, 11), (11, 17)]


@pytest.mark.parametrize(("shorter", "room"), [(4, 3), (6, 1), (7, 0), (9, -2)])
def test_a_pair_that_leaves_no_room_to_slide_is_refused(shorter, room):
    row = row_of(20, shorter)
    windows = Windows(10, 3)
    assert windows.room(row) == room
    with pytest.raises(ValueError, match=f"^{room} tokens of a window are left .* 3 shared"):
        windows.over(row)
    if room > 0:
        assert Windows(10, room - 1).over(row)


@pytest.fixture(scope="module")
def encoder(tiny_encoder) -> FrozenEncoder:
    return FrozenEncoder(tiny_encoder, layers=LAYERS, device=CPU)


def states_of(encoder, rows, windows) -> list[dict[int, np.ndarray]]:
    by_row = {
        index: {layer: values.copy() for layer, values in states.items()}
        for index, states in encode_rows(encoder, rows, windows)
    }
    assert sorted(by_row) == list(range(len(rows)))
    return [by_row[index] for index in range(len(rows))]


def expected_of(encoder, row, windows) -> dict[int, np.ndarray]:
    """Each token's states in the window that it is taken from, which is encoded by itself."""
    expected = {layer: np.full((row.length, encoder.width), np.nan, np.float32) for layer in LAYERS}
    for window in windows.over(row):
        tokens = TokenisedRow.bare(row.input_ids[window.tokens], row.segment_ids[window.tokens])
        [(_, alone)] = encoder.encode([tokens])
        for place, token in enumerate(window.tokens.tolist()):
            if window.begin <= token < window.end:
                for layer in LAYERS:
                    expected[layer][token] = alone[layer][place]
    return expected


def assert_same_bits(one, other) -> None:
    for layer in LAYERS:
        assert one[layer].dtype == other[layer].dtype == np.float32
        assert one[layer].tobytes() == other[layer].tobytes()


ROWS = [
    row_of(200, seed=1),
    row_of(5, seed=2),
    row_of(23, seed=3),
    row_of(22, seed=4),
    row_of(0),
    row_of(70, 9, seed=5),
    row_of(6, 40, seed=6),
    row_of(4, 5, seed=7),
    row_of(62, seed=8),
]


@pytest.mark.parametrize(
    "windows", [Windows(24, 8), Windows(24, 0), Windows(24, 11), Windows(64, 32)]
)
def test_every_token_has_the_bits_of_its_window_encoded_alone(encoder, windows):
    for row, states in zip(ROWS, states_of(encoder, ROWS, windows), strict=True):
        assert_same_bits(states, expected_of(encoder, row, windows))


def test_rows_that_fit_have_the_bits_that_the_encoder_gives(encoder):
    rows = [row for row in ROWS if row.length <= 24]
    assert len(rows) > 3
    whole = dict(encoder.encode(rows))
    for index, states in enumerate(states_of(encoder, rows, Windows(24, 8))):
        assert_same_bits(states, whole[index])


def test_bits_do_not_depend_on_the_other_rows(encoder):
    windows = Windows(24, 8)
    together = states_of(encoder, ROWS, windows)
    for row, states in zip(ROWS, together, strict=True):
        assert_same_bits(states, states_of(encoder, [row], windows)[0])
    backwards = states_of(encoder, ROWS[::-1], windows)
    for states, other in zip(together, backwards[::-1], strict=True):
        assert_same_bits(states, other)


def test_without_windows_rows_go_to_the_encoder_as_they_are(encoder, encoded):
    rows = [row for row in ROWS if row.length <= 64]
    whole = dict(encoder.encode(rows))
    encoded.clear()
    for index, states in enumerate(states_of(encoder, rows, None)):
        assert_same_bits(states, whole[index])
    assert encoded == [len(rows)]


def test_all_windows_of_all_rows_go_to_the_encoder_at_once(encoder, encoded):
    windows = Windows(24, 8)
    states_of(encoder, ROWS, windows)
    assert encoded == [sum(len(windows.over(row)) for row in ROWS)]


def test_nothing_to_encode_gives_nothing(encoder):
    assert list(encode_rows(encoder, [], Windows(24, 8))) == []
