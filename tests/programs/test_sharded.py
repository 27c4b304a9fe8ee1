"""Models that are sharded over devices: memory by XLA's own analysis, and values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from architectures.gpt2 import Config, LinenGPT2
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jinit
from jinit import recipes
from jinit.programs import count_compilations
from jinit.programs.calls import Call, compile_call
from jinit.programs.parameters import parameter_draws

KEY = jax.random.key(0)
TOKENS = jax.ShapeDtypeStruct((1, 8), jnp.int32)
LARGE = Config(width=2048, heads=16, layers=18, tied=False)
SMALL = Config(vocabulary=97, positions=16, width=64, heads=4, layers=2, tied=False)


def eight_shards(model):
    """Return shardings of every parameter over eight devices, along its last axis that divides."""
    mesh = jax.make_mesh((8,), ("x",), axis_types=(AxisType.Auto,))

    def sharding(leaf):
        sharded = [axis for axis, size in enumerate(leaf.shape) if size % 8 == 0][-1:]
        names = ["x" if axis in sharded else None for axis in range(len(leaf.shape))]
        return NamedSharding(mesh, PartitionSpec(*names))

    return jax.tree.map(sharding, model.params)


@pytest.mark.parametrize(
    "rules",
    [pytest.param(None, marks=pytest.mark.slow), recipes.gpt2(18)],
    ids=["own", "gpt2"],
)
def test_a_billion_parameters_need_the_memory_of_their_shards_and_a_tenth(rules):
    model = jinit.linen.trace(LinenGPT2(LARGE), TOKENS)
    leaves = jax.tree.leaves(model.params)
    assert 1e9 < sum(leaf.size for leaf in leaves) < 1.2e9
    initializers = {} if rules is None else jinit.plan(model, rules).initializers_by_path
    avals = dict(zip(model.paths, leaves, strict=True))
    shardings = dict(zip(model.paths, jax.tree.leaves(eight_shards(model)), strict=True))
    ratios = {}
    for draw in parameter_draws(model, KEY, initializers, avals, shardings):
        call = draw.make_call()
        if isinstance(call, Call):
            memory = compile_call(call).result().memory_analysis()
            shard = 4 * np.prod(draw.sharding.shard_shape(draw.aval.shape))
            used = memory.temp_size_in_bytes + memory.output_size_in_bytes
            ratios[call.program] = used / shard
    assert 3 <= len(ratios) < 12
    assert max(ratios.values()) < 1.1


@pytest.mark.few(1)
@pytest.mark.parametrize("rules", [None, recipes.gpt2(2)], ids=["own", "gpt2"])
def test_the_values_do_not_depend_on_the_mesh(rules):
    model = jinit.linen.trace(LinenGPT2(SMALL), TOKENS)
    plain = jinit.init(model, KEY, rules)
    sharded = jinit.init(model, KEY, rules, sharding=eight_shards(model))
    for left, right in zip(*map(jax.tree.leaves, (plain, sharded)), strict=True):
        np.testing.assert_array_equal(left, right)
    head = sharded["params"]["head"]["kernel"]
    assert len(head.sharding.device_set) == 8
    assert head.addressable_shards[0].data.size * 8 == head.size


@pytest.mark.once
@pytest.mark.parametrize(
    ("rules", "depths"),
    [
        pytest.param(None, (12, 96), id="own", marks=pytest.mark.slow),
        pytest.param(recipes.gpt2(3), (3, 12), id="gpt2"),
        pytest.param(recipes.gpt2(3), (12, 96), id="gpt2-deep", marks=pytest.mark.slow),
    ],
)
def test_a_deeper_model_compiles_the_same_number_of_programs(rules, depths):
    counts = []
    for layers in depths:
        config = Config(vocabulary=97, positions=16, width=64, heads=4, layers=layers, tied=False)
        model = jinit.linen.trace(LinenGPT2(config), TOKENS)
        with count_compilations() as compilations:
            jinit.init(model, KEY, rules)
        counts.append(compilations.count)
    assert counts[0] == counts[1]
    assert 1 <= counts[0] <= 3
