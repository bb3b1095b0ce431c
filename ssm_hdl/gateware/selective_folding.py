"""How the products of a selective scan fall onto its multipliers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, TypeAlias

from amaranth.hdl import Shape

from ssm_hdl.families.base import Family
from ssm_hdl.functions import LEAK_MANTISSA, LEAK_SHIFT
from ssm_hdl.gateware.folding import Folding, divisors
from ssm_hdl.gateware.layers import Layers, Table
from ssm_hdl.gateware.multiplier import DSP, LUT, Multiplier
from ssm_hdl.gateware.shift import Shifts, shift_latency
from ssm_hdl.gateware.stream import shape_of
from ssm_hdl.operations import Selective

Operands: TypeAlias = tuple[Shape, Shape]

AROUND = 6
"""Cycles of the loop beside the product and its shift: to read a state and register it, add, round,
saturate and write."""

PRODUCTS = 3
LEAKED, DRIVEN, READ_OUT = range(PRODUCTS)
"""The products of a mode: h m, v B and C h'."""


@dataclass(frozen=True)
class SelectiveFolding(Folding):
    """``modes`` modes of one channel side by side, each with a multiplier for h m,
    one for v B and one for C h'.

    Attributes:
        shape: channels and modes.
        modes: modes side by side, a divisor of all.
        in_dsp: the operands of each of the three products, where they are made in DSP blocks.
        in_luts: the same where they are made of LUTs.
        family: the FPGA family.
    """

    shape: tuple[int, int]
    modes: int
    in_dsp: tuple[Operands, ...]
    in_luts: tuple[Operands, ...]
    family: Family

    i_lanes = 1
    o_lanes = 1

    @classmethod
    def every(cls, layers: Layers) -> Sequence[Self]:
        """From one mode to all of a channel."""
        assert isinstance(layers.node.op, Selective)
        _, drive, b, c = map(shape_of, layers.node.inputs)
        state = Shape(layers.node.op.state.width, layers.node.op.state.signed)

        def operands(kind: str) -> tuple[Operands, ...]:
            v = Shape(drive.width + drives(layers, kind)[0].most, drive.signed)
            return (state, Shape(LEAK_MANTISSA)), (v, b), (state, c)

        shape, in_dsp, in_luts = layers.node.arrays["code"].shape, operands(DSP), operands(LUT)
        return [cls(shape, modes, in_dsp, in_luts, layers.family) for modes in divisors(shape[1])]

    @property
    def name(self) -> str:
        """One channel x its modes side by side."""
        return f"1x{self.modes}"

    @property
    def multipliers(self) -> int:
        """Multipliers side by side."""
        return PRODUCTS * self.modes

    @property
    def products(self) -> int:
        """Products for a packet."""
        return PRODUCTS * self.shape[0] * self.shape[1]

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

    def operands(self, kind: str) -> tuple[Operands, ...]:
        """The operands of each of the three products."""
        return self.in_luts if kind == LUT else self.in_dsp

    def multiplier(self, kind: str, product: int) -> Multiplier:
        """The multiplier of one of the products, of LUTs where an operand does not fit the kind."""
        return self.family.multiplier(kind, *self.operands(kind)[product])

    def cycles_of(self, kind: str, product: int) -> int:
        """Cycles of one of the products."""
        return self.multiplier(kind, product).latency(*self.operands(kind)[product])

    def latency(self, kind: str) -> int:
        """Cycles of h m."""
        return self.cycles_of(kind, LEAKED)

    def _blocks(self, kind: str, product: int) -> int:
        return self.multiplier(kind, product).blocks(*self.operands(kind)[product], self.modes)

    def blocks(self, kind: str) -> int:
        """DSP blocks of all multipliers."""
        return sum(self._blocks(kind, product) for product in range(PRODUCTS))

    def in_blocks(self, kind: str) -> int:
        """Multipliers in them."""
        return self.modes * sum(self._blocks(kind, product) > 0 for product in range(PRODUCTS))

    def loop(self, product: int) -> int:
        """Cycles from reading a state until it may be read again, with a product in ``product``."""
        return AROUND + product + shift_latency(LEAK_SHIFT)

    def interval(self, product: int) -> int:
        """Cycles per packet, with h m in ``product``: of its words, of the loop,
        or of taking B and C."""
        return max(self.cycles, self.loop(product), self.shape[1])


def drives(layers: Layers, kind: str) -> tuple[Shifts, Shifts]:
    """The left shifts of v B, a word per channel, beyond the least of all: of v,
    and of the product.

    A multiplier that shifts as well, see `Multiplier.shifts`, has bits to spare for v.
    A shift of v serves all modes.
    """
    amounts = [node.arrays["shift"].reshape(-1, 1) for node in layers.nodes]
    least, multiplier = min(int(each.min()) for each in amounts), layers.family.multiplier(kind)
    most = max(int(each.max()) for each in amounts) - least
    room = max(0, multiplier.spare(shape_of(layers.node.inputs[1]))) if multiplier.shifts else 0
    step = 1 << (most.bit_length() if most <= room else (room + 1).bit_length() - 1)
    of_v = [(each - least) % step for each in amounts]
    of_products = [each - least - early for each, early in zip(amounts, of_v, strict=True)]
    return Shifts(Table(of_v, layers.memories)), Shifts(Table(of_products, layers.memories))
