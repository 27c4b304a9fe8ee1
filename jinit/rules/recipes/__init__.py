"""Published ways to start a whole network, as tuples of rules for any model.

They go by what parameters do, not by what they are called: a kernel that ends a residual branch is
the one that papers call `c_proj`, `fc2` or `out_proj`.
"""

from jinit.rules.recipes.deep import deepnorm
from jinit.rules.recipes.everywhere import everywhere
from jinit.rules.recipes.frameworks import haiku, keras, pytorch
from jinit.rules.recipes.residual import zero_branches
from jinit.rules.recipes.transformers import gpt2, small_init_wang, t5
from jinit.rules.recipes.vision import vit_jax, vit_timm

__all__ = [
    "deepnorm",
    "everywhere",
    "gpt2",
    "haiku",
    "keras",
    "pytorch",
    "small_init_wang",
    "t5",
    "vit_jax",
    "vit_timm",
    "zero_branches",
]
