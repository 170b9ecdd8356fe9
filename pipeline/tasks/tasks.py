"""What heads and probes can learn, and from which kinds of label."""

from __future__ import annotations

from typing import Literal

Task = Literal[
    "sequence_classification", "multilabel_classification", "regression", "token_classification"
]

LABEL_KINDS: dict[Task, tuple[str, ...]] = {
    "sequence_classification": ("class",),
    "multilabel_classification": ("classes",),
    "regression": ("number",),
    "token_classification": ("tags", "bio"),
}
"""The kinds of prepared label that each task learns."""
