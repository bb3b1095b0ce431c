"""The objective: what a plan may take of a device, and what it costs.

`price` is the only function that weighs one resource against another. The integer program minimises
it, and the plans that the program proposes are ranked by it. A price is what a resource keeps
from others, in LUTs:

- A LUT costs 1. Other logic needs LUTs to make use of anything else on the device.
- DSP blocks are there to be used: one that is busy costs nothing, one that idles 40 LUTs.
- Block RAMs are there to be used. They cost a LUT each: of two plans with equal LUTs the one with
  fewer block RAMs is taken.
- What other logic needs, ``reserve`` (``--share-device``) takes off the budget.
  A block that is short is then worth the LUTs that it saves where it saves most.
- SPRAMs cost their loader.
- Flip-flops cost nothing: an ECP5 has one per LUT, and on an iCE40 each is in a logic cell,
  which counts as a LUT.
- Latency costs nothing: it is bounded (``--latency``) or it is free.
"""

import math
from typing import NamedTuple

from ssm_hdl.families.base import UNLIMITED, Device


class Use(NamedTuple):
    """What something takes of a device, or what a device has.

    Attributes:
        luts: LUT4s; logic cells on the iCE40.
        flip_flops: flip-flops; not limited on an iCE40, where each is in a logic cell.
        dsps: DSP blocks.
        rams: block RAMs.
        sprams: SPRAMs of an iCE40 UP5K.
        idle: DSP blocks, as far as they have nothing to do.
        latency: cycles from the last sample in to the last result out,
            as far as they depend on choices.
    """

    luts: float
    flip_flops: float
    dsps: float
    rams: float
    sprams: float = 0
    idle: float = 0
    latency: float = 0

    def plus(self, other: "Use") -> "Use":
        """The sum."""
        return Use(*(a + b for a, b in zip(self, other, strict=True)))

    def less(self, other: "Use") -> "Use":
        """The difference."""
        return Use(*(a - b for a, b in zip(self, other, strict=True)))

    def within(self, other: "Use") -> bool:
        """No component exceeds the other's."""
        return all(a <= b for a, b in zip(self, other, strict=True))


NOTHING = Use(0, 0, 0, 0)

PRICES = Use(luts=1, flip_flops=0, dsps=0, rams=1, sprams=120, idle=40, latency=0)
"""LUTs that a unit of each is worth.

- ``idle`` trades LUTs for DSP blocks that are busy. It is less than any multiplier of LUTs of an
  iCE40 takes (8 x 8 bits: 180 logic cells), so that blocks to spare are used. Where blocks are
  short it gives them to the stages that keep them busy. Over the rows of ``results/bench.json`` 40
  takes up to 0.7 % more LUTs than 0, and its DSP multipliers are busy in up to 7 points more of
  their cycles. 280 takes up to 22 % more.
- ``sprams``: a loader of one SPRAM takes 120 logic cells (synthesised alone; of four 179),
  which no estimate counts.
"""


def price(use: Use) -> float:
    """What it costs, in LUTs."""
    return sum(number * unit for number, unit in zip(use, PRICES, strict=True))


def idle(blocks: float, busy: float, interval: float) -> float:
    """DSP blocks times the share of an interval in which they idle;
    they are busy in ``busy`` of its cycles."""
    return blocks * (1 - min(1.0, busy / interval))


def budget(
    device: Device, dsp: int | None = None, reserve: Use = NOTHING, latency: int | None = None
) -> Use:
    """What a plan may take of a device.

    Args:
        device: the device.
        dsp: limit of DSP blocks, which counts where it is below that of the device.
        reserve: what to leave for other logic.
        latency: limit of the latency in cycles, if there is one.
    """
    fill, infinite = device.family.fill, float("inf")
    # other logic may have all there are
    dsps = max(0, math.ceil(device.family.dsp_fill * device.dsps) - reserve.dsps)
    limits = Use(
        luts=fill * device.luts - reserve.luts,
        flip_flops=infinite
        if device.flip_flops is None
        else fill * device.flip_flops - reserve.flip_flops,
        dsps=dsps if dsp is None else min(dsp, dsps),
        rams=device.rams - reserve.rams - device.family.reserved_rams,
        sprams=device.sprams - reserve.sprams,
        idle=infinite,
        latency=infinite if latency is None else latency,
    )
    return Use(*(limit if limit < UNLIMITED / 2 else infinite for limit in limits))
