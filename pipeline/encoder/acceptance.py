"""Acceptance of an encoder: whatever passes, extraction can read."""

from __future__ import annotations

from pathlib import Path

from pipeline.encoder.inspection import require_loadable
from pipeline.encoder.tokenise import RowTokenizer


def require_usable(folder: Path, *, trust_remote_code: bool) -> None:
    """Loads a materialised encoder with all its layers, and its tokenizer, and tries them out.

    On the CPU, in float32, whatever computes later: as every extraction begins.

    Raises:
        EncoderError: it cannot be read, for ``RowTokenizer``'s reasons or ``FrozenEncoder``'s.
    """
    import torch

    from pipeline.encoder.forward import FrozenEncoder

    snapshot = require_loadable(folder, trust_remote_code=trust_remote_code)
    RowTokenizer(folder, max_length=None, trust_remote_code=trust_remote_code)
    FrozenEncoder(
        folder,
        layers=range(snapshot.depth + 1),
        device=torch.device("cpu"),
        trust_remote_code=trust_remote_code,
    )
