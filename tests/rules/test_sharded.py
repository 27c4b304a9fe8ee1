"""Models that no device holds in whole: XLA's own account of memory, and the same values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from architectures.gpt2 import Config, LinenGPT2
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jinit
from jinit import recipes
from jinit.rules import initialize
from jinit.rules.programs import Call, _compiling

KEY = jax.random.key(0)
TOKENS = jax.ShapeDtypeStruct((1, 8), jnp.int32)
LARGE = Config(width=2048, heads=16, layers=18, tied=False)
SMALL = Config(vocabulary=97, positions=16, width=64, heads=4, layers=2, tied=False)


def spread(model):
    """Every parameter over eight devices, along its last axis that can be divided."""
    mesh = jax.make_mesh((8,), ("x",), axis_types=(AxisType.Auto,))

    def sharding(leaf):
        places = [axis for axis, size in enumerate(leaf.shape) if size % 8 == 0][-1:]
        names = ["x" if axis in places else None for axis in range(len(leaf.shape))]
        return NamedSharding(mesh, PartitionSpec(*names))

    return jax.tree.map(sharding, model.params)


@pytest.mark.parametrize("rules", [None, recipes.gpt2(18)], ids=["own", "gpt2"])
def test_a_billion_parameters_need_their_shards_and_a_tenth(monkeypatch, rules):
    model = jinit.linen.trace(LinenGPT2(LARGE), TOKENS)
    leaves = jax.tree.leaves(model.params)
    assert 1e9 < sum(leaf.size for leaf in leaves) < 1.2e9
    ratios = {}

    def measured(calls):
        largest_first = sorted(leaves, key=lambda leaf: -leaf.size)
        for call, leaf in zip(calls, largest_first, strict=True):
            if isinstance(call, Call):
                memory = _compiling(call).result().memory_analysis()
                shard = 4 * np.prod(call.program.sharding.shard_shape(leaf.shape))
                used = memory.temp_size_in_bytes + memory.output_size_in_bytes
                ratios[call.program] = used / shard
        return largest_first

    monkeypatch.setattr(initialize, "run", measured)
    jinit.init(model, KEY, rules, sharding=spread(model))
    assert 3 <= len(ratios) < 12
    assert max(ratios.values()) < 1.1


@pytest.mark.parametrize("rules", [None, recipes.gpt2(2)], ids=["own", "gpt2"])
def test_the_values_do_not_depend_on_the_mesh(rules):
    model = jinit.linen.trace(LinenGPT2(SMALL), TOKENS)
    whole, parts = (
        jinit.init(model, KEY, rules),
        jinit.init(model, KEY, rules, sharding=spread(model)),
    )
    for left, right in zip(*map(jax.tree.leaves, (whole, parts)), strict=True):
        np.testing.assert_array_equal(left, right)
    head = parts["params"]["head"]["kernel"]
    assert len(head.sharding.device_set) == 8
    assert head.addressable_shards[0].data.size * 8 == head.size


@pytest.mark.once
@pytest.mark.parametrize(
    ("rules", "depths"),
    [
        pytest.param(None, (12, 96), id="own"),
        pytest.param(recipes.gpt2(3), (3, 12), id="gpt2"),
        pytest.param(recipes.gpt2(3), (12, 96), id="gpt2-deep", marks=pytest.mark.slow),
    ],
)
def test_the_programs_do_not_grow_with_depth(monkeypatch, rules, depths):
    programs = []

    def count(calls):
        every = list(calls)
        programs.append({call.program for call in every if isinstance(call, Call)})
        return [jnp.zeros(()) for _ in every]

    monkeypatch.setattr(initialize, "run", count)
    for layers in depths:
        config = Config(vocabulary=97, positions=16, width=64, heads=4, layers=layers, tied=False)
        jinit.init(jinit.linen.trace(LinenGPT2(config), TOKENS), KEY, rules)
    shallow, deep = programs
    assert shallow == deep
    assert len(deep) <= 3
