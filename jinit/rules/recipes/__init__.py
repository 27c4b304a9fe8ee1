"""Published initializations of whole networks, as tuples of rules for any model.

Rules select parameters by their role, not by their name. A kernel that ends a residual branch, for
example, is the one that papers call `c_proj`, `fc2` or `out_proj`.
"""

from jinit.rules.recipes.coordinates import CoordinateCheck, coordinate_check
from jinit.rules.recipes.depth_scaled import (
    deepnorm,
    deepnorm_encoder_decoder,
    sub_ln,
    sub_ln_encoder_decoder,
    t_fixup,
)
from jinit.rules.recipes.everywhere import everywhere
from jinit.rules.recipes.frameworks import equinox, haiku, keras, pytorch
from jinit.rules.recipes.mimetic import mimetic
from jinit.rules.recipes.mup import mup, mup_multipliers, scale_by_mup
from jinit.rules.recipes.residual import fixup, gated_branches, zero_branches
from jinit.rules.recipes.transformers import (
    full_megatron,
    gpt2,
    megatron,
    mitchell,
    modded_nanogpt,
    small_init_wang,
    switch_transformer,
    t5,
)
from jinit.rules.recipes.vision import beit, vit_jax, vit_moco, vit_timm

__all__ = [
    "CoordinateCheck",
    "beit",
    "coordinate_check",
    "deepnorm",
    "deepnorm_encoder_decoder",
    "equinox",
    "everywhere",
    "fixup",
    "full_megatron",
    "gated_branches",
    "gpt2",
    "haiku",
    "keras",
    "megatron",
    "mimetic",
    "mitchell",
    "modded_nanogpt",
    "mup",
    "mup_multipliers",
    "pytorch",
    "scale_by_mup",
    "small_init_wang",
    "sub_ln",
    "sub_ln_encoder_decoder",
    "switch_transformer",
    "t5",
    "t_fixup",
    "vit_jax",
    "vit_moco",
    "vit_timm",
    "zero_branches",
]
