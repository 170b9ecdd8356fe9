"""Hidden states of chosen layers, out of what a model gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from pipeline.encoder.model import LoadedModel


def run_layers(
    loaded: LoadedModel, inputs: dict[str, Any], layers: Sequence[int]
) -> dict[int, Tensor]:
    """Runs a model, and gives its hidden states.

    Args:
        loaded: the model; what lies above the highest of ``layers`` may have been cut off.
        inputs: of its forward pass; ``input_ids`` is (rows, tokens).
        layers: which layers, counted from the start.

    Returns:
        By layer: (rows, tokens, width).

    Raises:
        ValueError: it gives none.
    """
    output = loaded.model(**inputs, output_hidden_states=True)
    if output.hidden_states is None:
        raise ValueError("it gives no hidden states")
    if loaded.model.config.model_type == "canine":
        return {layer: _of_canine(loaded, output, layer) for layer in layers}
    return {layer: output.hidden_states[layer] for layer in layers}


def _of_canine(loaded: LoadedModel, output: Any, layer: int) -> Tensor:
    """(rows, characters, width): a character's state, or that of the four of which it is one.

    CANINE (Clark et al. 2022, section 3) reads characters with a shallow encoder, has its layers
    over every fourth of them, and repeats those before another shallow encoder gives the last
    states. Layer 0 is the embeddings, the last one those states, and between them the deep layers.
    """
    # hidden_states: embeddings, the shallow encoder's output, the input of the deep layers, theirs.
    before_deep = 2
    states: Tensor
    if layer == 0:
        states = output.hidden_states[0]
    elif layer == loaded.depth:
        states = output.last_hidden_state
    else:
        characters = output.last_hidden_state.shape[1]
        deep = output.hidden_states[before_deep + layer]
        states = loaded.model._repeat_molecules(deep, characters)  # noqa: SLF001
    return states
