"""The block RAMs of memories, as Yosys makes them."""

from ssm_hdl.gateware.memories import Storage
from ssm_hdl.gateware.spram import WIDTH

BLOCKS = {
    "ice40": ((256, 16), (512, 8), (1024, 4), (2048, 2)),
    "ecp5": ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)),
}
"""(depth, width) that a block RAM can be: the EBR of an iCE40, the DP16KD of an ECP5 with one read and one write port."""

WRITTEN = ("queue", "sums", "state", "ring", "samples")
"""Memories that are written; the others are tables of constants."""

_BLOCK = {"ice40": 64, "ecp5": 128}  # what Yosys says that a block RAM costs, in bits of registers
_CHOICE, _PIECE, _SPARE = 0.5, 4, 2  # a bit to choose one row of blocks from the next, a RAM of 16 x 4 bits, by trial


def block_rams(storage: Storage, family: str) -> int:
    """Block RAMs of a memory, in the best of the shapes that a block can have; 0 if it is not in block RAM.

    Yosys packs them: a memory of d words takes ceil(d / depth) rows of blocks, and where a row leaves bits of its last block, the
    next one goes there too. If it is written, it is made of registers where those are cheaper, on an ECP5 of RAMs of 16 x 4 bits.
    """
    if not storage.block or storage.width == storage.unused:
        return 0
    blocks, _ = rows(storage, family)
    if storage.name not in WRITTEN:
        return blocks
    instead = _distributed_cost(storage) if family == "ecp5" else storage.depth * (storage.width - storage.unused) - _SPARE
    return 0 if instead < _BLOCK[family] * blocks - _CHOICE else blocks  # 127.5 and 128 are a block RAM


def rows(storage: Storage, family: str) -> tuple[int, int]:
    """Blocks, and rows of them."""
    found = []
    for depth, width in BLOCKS[family]:
        count = -(-storage.depth // depth)
        used = storage.width - storage.unused
        blocks = -(-count * used // width)
        found.append((_BLOCK[family] * blocks + _CHOICE * (count - 1) * used, blocks, count))
    return min(found)[1:]


def distributed(storage: Storage, family: str) -> int:
    """RAMs of 16 x 4 bits, made of LUTs, that it takes instead: on an ECP5, where Yosys finds them cheaper."""
    small = family == "ecp5" and storage.block and storage.name in WRITTEN and not block_rams(storage, family)
    return _pieces(storage) if small else 0


def _distributed_cost(storage: Storage) -> float:
    """What Yosys says that a memory of RAMs of 16 x 4 bits costs."""
    return _PIECE * _pieces(storage) + _CHOICE * (-(-storage.depth // 16) - 1) * storage.width


def _pieces(storage: Storage) -> int:
    """RAMs of 16 x 4 bits that would hold a memory."""
    return -(-storage.depth // 16) * -(-storage.width // 4)


def sprams(storage: Storage) -> int:
    """SPRAMs of a memory; 0 if it is in none."""
    return -(-storage.width // WIDTH) if storage.spram else 0
