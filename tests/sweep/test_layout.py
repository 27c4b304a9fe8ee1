"""Layouts of lanes: all lanes, few idle places, and blocks of the number asked for."""

import pytest
from flax import linen as nn
from sweep.small import CLASSES, FEATURES, groups, shallow

import jinit
from jinit.sweep.layout import BlockLayout, choose_layout


def make_group(build):
    return groups(build, init=["he_normal"], lr=[1e-2])[0]


@pytest.fixture(scope="module")
def group():
    return make_group(shallow)


@pytest.mark.parametrize("slots", [1, 2, 8])
def test_blocks_hold_the_lanes_and_little_else(group, slots):
    for lanes in range(1, 700):
        layout = choose_layout(group, lanes, slots, None, platform="cpu")
        per_slot = -(-lanes // slots)
        blocks = -(-per_slot // layout.block_lanes)
        assert 0 <= blocks * layout.block_lanes - per_slot <= max(2, per_slot // 8)


def test_few_lanes_are_one_tile(group):
    assert choose_layout(group, 5, 1, None, platform="cpu") == BlockLayout(tiles=1, tile_lanes=5)
    assert choose_layout(group, 5, 8, None, platform="cpu") == BlockLayout(tiles=1, tile_lanes=1)


def test_many_lanes_make_full_blocks(group):
    assert choose_layout(group, 1024, 2, None, platform="cpu") == BlockLayout(tiles=4, tile_lanes=8)


@pytest.mark.parametrize("lanes_per_block", [1, 2, 7, 64, 65, 100, 1000])
def test_blocks_as_wide_as_asked_for(group, lanes_per_block):
    layout = choose_layout(group, 512, 2, lanes_per_block, platform="cpu")
    wanted = min(lanes_per_block, 512)
    assert wanted <= layout.block_lanes < wanted + layout.tiles
    assert layout.tile_lanes <= 8


def test_convolutions_and_large_networks_are_trained_lane_by_lane_on_cpu():
    class Convolutional(nn.Module):
        kernel_init: jinit.Initializer

        @nn.compact
        def __call__(self, x):
            x = nn.relu(nn.Conv(4, (3,), kernel_init=self.kernel_init)(x[..., None]))
            return nn.Dense(CLASSES, kernel_init=self.kernel_init)(x.mean(1))

    def wide(config):
        return jinit.sweep.mlp(FEATURES, CLASSES, depth=2, width=512, init=config["init"])

    for build in (lambda config: Convolutional(config["init"]), wide):
        assert choose_layout(make_group(build), 64, 2, None, platform="cpu").tile_lanes == 1


def test_a_tile_of_a_tpu_fits_its_vector_memory_and_a_gpu_takes_many_lanes(group):
    def tile(group, platform):
        layout = choose_layout(group, 4096, 1, None, platform=platform)
        assert layout.tiles == (1 if platform == "tpu" else 4)
        return layout.tile_lanes

    def deep(config):
        return jinit.sweep.mlp(FEATURES, CLASSES, depth=8, width=64, init=config["init"])

    def wide(config):
        return jinit.sweep.mlp(FEATURES, CLASSES, depth=2, width=1024, init=config["init"])

    assert tile(group, "tpu") == tile(group, "gpu") == 256
    assert 64 <= tile(make_group(deep), "tpu") <= 128
    assert tile(make_group(wide), "tpu") == 8
    assert tile(make_group(wide), "gpu") == 256


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {"tiles": 1, "tile_lanes": 2},
        {"tiles": 0, "tile_lanes": 2, "is_loop": False},
        {"tiles": 1.0, "tile_lanes": 2, "is_loop": False},
        {"tiles": True, "tile_lanes": 2, "is_loop": False},
        {"tiles": 1, "tile_lanes": 2, "is_loop": 0},
        {"tiles": 1, "tile_lanes": 2, "is_loop": False, "more": 1},
    ],
)
def test_data_that_is_not_a_layout(data):
    with pytest.raises(ValueError, match="expected tiles, tile_lanes and is_loop of a layout"):
        BlockLayout.from_dict(data)
