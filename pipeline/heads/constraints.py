"""Constraints of tagging schemes: which label may begin a sequence, follow another and end it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.corpus.schemes import OUTSIDE, PREFIXES
from pipeline.tasks.label_type import IGNORE

_PREFIXES = {"bio": PREFIXES["iob2"], "bioes": PREFIXES["bioes"]}


@dataclass(frozen=True)
class Constraints:
    """Allowed starts, transitions and ends; everything else has probability zero.

    Attributes:
        starts: (labels,) bool, whether a sequence may begin with a label.
        transitions: (labels, labels) bool, ``[a, b]``: whether b may follow a.
        ends: (labels,) bool, whether a sequence may end with a label.
    """

    starts: npt.NDArray[np.bool_]
    transitions: npt.NDArray[np.bool_]
    ends: npt.NDArray[np.bool_]

    def __post_init__(self) -> None:
        """Checks that sequences of every length are allowed.

        Raises:
            ValueError: those of some length are not.
        """
        reached, seen = self.starts, set()
        # The labels at the next word follow from those at this one: a set seen before closes a
        # cycle, and nothing new can come.
        while reached.tobytes() not in seen:
            seen.add(reached.tobytes())
            if not (reached & self.ends).any():
                raise ValueError(f"no sequence of {len(seen)} words is allowed")
            reached = self.followers(reached)

    def followers(self, labels: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """(labels,) bool: what may follow any of some labels, given as (labels,) bool."""
        return np.asarray(self.transitions[labels].any(0))


def everything_allowed(labels: int) -> Constraints:
    """No rules for a number of labels."""
    return Constraints(
        np.ones(labels, bool), np.ones((labels, labels), bool), np.ones(labels, bool)
    )


def allowed_sequences(names: Sequence[str], scheme: str | None) -> Constraints | None:
    """The rules of a scheme for a set of labels; ``None``, no rules, for plain tags.

    In ``bio`` an ``I-x`` follows a ``B-x`` or an ``I-x``. In ``bioes`` so does an ``E-x``, and
    after ``B-x`` and ``I-x`` comes an ``I-x`` or an ``E-x``.

    A rule that labels cannot keep, because its other half is not among them, does not hold: where
    there is no ``B-x``, any label may come before ``I-x``; where there is no ``E-x``, any may come
    after ``B-x``. If then no label can stand alone (neither ``O`` nor an ``S-``), a sequence may
    begin and end with any, or some lengths would have no sequence at all.

    Raises:
        ValueError: there are no labels, or one is not a tag of the scheme.
    """
    check_tags(names, scheme)
    if scheme is None:
        return None
    if not names:
        raise ValueError("there are no labels")
    known = set(names)
    prefix = np.array([name[0] for name in names])
    kind = np.array([name[2:] for name in names], object)
    closed = np.array([f"E-{name[2:]}" in known for name in names])
    opened = np.array([f"B-{name[2:]}" in known for name in names])

    holds = np.isin(prefix, ["B", "I"])
    inside = np.isin(prefix, ["I", "E"])
    must_end = holds & closed & (scheme == "bioes")
    must_begin = inside & opened
    goes_on = (holds[:, None] & inside) & (kind[:, None] == kind)
    starts, ends = ~must_begin, ~must_end
    if not (starts & ends).any():
        starts, ends = np.ones_like(starts), np.ones_like(ends)
    return Constraints(starts, goes_on | (~must_end[:, None] & ~must_begin), ends)


def check_tags(names: Sequence[str], scheme: str | None) -> None:
    """Checks that labels are tags of a scheme; plain tags may be anything.

    Raises:
        ValueError: one is not.
    """
    if scheme is None:
        return
    prefixes = _PREFIXES[scheme]
    for name in names:
        if name != OUTSIDE and not (name[:1] in prefixes and name[1:2] == "-" and name[2:]):
            raise ValueError(f"{name!r} is not a tag of the scheme {scheme}")


def possible_tags(
    tags: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64], constraints: Constraints
) -> npt.NDArray[np.int64]:
    """Gold labels of a batch, ``IGNORE`` where they cannot be; mostly the same array.

    Args:
        tags: (words,) the labels of all sequences, ``IGNORE`` where unknown.
        lengths: words of each sequence, each at least 1.
        constraints: the rules.
    """
    ends = np.cumsum(lengths)
    first, last = ends - lengths, ends - 1
    known, at = tags != IGNORE, np.maximum(tags, 0)
    fits = np.ones_like(known)
    fits[1:] = constraints.transitions[at[:-1], at[1:]]
    fits[first] = constraints.starts[at[first]]
    fits[last] &= constraints.ends[at[last]]
    # What is beside an unknown label may be impossible too, but not by a rule on two labels.
    doubtful = np.flatnonzero(~(fits & known))
    if not len(doubtful):
        return tags
    tags = tags.copy()
    for sequence in np.unique(np.searchsorted(ends, doubtful, side="right")):
        part = slice(first[sequence], ends[sequence])
        tags[part] = forget_impossible(tags[part], constraints)
    return tags


def forget_impossible(
    tags: npt.NDArray[np.int64], constraints: Constraints
) -> npt.NDArray[np.int64]:
    """Gold labels with ``IGNORE`` in place of those that the rules do not allow where they stand.

    Words that truncation cut out of the middle of a text leave such places: ``O I-x`` where the
    ``B-x`` in between is missing. Nothing is known then but that the rest of the sequence is
    right. So the later label of the two is taken as unknown, and where that leaves no allowed
    sequence, labels before it too, the nearest first.

    Args:
        tags: (words,) the labels of one sequence, ``IGNORE`` where unknown.
        constraints: the rules.
    """
    tags = tags.copy()
    while True:
        reached = constraints.starts
        for position, tag in enumerate(tags):
            if tag != IGNORE and not reached[tag]:
                tags[position] = IGNORE
            known = tags[position] != IGNORE
            here = reached & (np.arange(len(reached)) == tag) if known else reached
            last = position == len(tags) - 1
            reached = here & constraints.ends if last else constraints.followers(here)
            if not reached.any():
                tags[np.flatnonzero(tags[: position + 1] != IGNORE)[-1]] = IGNORE
                break
        else:
            return tags
