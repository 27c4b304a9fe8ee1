"""Blocks of lanes: enough of them, few idle, and as many as were asked for."""

import optax
import pytest
from sweep.small import shallow, task

import jinit
from jinit.sweep.layout import Layout, layout
from jinit.sweep.plan import plan, traced_axes


@pytest.fixture(scope="module")
def group():
    space = jinit.grid(init=["he_normal"], lr=[1e-2])
    traced = traced_axes(space.names, optax.adam)
    return plan(space.configs(), shallow, task(), optax.adam, traced)[0]


@pytest.mark.parametrize("devices", [1, 2, 8])
def test_blocks_hold_the_lanes_and_little_else(group, devices):
    for lanes in range(1, 700):
        found = layout(group, lanes, devices, None)
        assert found.devices == devices
        blocks = -(-lanes // found.width)
        per_device = -(-lanes // devices)
        idle = blocks * found.tiles * found.tile - per_device
        assert 0 <= idle <= max(2, per_device // 8)


def test_few_lanes_are_one_tile(group):
    assert layout(group, 5, 1, None) == Layout(devices=1, tiles=1, tile=5)
    assert layout(group, 5, 8, None) == Layout(devices=8, tiles=1, tile=1)


def test_many_lanes_make_full_blocks(group):
    assert layout(group, 1024, 2, None) == Layout(devices=2, tiles=4, tile=32)


@pytest.mark.parametrize("asked", [1, 2, 7, 64, 65, 100, 1000])
def test_blocks_as_wide_as_asked_for(group, asked):
    found = layout(group, 512, 2, asked)
    wanted = min(asked, 512)
    assert wanted <= found.width < wanted + 2 * found.tiles + 2
    assert found.tile <= 32
