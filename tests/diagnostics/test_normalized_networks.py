"""Networks with normalizations: linear growth is healthy, and cures name what sets the size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arrays import normals
from diagnostics.taking import heal
from flax import linen as nn
from jax.nn import gelu, relu

import jinit
from jinit import diagnose

WIDTH, DEPTH = 32, 4
X, LABELS = normals(7, (64, WIDTH)), jnp.arange(64) % 10
EDGES = np.asarray(jax.random.uniform(jax.random.key(3), (64, 64)) < 0.1, np.float32) + np.eye(64)
ADJACENCY = jnp.asarray(EDGES / np.sqrt((EDGES**2).sum(1, keepdims=True)), jnp.float32)


def normalize(axis):
    def apply(p, name, h):
        centered = h - h.mean(axis, keepdims=True)
        h = centered * jax.lax.rsqrt((centered**2).mean(axis, keepdims=True) + 1e-5)
        return h * p[f"{name}_scale"][None] + p[f"{name}_bias"][None]

    return apply


batch_norm, layer_norm = normalize(0), normalize(-1)
BLOCKS = {
    "plain": lambda p, h: relu(batch_norm(p, "n", h @ p["w"])),
    "residual": lambda p, h: h + batch_norm(p, "m", relu(batch_norm(p, "n", h @ p["w"])) @ p["v"]),
    # All shortcuts but the first are normalized, as between the stages of a ResNet.
    "projected": lambda p, h: relu(
        batch_norm(p, "s", h @ p["u"]) + batch_norm(p, "m", relu(h @ p["w"]) @ p["v"])
    ),
    "pre-norm": lambda p, h: h + gelu(layer_norm(p, "n", h) @ p["w"]) @ p["v"] / 4,
    "branch norm": lambda p, h: h + layer_norm(p, "n", gelu(h @ p["w"]) @ p["v"]),
    "graph": lambda p, h: relu(batch_norm(p, "n", ADJACENCY @ (h @ p["w"]))),
}


def network(name, depth=DEPTH):
    def apply(params, x):
        h = x @ params["stem"]
        for number, p in enumerate(params["blocks"]):
            is_first_stage = name == "projected" and number == 0
            h = BLOCKS["residual" if is_first_stage else name](p, h)
        return h @ params["head"]

    def draw(key):
        kernels = {
            kernel: normals(jax.random.fold_in(key, ord(kernel)), (WIDTH, WIDTH))
            * (gain / WIDTH) ** 0.5
            for kernel, gain in {"u": 1.0, "w": 2.0, "v": 1.0}.items()
        }
        scales = {f"{norm}_scale": jnp.ones(WIDTH) for norm in "nms"}
        return kernels | scales | {f"{norm}_bias": jnp.zeros(WIDTH) for norm in "nms"}

    key = jax.random.key(0)
    params = {
        "stem": normals(1, (WIDTH, WIDTH)) / WIDTH**0.5,
        "blocks": [draw(jax.random.fold_in(key, n)) for n in range(depth)],
        "head": normals(2, (WIDTH, 10)) / WIDTH**0.5,
    }
    return jinit.trace(apply, params, X), params


def change(params, ending, function, places=range(DEPTH)):
    blocks = [
        {
            path: function(leaf) if number in places and path.endswith(ending) else leaf
            for path, leaf in p.items()
        }
        for number, p in enumerate(params["blocks"])
    ]
    return params | {"blocks": blocks}


@pytest.mark.parametrize("stem", [0.15, pytest.param(1.0, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["projected", pytest.param("residual", marks=pytest.mark.slow)])
def test_branches_that_end_in_a_normalization_do_not_explode(name, stem):
    model, params = network(name, 8)
    diagnosis = diagnose(model, params | {"stem": stem * params["stem"]}, X, LABELS)
    assert not [each.cause for each in diagnosis.faults if each.verdict == "exploding"]


@pytest.mark.slow
@pytest.mark.parametrize("shortcut", ["pool", "projection"])
@pytest.mark.parametrize("stem", [0.01, 0.1])
def test_a_small_stem_is_no_explosion_of_the_stages_after_it(shortcut, stem):
    class ResNet(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.Conv(16, (3, 3), kernel_init=jinit.normal(stem / 27**0.5))(x)
            for width in (16, 16, 32, 32, 64, 64):
                y = nn.relu(self.norm(nn.Conv(width, (3, 3), use_bias=False)(x)))
                y = self.norm(nn.Conv(width, (3, 3), use_bias=False)(y))
                if width != x.shape[-1] and shortcut == "pool":
                    x = jnp.concatenate([x, jnp.zeros_like(x)], -1)
                elif width != x.shape[-1]:
                    x = self.norm(nn.Conv(width, (1, 1), use_bias=False)(x))
                x = nn.relu(x + y)
            return nn.Dense(10)(x.mean((1, 2)))

        def norm(self, h):
            return nn.BatchNorm(use_running_average=False)(h)

    x = normals(1, (16, 8, 8, 3))
    model = jinit.linen.trace(ResNet(), x)
    diagnosis = diagnose(model, model.init(jax.random.key(0)), x, jnp.arange(16) % 10)
    faults = {each.path: each.verdict for each in diagnosis.faults}
    assert faults == ({"params/Conv_0/kernel": "vanishing"} if stem == 0.01 else {})


FAULTS = {
    "large scales": ("_scale", lambda leaf: 50 * leaf),
    "small scales": ("_scale", lambda leaf: leaf / 100),
    "large biases": ("_bias", lambda leaf: leaf + 20),
    "negative biases": ("_bias", lambda leaf: leaf - 20),
    "large kernels": ("w", lambda leaf: 100 * leaf),
    "small kernels": ("w", lambda leaf: leaf / 200),
    "mean": ("w", lambda leaf: leaf + 1),
}
# The sum with an exploding branch is named after the wrong layers, so that no cure can be taken.
LEFT_OUT = {("residual", "large scales")}
FAST = {("plain", "large scales"), ("pre-norm", "large scales")}


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        pytest.param(*case, marks=() if case in FAST else pytest.mark.slow)
        for case in ((name, fault) for name in BLOCKS for fault in FAULTS)
        if case not in LEFT_OUT
    ],
)
def test_cures_change_what_they_claim_to_change(name, fault):
    """One block is at fault, and what is blamed, drawn as the cure says, heals the network."""
    model, params = network(name)
    params = change(params, *FAULTS[fault], places=[1])
    diagnoses = heal(model, params, X, LABELS, steps=DEPTH)
    assert not [(each.path, each.cause, each.cure) for each in diagnoses[-1].faults]


@pytest.mark.parametrize("name", ["graph", pytest.param("plain", marks=pytest.mark.slow)])
@pytest.mark.parametrize("factor", [0.25, 4.0])
def test_kernels_before_a_normalization_may_have_any_scale(name, factor):
    """Even if constants, such as an adjacency matrix, lie between the two."""
    model, params = network(name, 8)
    params = change(params, "w", lambda leaf: factor * leaf, places=range(8))
    assert diagnose(model, params, X, LABELS).verdict == "stable"


def test_the_scale_of_the_normalization_after_a_kernel_is_known():
    model, _ = network("residual", 2)
    found = {leaf.path: leaf.rescaled_by for leaf in model.leaves if leaf.rescaled_by}
    assert found == {
        f"blocks/{n}/{kernel}": f"blocks/{n}/{norm}_scale"
        for n in range(2)
        for kernel, norm in ("wn", "vm")
    }
