"""How the products of a selective scan fall onto its multipliers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, TypeAlias

from amaranth.hdl import Shape

from ssm_hdl.families.base import Family
from ssm_hdl.functions import LEAK_MANTISSA, LEAK_SHIFT
from ssm_hdl.gateware.folding import Folding, divisors
from ssm_hdl.gateware.layers import Layers
from ssm_hdl.gateware.multiplier import Multiplier
from ssm_hdl.gateware.shift import Shifts, shift_latency
from ssm_hdl.gateware.stream import shape_of
from ssm_hdl.operations import Selective

Operands: TypeAlias = tuple[Shape, Shape]

AROUND = 6
"""Cycles of the loop beside the product and its shift: to read a state and register it, add, round, saturate and write."""

LEAKED, DRIVEN, READ_OUT = range(3)
"""The products of a mode: h m, v B and C h'."""


@dataclass(frozen=True)
class SelectiveFolding(Folding):
    """``modes`` modes of one channel side by side, each with a multiplier for h m, one for v B and one for C h'.

    Attributes:
        shape: channels and modes.
        modes: modes side by side, a divisor of all.
        operands: of each of the three products.
        family: the FPGA family.
    """

    shape: tuple[int, int]
    modes: int
    operands: tuple[Operands, Operands, Operands]
    family: Family

    i_lanes = 1
    o_lanes = 1

    @classmethod
    def every(cls, layers: Layers) -> Sequence[Self]:
        """From one mode to all of a channel."""
        assert isinstance(layers.node.op, Selective)
        _, drive, b, c = map(shape_of, layers.node.inputs)
        state = Shape(layers.node.op.state.width, layers.node.op.state.signed)
        driven = Shape(drive.width + drives(layers).most, drive.signed)
        operands = (state, Shape(LEAK_MANTISSA)), (driven, b), (state, c)
        shape = layers.node.arrays["code"].shape
        return [cls(shape, modes, operands, layers.family) for modes in divisors(shape[1])]

    @property
    def name(self) -> str:
        """One channel x its modes side by side."""
        return f"1x{self.modes}"

    @property
    def multipliers(self) -> int:
        """Multipliers side by side."""
        return len(self.operands) * self.modes

    @property
    def products(self) -> int:
        """Products for a packet."""
        return len(self.operands) * self.shape[0] * self.shape[1]

    @property
    def groups(self) -> int:
        """Words of a channel."""
        return self.shape[1] // self.modes

    @property
    def holds(self) -> int:
        """Cycles in which it works with a channel before it takes the next."""
        return self.groups

    @property
    def cycles(self) -> int:
        """Words of a packet, one in a cycle."""
        return self.shape[0] * self.groups

    def multiplier(self, kind: str, product: int) -> Multiplier:
        """The multiplier of one of the products, of LUTs where an operand does not fit the kind."""
        return self.family.multiplier(kind, *self.operands[product])

    def cycles_of(self, kind: str, product: int) -> int:
        """Cycles of one of the products."""
        return self.multiplier(kind, product).latency(*self.operands[product])

    def latency(self, kind: str) -> int:
        """Cycles of h m."""
        return self.cycles_of(kind, LEAKED)

    def _blocks(self, kind: str, product: int) -> int:
        return self.multiplier(kind, product).blocks(*self.operands[product], self.modes)

    def blocks(self, kind: str) -> int:
        """DSP blocks of all multipliers."""
        return sum(self._blocks(kind, product) for product in range(len(self.operands)))

    def in_blocks(self, kind: str) -> int:
        """Multipliers in them."""
        return self.modes * sum(self._blocks(kind, product) > 0 for product in range(len(self.operands)))

    def loop(self, product: int) -> int:
        """Cycles from reading a state until it may be read again, with a product in ``product``."""
        return AROUND + product + shift_latency(LEAK_SHIFT)

    def interval(self, product: int) -> int:
        """Cycles per packet, with h m in ``product``: of its words, of the loop, or of taking B and C."""
        return max(self.cycles, self.loop(product), self.shape[1])


def drives(layers: Layers) -> Shifts:
    """The left shifts of v, those of a channel in a word, beyond the least of all."""
    least = min(int(node.arrays["shift"].min()) for node in layers.nodes)
    return Shifts(layers.table(lambda node, lift: node.arrays["shift"].reshape(-1, 1) - least))
