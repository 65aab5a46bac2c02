"""Attention rollout: which places of a film a vision transformer looked at (Abnar and Zuidema 2020,
arXiv 2005.00928).

It follows attention alone: it does not know which answer is asked about, and the map is the same
for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn


def attention_rollout(attentions: Sequence[Tensor]) -> Tensor:
    """How much of each input token is in each output token, `(tokens, tokens)`, rows sum to 1.

    attentions: of each layer, the first first, `(heads, tokens, tokens)` with rows that sum to 1.
    The heads' mean and the identity (the residual connection) weigh the same.
    """
    import torch

    identity = torch.eye(attentions[0].shape[-1])
    joint = identity
    for layer in attentions:
        joint = (layer.float().mean(0) + identity) / 2 @ joint
    return joint


def is_transformer(encoder: nn.Module) -> bool:
    """Whether a network of timm is a plain vision transformer: one grid of tokens throughout."""
    return hasattr(encoder, "num_prefix_tokens") and hasattr(encoder, "patch_embed")


def rollout_map(network: nn.Module, encoder: Any, film: Tensor) -> Tensor:
    """The rollout of a film `(1, 1, y, x)` on the grid of patches, `(rows, columns)` in 0..1.

    network: what is run; encoder: the transformer in it. From the class token where the answer is
    read from it, otherwise the mean over the patches.
    """
    import torch

    attentions: list[Tensor] = []

    def keep(module: Any, inputs: Any, output: Tensor) -> None:
        attentions.append(output[0].detach())

    layers = [m for m in encoder.modules() if hasattr(m, "fused_attn") and hasattr(m, "attn_drop")]
    fused = [layer.fused_attn for layer in layers]
    hooks = [layer.attn_drop.register_forward_hook(keep) for layer in layers]
    try:
        for layer in layers:  # a fused kernel never holds the attention
            layer.fused_attn = False
        with torch.inference_mode():
            network(film)
    finally:
        for hook in hooks:
            hook.remove()
        for layer, was in zip(layers, fused, strict=True):
            layer.fused_attn = was
    joint = attention_rollout(attentions)
    prefix = int(encoder.num_prefix_tokens)
    from_class = prefix > 0 and getattr(encoder, "global_pool", "token") == "token"
    row = joint[0] if from_class else joint[prefix:].mean(0)
    heat = row[prefix:].reshape(encoder.patch_embed.grid_size)
    low, high = heat.min(), heat.max()
    return (heat - low) / (high - low).clamp(min=1e-12)
