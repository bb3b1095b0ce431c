"""No family in particular: any tool infers the multipliers, and no limit is known but the one
that the user names."""

from dataclasses import replace
from typing import ClassVar

from amaranth.hdl import Module, Signal, Value

from ssm_hdl.families.base import UNLIMITED, Device, Family
from ssm_hdl.families.ecp5 import ECP5
from ssm_hdl.gateware.arithmetic import delay
from ssm_hdl.gateware.multiplier import LutMultiplier, Multiplier, Numbers, Products
from ssm_hdl.gateware.multiplier import bounds as bounds_of

WIDTH = 18
"""Bits of an operand that the DSP blocks of most families take, sign included."""


class InferredMultiplier(Multiplier):
    """A product with its registers, for the tool to put into a DSP block."""

    def latency(self, a: Numbers, b: Numbers, shared: int = 1) -> int:
        """Two registers before the product and one after it."""
        return 3

    def blocks(self, a: Numbers, b: Numbers, count: int, shared: int = 1) -> int:
        """A block for each product."""
        return count

    def products(
        self, m: Module, products: Products, a: Numbers, b: Numbers, shared: int
    ) -> list[Value]:
        """Every product on its own."""
        return [_infer(m, x, y) for x, y in products]

    def takes_sums(self, a: Numbers, b: Numbers) -> bool:
        """Operands of up to `WIDTH` bits."""
        return all(
            low >= -(1 << WIDTH - 1) and high < 1 << WIDTH - 1
            for low, high in (bounds_of(a), bounds_of(b))
        )


def _infer(m: Module, a: Value, b: Value) -> Value:
    """One product. Its last register has to be kept as it is.

    `synth_ice40 -dsp` of Yosys 0.70 moves two registers after the product into the DSP block and
    then reads 0. It also loses one of two products when it moves their sum into a block.
    """
    a, b = delay(m, a, 2), delay(m, b, 2)
    product = Signal((a * b).shape(), reset_less=True, attrs={"keep": 1})
    m.d.sync += product.eq(a * b)
    return product


class Generic(Family):
    """See the module. What a pipeline takes is counted as on an ECP5."""

    name = "generic"
    title = "any family"
    dsp: ClassVar[Multiplier] = InferredMultiplier()
    lut: ClassVar[Multiplier] = LutMultiplier(registers=1)
    rams = ECP5.rams
    costs = ECP5.name


GENERIC = Generic()

GENERIC_DEVICE = Device(
    "generic",
    "generic device",
    GENERIC,
    UNLIMITED,
    UNLIMITED,
    UNLIMITED,
    GENERIC.rams.bits,
    0,
    0,
    0,
    1,
)
"""A device without limits but the caller's, and without a clock of its own."""

DEVICES = (GENERIC_DEVICE,)


def unlimited(family: Family) -> Device:
    """A device without limits that has the multipliers and the memories of a family."""
    if family is GENERIC:
        return GENERIC_DEVICE
    return replace(
        GENERIC_DEVICE, title=f"generic {family.title}", family=family, ram_bits=family.rams.bits
    )
