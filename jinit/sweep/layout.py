"""How the lanes of a group are laid out: in blocks, and in a block over devices and tiles."""

import itertools
from dataclasses import dataclass

import jax

from jinit.sweep.plan import Group

# Lanes computed together on one device, a tile. On CPU the weights, gradients, moments and
# activations of a tile should stay in a core's second-level cache: measured on two cores, four
# lanes of a 64-wide MLP train a fifth faster than sixteen; smaller networks need more lanes to
# outweigh the cost of each operation. An accelerator needs many to fill its units.
_CPU_LANES, _CPU_TILE_BYTES = (4, 32), 2**18
_ACCELERATOR_LANES = 256

# Tiles that a device trains in turn before Python hears of them: what is interrupted within a block
# is lost, and of eight tiles one run was faster, another slower.
_MOST_TILES = 4

# What a tile and a call of the program cost besides their lanes, in lanes: measured on CPU, where a
# tile of one lane takes half as long as one of three.
_TILE_COST, _CALL_COST = 0.7, 0.35


@dataclass(frozen=True)
class Layout:
    """The lanes of one block: `devices`, each with `tiles` in turn, each of `tile` lanes."""

    devices: int
    tiles: int
    tile: int

    @property
    def width(self) -> int:
        """Lanes per block."""
        return self.devices * self.tiles * self.tile


def layout(group: Group, lanes: int, devices: int, asked: int | None) -> Layout:
    """The cheapest blocks for so many lanes of a group; or blocks of the number asked for.

    All blocks of a group are laid out alike, for what a lane computes depends in the last bit on
    how many are computed together; lanes that are missing in the last block are made up for.
    """
    most = _most_in_a_tile(group)
    if asked:
        part = -(-min(asked, lanes) // devices)
        tiles = -(-part // most)
        return Layout(devices, tiles, -(-part // tiles))
    part = -(-lanes // devices)
    forms = itertools.product(range(1, _MOST_TILES + 1), range(1, min(most, part) + 1))
    return Layout(devices, *min(forms, key=lambda form: _cost(part, *form)))


def _cost(lanes: int, tiles: int, tile: int) -> float:
    """Time for so many lanes on one device, in units of a lane's."""
    blocks = -(-lanes // (tiles * tile))
    return blocks * (tiles * (tile + _TILE_COST) + _CALL_COST)


def _most_in_a_tile(group: Group) -> int:
    if jax.default_backend() != "cpu":
        return _ACCELERATOR_LANES
    leaves = jax.tree.leaves(group.trial.model.params)
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)
    fewest, most = _CPU_LANES
    return min(max(_CPU_TILE_BYTES // max(size, 1), fewest), most)
