"""Weight-normalized layers: every unit has mean 0 and unit variance, kernels keep directions."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jinit
from jinit.calibrate import actnorm, weight_norm
from tests.calibrate.unit_networks import check_trees, check_units, convolve, draw

X = 0.5 + 2 * draw(1, 64, 8)
IMAGES = draw(2, 16, 6, 6, 3) + 0.2


@pytest.fixture(autouse=True)
def allow_rank_promotion():
    with jax.numpy_rank_promotion("allow"):
        yield


def inside(layer, x):
    """Return g (v / |v|) x + b with the scale in the kernel."""
    return x @ (layer["g"] * layer["v"] / jnp.linalg.norm(layer["v"], axis=0)) + layer["b"]


def outside(layer, x):
    """Return the same with the scale after the product."""
    return layer["g"] * (x @ (layer["v"] / jnp.linalg.norm(layer["v"], axis=0))) + layer["b"]


def network(apply_layer):
    def apply(params, x):
        values = []
        for layer in params:
            values.append(apply_layer(layer, x))
            x = jax.nn.relu(values[-1])
        return values

    return apply


def layers(count, width=16):
    return [
        {
            "v": draw(i, 8 if i == 0 else width, width),
            "g": 1 + draw(i, width) ** 2,
            "b": draw(9, width),
        }
        for i in range(count)
    ]


def fit(apply, params, data, method=weight_norm, **options):
    inputs = data if hasattr(data, "shape") else data[0]
    model = jinit.trace(lambda *args: jax.tree.leaves(apply(*args))[-1], params, inputs)
    return method(model, params, data, **options)


@pytest.mark.few(1)
@pytest.mark.parametrize("apply_layer", [inside, outside])
@pytest.mark.parametrize("method", [weight_norm, actnorm])
def test_every_unit_of_a_deep_network(apply_layer, method):
    apply, params = network(apply_layer), layers(4)
    found, report = fit(apply, params, X, method, scale=0.5)
    for values in apply(found, X):
        check_units(values, 0.5)
    for layer, before in zip(found, params, strict=True):
        assert (layer["v"] == before["v"]).all()
    assert report.layers == tuple(f"{i}/v" for i in range(4))
    assert report.skipped == {}


def test_channels_and_pooled_batches():
    def apply(params, x):
        norm = jnp.sqrt(jnp.sum(params["v"] ** 2, (0, 1, 2)))
        y = convolve(x, params["g"] * params["v"] / norm) + params["b"]
        return [y, jax.nn.relu(y).mean((1, 2)) @ params["w"]]

    params = {"v": draw(0, 3, 3, 3, 7), "g": jnp.ones(7), "b": jnp.zeros(7), "w": draw(1, 7, 2)}
    found, report = fit(apply, params, [IMAGES[:8], IMAGES[8:]])
    check_units(apply(found, IMAGES)[0])
    assert report.skipped == {"w": "it is not weight-normalized"}
    assert (found["w"] == params["w"]).all()
    again, _ = fit(apply, found, IMAGES)
    check_trees(again, found, 1e-5)


def test_linen():
    class Network(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.relu(nn.WeightNorm(nn.Conv(6, (3, 3)))(x))
            return nn.WeightNorm(nn.Dense(3))(x.reshape(len(x), -1))

    model = jinit.linen.trace(Network(), IMAGES)
    found, report = weight_norm(model, model.init(jax.random.key(0)), IMAGES)
    check_units(model.apply(found, IMAGES))
    assert report.skipped == {}
    assert max(report.statistics["std error after"]) < 2e-5


def test_nnx():
    """Older versions of NNX keep the scales of WeightNorm as state, which is not trained."""

    class Network(nnx.Module):
        def __init__(self, rngs):
            self.layer = nnx.WeightNorm(nnx.Linear(8, 5, rngs=rngs), rngs=rngs)

        def __call__(self, x):
            return self.layer(x)

    class ByHand(nnx.Module):
        def __init__(self, rngs):
            self.v = nnx.Param(jax.random.normal(rngs.params(), (8, 5)))
            self.g, self.b = nnx.Param(jnp.ones(5)), nnx.Param(jnp.zeros(5))

        def __call__(self, x):
            return inside({name: getattr(self, name)[...] for name in "vgb"}, x)

    model = jinit.nnx.trace(lambda rngs: Network(rngs), X)
    params = model.init(jax.random.key(0))
    found, report = weight_norm(model, params, X)
    if report.skipped:
        check_trees(found, params, 0)
        reason = "weight normalization removes its scale"
        assert report.skipped == {"layer/layer_instance/kernel": reason}
        assert any("scale" in path for path in model.untrained_paths)
    else:
        check_units(model.apply(found, X))

    model = jinit.nnx.trace(lambda rngs: ByHand(rngs), X)
    found, report = weight_norm(model, model.init(jax.random.key(0)), X)
    check_units(model.apply(found, X))
    assert report.skipped == {}


def test_one_scale_for_all_units():
    def apply(params, x):
        return x @ (params["g"] * params["v"] / jnp.linalg.norm(params["v"]))

    found, report = fit(apply, {"g": jnp.ones(()), "v": draw(0, 8, 4)}, X)
    assert float(found["g"]) == 1
    assert report.skipped == {"v": "its scale g does not have one entry for each unit"}


def test_a_dead_unit_is_named():
    params = layers(1)
    data = np.array(X)
    data[:, 1:] = 1
    params[0]["v"] = params[0]["v"].at[0, 3].set(0)
    found, report = fit(network(inside), params, jnp.asarray(data))
    assert report.skipped == {"0/v": "1 of 16 units has no variance, and keeps its scale"}
    np.testing.assert_allclose(found[0]["g"][3], params[0]["g"][3])


def test_a_scale_that_cannot_work():
    with pytest.raises(ValueError, match="weight_norm: scale=0, expected a number above 0"):
        weight_norm(scale=0)
