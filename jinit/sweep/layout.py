"""Divide the lanes of a group into blocks, and a block into tiles."""

import itertools
from dataclasses import asdict, dataclass, replace
from typing import Any

from jinit.sweep.executor import AUTO, Executor
from jinit.sweep.groups import Group

# A tile is the lanes that one device computes together. On CPU what a tile computes in a step
# should stay in the second-level cache of a core (2 MiB where this was measured, batches of 64),
# and more than eight lanes are slower. The best of 1, 2, 4, 8 and 16 lanes, and how much faster it
# is than one lane after the other:
#
#   step computes   network           lanes   faster
#        0.25 MiB   MLP of width 16       8     1.36
#        0.5  MiB   MLP of width 32       4     1.27
#        1.3  MiB   MLP of width 64       4     1.17
#        3.7  MiB   MLP of width 128      1     1
#         29  MiB   transformer           1     1
#
# Convolutions of many kernels are slow: a CNN trains 496 steps per second one lane after the other
# and 165 in tiles of eight.
_CPU_TILE_LANES, _CPU_TILE_BYTES = 8, 6 * 2**20

# A TPU needs many lanes, whose state stays in its vector memory (128 MiB on a v5e) from step to
# step. Cycles of a step per lane, as XLA estimates them for a v5e (experiments/ahead_of_time):
#
#   step computes   network           1 lane      8     32     64    128    256   1024
#        3.4 MB     MLP of width 64     58.6k  13.0k   5.5k   2.5k   2.6k   5.4k   7.9k
#        9.0 MB     CNN                 80.5k  30.2k  24.6k  24.8k         36.1k
#        283 MB     transformer          511k   336k   559k
#
# A loop over tiles copies their state in and out, and a loop over recordings in it leaves less of
# the memory to the steps: 172k cycles of a step of the MLP with 64 lanes, 237k with 4 tiles of 64.
# Of a GPU there is no such estimate: it needs many lanes to hide the start of every kernel.
_TPU_TILE_LANES, _TPU_TILE_BYTES = (8, 256), 2**28
_GPU_TILE_LANES = 256
_WIDEST_TILE = 256

# Most tiles of a block: on CPU, one measured sweep was faster with eight and another one slower.
_MOST_TILES, _TPU_MOST_TILES = 4, 1

# Cost of a tile and of a call of the program besides that of their lanes, in units of a lane's:
# measured on CPU, where a tile of one lane takes half as long as one of three.
_TILE_COST, _CALL_COST = 0.7, 0.35


@dataclass(frozen=True)
class BlockLayout:
    """The layout of the lanes of one block, which one device trains.

    Args:
      tiles: tiles of the block, trained one after the other.
      tile_lanes: lanes of each tile, computed together.
      is_loop: whether Python dispatches every step of every lane, in place of a compiled loop.
    """

    tiles: int
    tile_lanes: int
    is_loop: bool = False

    def __str__(self) -> str:
        if self.is_loop:
            return "loop"
        return "map" if self.tile_lanes == 1 else f"vmap({self.tile_lanes})"

    @property
    def block_lanes(self) -> int:
        """Lanes per block."""
        return self.tiles * self.tile_lanes

    def halve(self) -> "BlockLayout | None":
        """Return the layout with half as many lanes; None if it has one."""
        if self.tiles > 1:
            return replace(self, tiles=self.tiles // 2)
        return replace(self, tile_lanes=self.tile_lanes // 2) if self.tile_lanes > 1 else None

    def to_dict(self) -> dict[str, Any]:
        """Return the layout as plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Any) -> "BlockLayout":
        """Return the layout of plain data.

        Args:
          data: what `to_dict` returned.

        Raises:
          ValueError: if it is not a layout.

        >>> BlockLayout.from_dict(BlockLayout(2, 4).to_dict())
        BlockLayout(tiles=2, tile_lanes=4, is_loop=False)
        """
        types = {"tiles": int, "tile_lanes": int, "is_loop": bool}
        found = {name: type(each) for name, each in data.items()} if isinstance(data, dict) else {}
        if found != types or min(data["tiles"], data["tile_lanes"]) < 1:
            raise ValueError(f"expected tiles, tile_lanes and is_loop of a layout, got {data!r}")
        return cls(**data)


def choose_layout(
    group: Group,
    lanes: int,
    slots: int,
    lanes_per_block: int | None,
    executor: Executor = AUTO,
    *,
    platform: str,
) -> BlockLayout:
    """Choose the fastest layout for the lanes of a group, or one of a given number of lanes.

    All blocks of a group have one layout, because the last bit of a result depends on the number
    of lanes computed together. The last block is padded.

    Args:
      group: the group.
      lanes: its number of lanes.
      slots: number of blocks that are trained at the same time.
      lanes_per_block: lanes of a block as the user asked for; None for the fastest layout.
      executor: how the lanes are computed, as the user asked for.
      platform: that of the devices, such as `cpu` or `tpu`.

    Returns:
      The layout.
    """
    is_loop = executor.kind == "loop"
    slot_lanes = -(-lanes // slots)
    most_tiles = _TPU_MOST_TILES if platform == "tpu" else _MOST_TILES
    if executor.lanes is not None:
        tile_lanes = min(executor.lanes, slot_lanes)
        return BlockLayout(min(-(-slot_lanes // tile_lanes), most_tiles), tile_lanes, is_loop)
    most_lanes = _WIDEST_TILE if executor.kind == "vmap" else _most_tile_lanes(group, platform)
    if lanes_per_block:
        block_lanes = min(lanes_per_block, lanes)
        tiles = -(-block_lanes // most_lanes)
        return BlockLayout(tiles, -(-block_lanes // tiles))
    choices = itertools.product(range(1, most_tiles + 1), range(1, min(most_lanes, slot_lanes) + 1))
    tiles, tile_lanes = min(choices, key=lambda choice: _relative_cost(slot_lanes, *choice))
    return BlockLayout(tiles, tile_lanes)


def _relative_cost(lanes: int, tiles: int, tile_lanes: int) -> float:
    """Return the time for some lanes in one slot, in units of the time of a lane."""
    blocks = -(-lanes // (tiles * tile_lanes))
    return blocks * (tiles * (tile_lanes + _TILE_COST) + _CALL_COST)


def _most_tile_lanes(group: Group, platform: str) -> int:
    cost = group.step_cost
    result_bytes = max(cost.result_bytes, 1.0)
    if platform == "cpu":
        lanes = int(_CPU_TILE_BYTES / result_bytes)
        return 1 if cost.has_convolutions else min(max(lanes, 1), _CPU_TILE_LANES)
    if platform == "tpu":
        fewest, most = _TPU_TILE_LANES
        return min(max(int(_TPU_TILE_BYTES / result_bytes), fewest), most)
    return _GPU_TILE_LANES
