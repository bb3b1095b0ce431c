"""The block RAMs of memories, as Yosys maps them."""

from dataclasses import dataclass

from ssm_hdl.gateware.memories import Storage
from ssm_hdl.gateware.spram import WIDTH

_CHOICE = 0.5
"""Cost that Yosys gives to a bit that selects one row of blocks; measured by trial."""

_LUT_RAM_DEPTH, _LUT_RAM_WIDTH, _LUT_RAM_COST = 16, 4, 4
"""A RAM made of LUTs, and its cost in Yosys."""

_REGISTERS_SAVED = 2
"""Bits of registers that Yosys saves where a memory becomes registers; measured by trial."""


@dataclass(frozen=True)
class BlockRams:
    """The block RAM of a family.

    Attributes:
        shapes: (depth, width) of a block, with one read and one write port.
        cost: cost that Yosys gives to a block, in bits of registers.
        lut_rams: small memories can be RAMs of 16 x 4 bits made of LUTs.
    """

    shapes: tuple[tuple[int, int], ...]
    cost: int
    lut_rams: bool = False

    @property
    def bits(self) -> int:
        """Bits of a block in its largest shape."""
        return max(depth * width for depth, width in self.shapes)

    @property
    def widest(self) -> int:
        """Bits that a block reads in a cycle."""
        return max(width for _, width in self.shapes)

    def blocks(self, storage: Storage) -> int:
        """Block RAMs of a memory, in the best shape of a block; 0 if it is not in block RAM.

        A memory of d words takes ceil(d / depth) rows of blocks. Where a row leaves bits of its
        last block free, the next row uses them. A written memory becomes registers,
        or RAMs made of LUTs, where Yosys finds these cheaper.
        """
        if not storage.block or storage.width == storage.unused or storage.style == "distributed":
            return 0
        blocks, _ = self.rows(storage)
        if not storage.written or storage.style:
            return blocks
        alternative: float = storage.depth * (storage.width - storage.unused) - _REGISTERS_SAVED
        if self.lut_rams:
            choices = -(-storage.depth // _LUT_RAM_DEPTH) - 1
            alternative = _LUT_RAM_COST * _lut_rams(storage) + _CHOICE * choices * storage.width
        # Yosys still takes the block at 127.5 of 128
        return 0 if alternative < self.cost * blocks - _CHOICE else blocks

    def rows(self, storage: Storage) -> tuple[int, int]:
        """Blocks of a memory, and the rows that they form."""
        used, candidates = storage.width - storage.unused, []
        for depth, width in self.shapes:
            rows = -(-storage.depth // depth)
            blocks = -(-rows * used // width)
            candidates.append((self.cost * blocks + _CHOICE * (rows - 1) * used, blocks, rows))
        _, blocks, rows = min(candidates)
        return blocks, rows

    def distributed(self, storage: Storage) -> int:
        """RAMs of 16 x 4 bits, made of LUTs, that a memory takes in place of block RAM."""
        small = self.lut_rams and storage.block and storage.written and not self.blocks(storage)
        return _lut_rams(storage) if small else 0


def _lut_rams(storage: Storage) -> int:
    """RAMs of 16 x 4 bits that hold a memory."""
    return -(-storage.depth // _LUT_RAM_DEPTH) * -(-storage.width // _LUT_RAM_WIDTH)


def sprams(storage: Storage) -> int:
    """SPRAMs of a memory; 0 if it is in none."""
    return -(-storage.width // WIDTH) if storage.spram else 0
