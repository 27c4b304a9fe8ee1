"""ActNorm: every unit has mean 0 and a standard deviation of 1, in a plain evaluation."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jinit
from jinit.calibrate import DataBatches, actnorm
from tests.calibrate.unit_networks import check_trees, check_units, convolve, dense, draw, mlp

X = 0.5 + 2 * draw(1, 64, 8)
IMAGES = draw(2, 16, 6, 6, 3) + 0.2


@pytest.fixture(autouse=True)
def allow_rank_promotion():
    with jax.numpy_rank_promotion("allow"):
        yield


def slow(value):
    return pytest.param(value, marks=pytest.mark.slow)


def fit(apply, params, data, **options):
    """Trace a function, apply the method, and return its parameters and the report."""
    inputs = data if hasattr(data, "shape") else data[0]
    model = jinit.trace(lambda *args: jax.tree.leaves(apply(*args))[-1], params, inputs)
    return actnorm(model, params, data, **options)


def layers(count, width=16):
    return [dense(i, 8 if i == 0 else width, width) for i in range(count)]


class TestLayers:
    @pytest.mark.slow
    @pytest.mark.parametrize("scale", [0.5, 1.0])
    def test_every_unit_of_a_deep_network(self, scale):
        params, report = fit(mlp, layers(12), X, scale=scale)
        for values in mlp(params, X):
            check_units(values, scale)
        assert report.skipped == {}
        assert report.layers == tuple(f"{i}/w" for i in range(12))
        assert max(report.statistics["std error after"]) < 2e-5
        assert max(report.statistics["mean after"]) < 2e-5
        assert min(report.statistics["std error before"]) > 0.1

    @pytest.mark.slow
    def test_every_channel_of_a_convolutional_network(self):
        params = [{"w": draw(i, 3, 3, 3 if i == 0 else 7, 7), "b": draw(9, 7)} for i in range(3)]

        def apply(params, x):
            values = []
            for layer in params:
                values.append(convolve(x, layer["w"]) + layer["b"])
                x = jax.nn.relu(values[-1])
            return values

        found, _ = fit(apply, params, IMAGES)
        for values in apply(found, IMAGES):
            check_units(values)

    def test_branches_of_a_residual_network(self):
        def apply(params, x):
            values = []
            for first, second in zip(params[::2], params[1::2], strict=True):
                values.append(x @ first["w"] + first["b"])
                values.append(jax.nn.relu(values[-1]) @ second["w"] + second["b"])
                x = x + values[-1]
            return [*values, x]

        params = [dense(i, 8, 8) for i in range(8)]
        found, report = fit(apply, params, X)
        for values in apply(found, X)[:-1]:
            check_units(values)
        assert report.skipped == {}

    def test_iterations_over_stacked_layers(self):
        def apply(params, x):
            def step(h, layer):
                y = h @ layer["w"] + layer["b"]
                return jnp.tanh(y), y

            return jax.lax.scan(step, x, params)[1]

        params, report = fit(apply, dense(3, 5, 8, 8), X)
        check_units(apply(params, X), axes=(0, -1))
        assert report.layers == tuple(f"w[{i}]" for i in range(5))

    def test_members_of_an_ensemble(self):
        apply = jax.vmap(mlp, in_axes=(0, None))
        params = [dense(0, 4, 8, 16), dense(1, 4, 16, 3)]
        found, report = fit(apply, params, X)
        for values in apply(found, X):
            check_units(values, axes=(0, -1))
        assert report.skipped == {}

    @pytest.mark.slow
    def test_members_of_an_ensemble_of_convolutions(self):
        def member(params, x):
            y = convolve(x, params["w"]) + params["b"]
            return [y, convolve(jax.nn.relu(y), params["u"]) + params["c"]]

        params = {"w": draw(0, 4, 3, 3, 3, 5), "u": draw(1, 4, 3, 3, 5, 5)}
        params |= {"b": draw(2, 4, 5), "c": draw(3, 4, 5)}
        apply = jax.vmap(member, in_axes=(0, None))
        found, report = fit(apply, params, IMAGES)
        for values in apply(found, IMAGES):
            check_units(values, axes=(0, -1))
        assert report.skipped == {}

    @pytest.mark.slow
    def test_statistics_of_bfloat16_are_float32(self):
        def apply(params, x):
            params = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params)
            return mlp(params, x.astype(jnp.bfloat16))

        found, _ = fit(apply, layers(3), X)
        for values in apply(found, X):
            check_units(values, tolerance=0.03)

    def test_linen_and_nnx(self):
        class Linen(nn.Module):
            @nn.compact
            def __call__(self, x):
                x = nn.relu(nn.BatchNorm(use_running_average=False)(nn.Conv(4, (3, 3))(x)))
                return nn.Dense(5)(x.reshape(len(x), -1))

        model = jinit.linen.trace(Linen(), IMAGES)
        params = model.init(jax.random.key(0))
        found, report = actnorm(model, params, IMAGES)
        check_units(model.apply(found, IMAGES))
        assert report.skipped == {}
        assert max(report.statistics["std error after"]) < 2e-5
        by_path, before = model.by_path(found), model.by_path(params)
        for leaf in model.leaves:
            if leaf.role == "state" or leaf.is_normalization:
                assert (by_path[leaf.path] == before[leaf.path]).all()

        model = jinit.nnx.trace(lambda rngs: nnx.Linear(8, 5, rngs=rngs), X)
        found, _ = actnorm(model, model.init(jax.random.key(0)), X)
        check_units(model.apply(found, X))


AFFINE = {
    "(x + b) s": lambda p, x: (x + p["b"]) * p["s"],
    "(x - b) s": lambda p, x: (x - p["b"]) * p["s"],
    "(x + b) / s": lambda p, x: (x + p["b"]) / p["s"],
    "s x + b": lambda p, x: p["s"] * x + p["b"],
    "s x - b": lambda p, x: p["s"] * x - p["b"],
    "b - s x": lambda p, x: p["b"] - p["s"] * x,
    "x / s + 2 b": lambda p, x: x / p["s"] + 2 * p["b"],
}


class TestAffineFunctions:
    @pytest.mark.parametrize(
        "form", [form if form in ("(x + b) s", "s x + b") else slow(form) for form in AFFINE]
    )
    def test_one_that_stands_alone(self, form):
        params = {"b": draw(3, 8), "s": -1 - draw(4, 8) ** 2}
        found, report = fit(AFFINE[form], params, X)
        check_units(AFFINE[form](found, X))
        assert (np.sign(found["s"]) == -1).all()
        assert (report.layers, report.skipped) == (("s",), {})

    @pytest.mark.slow
    def test_steps_of_a_flow(self):
        def apply(params, x):
            values = []
            for step in params:
                values.append((x + step["b"]) * step["s"])
                y = values[-1] @ step["w"]
                kept, moved = jnp.split(y, 2, -1)
                x = jnp.concatenate([kept, moved * jax.nn.sigmoid(kept)], -1)
            return [*values, x]

        params = [{"b": draw(i, 3), "s": jnp.ones(3), "w": draw(i, 3, 4)} for i in range(1)]
        params += [{"b": draw(i, 4), "s": jnp.ones(4), "w": draw(i, 4, 4)} for i in range(1, 4)]
        found, _ = fit(apply, params, IMAGES)
        for values in apply(found, IMAGES)[:-1]:
            check_units(values)

    def test_one_after_a_layer_is_set_in_place_of_the_kernel(self):
        def apply(params, x):
            return [(x @ params["w"] + params["b"]) * params["s"] + params["c"]]

        params = {"w": draw(0, 8, 5), "b": draw(1, 5), "s": jnp.ones(5), "c": jnp.ones(5)}
        found, report = fit(apply, params, X)
        check_units(apply(found, X)[0])
        assert (found["w"] == params["w"]).all()
        assert (found["b"] == params["b"]).all()
        assert report.layers == ("w",)

    def test_slopes_of_prelu_keep_their_values(self):
        def apply(params, x):
            y = x @ params["w"] + params["b"]
            return [y, jnp.where(y > 0, y, params["a"] * y)]

        params = dense(0, 8, 5) | {"a": jnp.full(5, 0.1)}
        found, report = fit(apply, params, X)
        check_units(apply(found, X)[0])
        assert (found["a"] == params["a"]).all()
        assert report.layers == ("w",)


class TestData:
    def test_batches_are_pooled(self):
        whole, _ = fit(mlp, layers(3), X)
        parts, _ = fit(mlp, layers(3), [X[:16], X[16:32], X[32:48], X[48:]])
        check_trees(parts, whole, 1e-4)

    @pytest.mark.slow
    def test_a_second_application_changes_nothing(self):
        once, _ = fit(mlp, layers(3), X)
        twice, _ = fit(mlp, once, X)
        check_trees(twice, once, 1e-5)

    @pytest.mark.slow
    def test_a_large_mean_is_removed(self):
        params, _ = fit(mlp, layers(2), 100 + X)
        for values in mlp(params, 100 + X):
            check_units(values, tolerance=1e-3)

    @pytest.mark.slow
    def test_jit_vmap_and_a_loop_agree(self):
        model = jinit.trace(lambda p, x: mlp(p, x)[-1], layers(2), X)
        batches = DataBatches((X[None],), ())

        def find(params, key):
            return actnorm().find(model, params, batches, key)[0]

        stacked = jax.tree.map(lambda leaf: jnp.stack([leaf, 2 * leaf - 0.1]), layers(2))
        keys = jax.random.split(jax.random.key(0), 2)
        together = jax.jit(jax.vmap(find))(stacked, keys)
        for i in range(2):
            alone = find(jax.tree.map(lambda leaf, i=i: leaf[i], stacked), keys[i])
            check_trees(jax.tree.map(lambda leaf, i=i: leaf[i], together), alone, 2e-5)


class TestWhatIsLeftAlone:
    def test_a_dead_unit_keeps_its_scale(self):
        params = layers(2)
        params[0]["w"] = params[0]["w"].at[:, [2, 5]].set(0)
        params[0]["w"] = params[0]["w"].at[:, 5].set(0)
        found, report = fit(mlp, params, X)
        assert report.skipped == {"0/w": "2 of 16 units have no variance, and keep their scale"}
        assert (found[0]["w"][:, 2] == 0).all()
        np.testing.assert_allclose(mlp(found, X)[0][:, 2], 0, atol=1e-6)
        check_units(np.delete(mlp(found, X)[0], [2, 5], 1))
        check_units(mlp(found, X)[1])

    def test_a_layer_without_a_bias_keeps_its_mean(self):
        def apply(params, x):
            return x @ params

        found, report = fit(apply, draw(0, 8, 5), X)
        y = np.asarray(apply(found, X))
        np.testing.assert_allclose(y.std(0), 1, rtol=1e-5)
        assert abs(y.mean(0)).max() > 0.1
        assert report.skipped == {"": "it has no bias, so that its units keep their means"}

    def test_shared_kernels(self):
        def apply(params, x):
            h = jax.lax.scan(lambda h, _: (jnp.tanh(h @ params["r"]), None), x, length=3)[0]
            h = jnp.tanh(h @ params["w"])
            return jnp.tanh(h @ params["w"]) @ params["v"]

        params = {"r": draw(0, 8, 8), "w": draw(1, 8, 8), "v": draw(2, 8, 3)}
        found, report = fit(apply, params, X)
        assert report.skipped["r"] == "it is applied in every step of a recurrence"
        assert report.skipped["w"].startswith("it is applied in several places")
        assert (found["r"] == params["r"]).all()
        assert (found["w"] == params["w"]).all()
        np.testing.assert_allclose(apply(found, X).std(0), 1, rtol=1e-5)

    def test_a_shared_bias(self):
        def apply(params, x):
            return jnp.tanh(x @ params["w"] + params["b"]) @ params["v"] + params["b"]

        params = {"w": draw(0, 8, 8), "v": draw(1, 8, 8), "b": draw(2, 8)}
        found, report = fit(apply, params, X)
        assert (found["b"] == params["b"]).all()
        reason = "its bias b keeps its value: it is applied in several places"
        assert report.skipped == {"w": reason, "v": reason}

    def test_low_rank_updates(self):
        def apply(params, x):
            return x @ (params["w"] + params["a"] @ params["c"])

        params = {"w": draw(0, 8, 8), "a": draw(1, 8, 2), "c": draw(2, 2, 8)}
        found, report = fit(apply, params, X)
        check_trees(found, params, 0)
        assert set(report.skipped.values()) == {"it is applied together with other kernels"}


@pytest.mark.parametrize("scale", [0, -1, float("nan"), "one", True])
def test_a_scale_that_cannot_work(scale):
    with pytest.raises(ValueError, match=r"actnorm: scale=.*, expected a number above 0"):
        actnorm(scale=scale)


def test_the_method_is_a_value():
    assert repr(actnorm(scale=0.5)) == "actnorm(scale=0.5)"
    assert actnorm() == actnorm(init="orthogonal")
