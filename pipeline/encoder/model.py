"""Loading of an encoder for chosen layers, and the check that it is one that can be cached.

What a model can do is asked of the model, not looked up by its name: whether attention goes
through transformers' interface, where positions start, whether there are segments. What is learned
in this way is then tried out: a few rows are run through the model as transformers runs it, one at
a time, and through the forward pass that extraction uses, and both must agree. Of a model with an
encoder and a decoder, as T5 is, the encoder is loaded.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipeline.core.command import explain
from pipeline.core.errors import EncoderError
from pipeline.encoder import attention
from pipeline.encoder.inspection import require_loadable
from pipeline.encoder.quiet import quiet_transformers
from pipeline.encoder.tokenise import RowTokenizer
from pipeline.encoder.weights import no_larger_than, weight_sizes


@dataclass(frozen=True)
class LoadedModel:
    """A model and what its forward pass takes.

    Attributes:
        model: in inference mode, float32, on the CPU.
        depth: its layers, before any was cut off.
        width: of a hidden state.
        positions: most tokens of a row.
        padding: id of the padding token.
        counts_from_padding: whether positions start one after the id of the padding token and pass
            over it, as RoBERTa's do, and not at 0.
        packs: whether attention goes through transformers' interface, and no part of the model
            looks at a whole batch at once.
        decodes: whether it is a decoder, whose tokens see those before them only.
        shortest: fewest tokens that it computes states of.
        segments: whether tokens of the second text of a pair are told apart.
    """

    model: Any
    depth: int
    width: int
    positions: int
    padding: int
    counts_from_padding: bool
    packs: bool
    decodes: bool
    shortest: int
    segments: bool


def load_model(folder: Path, *, trust_remote_code: bool = False) -> LoadedModel:
    """Loads a materialised encoder, with transformers' own attention.

    Raises:
        EncoderError: it cannot be loaded, lacks weights, or has code that may not run.
    """
    snapshot = require_loadable(folder, trust_remote_code=trust_remote_code)
    trusted = snapshot.has_code
    # Code that is trusted may make buffers of any size.
    bound = nullcontext() if trusted else no_larger_than(weight_sizes(snapshot), folder)
    with quiet_transformers():
        from transformers import AutoConfig
        from transformers.dynamic_module_utils import get_class_from_dynamic_module

        try:
            config = AutoConfig.from_pretrained(
                folder, local_files_only=True, trust_remote_code=trusted
            )
            own = getattr(config, "auto_map", {}).get("AutoModel") if trusted else None
            # AutoModel would give the class that it loaded first, whatever has changed since.
            model_class = get_class_from_dynamic_module(own, folder) if own else class_of(config)
            with bound:
                model, info = model_class.from_pretrained(
                    folder,
                    config=config,
                    local_files_only=True,
                    trust_remote_code=trusted,
                    use_safetensors=True,
                    dtype=torch.float32,
                    output_loading_info=True,
                )
        except Exception as error:  # transformers and a model's own code raise anything
            if explain(error) is not None:
                raise
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            if not trusted and "trust_remote_code" in str(error):
                reason = "it needs Python code of its own; read it, and set trust_remote_code: true"
            raise EncoderError(f"{folder}: cannot be loaded: {reason}") from error
    missing = sorted(name for name in info["missing_keys"] if not name.startswith("pooler"))
    if missing:
        raise EncoderError(
            f"{folder}: its weights lack {len(missing)} of the model's tensors, "
            f"{missing[0]} among them; they would be random"
        )
    if getattr(config, "is_encoder_decoder", False) and hasattr(model, "get_encoder"):
        model = model.get_encoder()
    model.eval().requires_grad_(False)
    # What a decoder keeps of a text, to go on writing it, would fill the memory.
    model.config.use_cache = False
    takes = inspect.signature(model.forward).parameters
    padding = getattr(config, "pad_token_id", None)
    offset, counted = _counted_positions(model)
    return LoadedModel(
        model=model,
        depth=snapshot.depth,
        width=snapshot.width,
        positions=snapshot.longest_row() if counted is None else counted,
        padding=offset if offset is not None else int(padding or 0),
        counts_from_padding=offset is not None,
        packs=bool(model.is_backend_compatible())
        and "position_ids" in takes
        and not getattr(config, "token_dropout", False),
        decodes=_decodes(config),
        shortest=int(getattr(config, "downsampling_rate", 1) or 1),
        segments="token_type_ids" in takes
        and int(getattr(config, "type_vocab_size", 0) or 0) > 1
        and RowTokenizer(
            folder, max_length=None, trust_remote_code=trust_remote_code
        ).tells_texts_apart,
    )


def keep_layers(loaded: LoadedModel, layers: Sequence[int], folder: Path) -> None:
    """Cuts off what lies above the highest of ``layers``, and leaves their values as they were.

    Raises:
        EncoderError: the layers cannot be told from the rest of the model.
    """
    model, config = loaded.model, loaded.model.config
    # transformers reads hidden state 0 where layer 1 begins, so one layer stays.
    kept = max(1, layers[-1])
    if config.model_type == "albert":
        _unroll_albert(model, kept, folder)
    else:
        _cut_layers(model, loaded.depth, kept, folder)
    if getattr(model, "pooler", None) is not None:
        model.pooler = None
    # The last hidden state is that after the final norm, where there is one; no other layer's is.
    config.tie_last_hidden_states = kept == loaded.depth


def class_of(config: Any) -> Any:
    """The class of transformers that a model is loaded with: of T5, that of its encoder."""
    from transformers import AutoModel, AutoModelForTextEncoding
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES,
        MODEL_MAPPING_NAMES,
    )

    kind = config.model_type
    encoder = MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES.get(kind)
    if encoder is None or encoder == MODEL_MAPPING_NAMES.get(kind):
        return AutoModel
    return AutoModelForTextEncoding


def use_packed_attention(loaded: LoadedModel) -> Callable[[], None]:
    """Has the model's attention look at rows, where they lie end to end.

    Returns:
        What gives it back the attention that it had.
    """
    attention.register()
    before = loaded.model.config._attn_implementation  # noqa: SLF001  (it has no other name)
    loaded.model.set_attn_implementation(attention.NAME)
    return lambda: loaded.model.set_attn_implementation(before)


def _decodes(config: Any) -> bool:
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    )

    kind = config.model_type
    decoder_only = (
        kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and kind not in MODEL_FOR_MASKED_LM_MAPPING_NAMES
    )
    return bool(getattr(config, "is_decoder", False)) or decoder_only


def _counted_positions(model: nn.Module) -> tuple[int, int] | tuple[None, None]:
    """The id of the padding token where positions are counted from it, and how many there are."""
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            padding = module.padding_idx
            if padding is not None:
                return padding, module.num_embeddings - padding - 1
            break
    return None, None


def _cut_layers(model: Any, depth: int, kept: int, folder: Path) -> None:
    """Leaves the first layers in the list of them, or in the lists of their parts, as XLM has."""
    for parent in model.modules():
        lists = [
            (name, child)
            for name, child in parent.named_children()
            if isinstance(child, nn.ModuleList) and len(child) == depth
        ]
        for name, child in lists:
            setattr(parent, name, child[:kept])
        if lists:
            if getattr(parent, "n_layers", None) == depth:
                parent.n_layers = kept
            return
    raise EncoderError(
        f"{folder}: its type {model.config.model_type!r} keeps its layers in no list, "
        "and cannot be cut off at one"
    )


def _unroll_albert(model: Any, kept: int, folder: Path) -> None:
    """Lists the layers of an ALBERT one by one: groups of layers share one set of weights."""
    config, encoder = model.config, model.encoder
    if config.inner_group_num != 1:
        raise EncoderError(f"{folder}: an ALBERT with several layers in a group is not supported")
    layers_of_group = config.num_hidden_layers / config.num_hidden_groups
    encoder.albert_layer_groups = nn.ModuleList(
        encoder.albert_layer_groups[int(layer / layers_of_group)] for layer in range(kept)
    )
    config.num_hidden_layers = config.num_hidden_groups = kept
