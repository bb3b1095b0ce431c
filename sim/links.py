"""Stalls and other codes at the links inside a pipeline, where no samples and no reader bring them:
what the ports that `ssm_hdl.sim.linked` gives to it do.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ssm_hdl.fixed import Codes, Format
from ssm_hdl.gateware.stage import Stage
from ssm_hdl.gateware.stream import reals

BITS, STRIDE, TURN, STEP = 64, 11, 8, 13
"""Bits of a port, which links and stages share; from one stage's first bit of the mask
to the next one's, from one beat's to the next one's, and from one packet's."""

_GOLDEN = 0x9E3779B97F4A7C15  # its odd multiples are far apart (Fibonacci hashing)


class Place(NamedTuple):
    """Where the results of a stage are in the ports.

    Attributes:
        first: the first bit of its mask.
        factor: what they are multiplied by in the sum; 0: they are not in it.
        turn: from the first bit for a number to that for the next one in its packet.
        step: from the first bit of a packet to that of the next one.
    """

    first: int
    factor: int
    turn: int
    step: int

    @classmethod
    def of(cls, number: int, stage: Stage, lanes: int) -> "Place":
        """Of a stage with this number. Beats that are filled up are not in the sum."""
        node = stage.layers.node
        whole = reals(node.output) // stage.o_channels(node) % lanes == 0
        factor = (2 * number + 1) * _GOLDEN % (1 << BITS)
        turns = lanes == 1 and not node.output.is_complex
        step = STEP * (turns and stage.layers.count == 1)
        return cls(number * STRIDE % BITS, factor if whole else 0, TURN * turns, step)

    def start(self, packet: Codes | int, number: Codes | int) -> Any:
        """The first bit of the mask for a number of a packet."""
        return (self.first + self.step * packet + self.turn * number) % BITS


@dataclass(frozen=True)
class Links:
    """What happens inside a pipeline.

    Attributes:
        mask: bits that are inverted in the results of stages.
        turns: the mask turns from beat to beat and from packet to packet.
        stalls: chance that a link holds the next beat back.
        period: cycles until that is drawn again; 0: no link holds anything back.
    """

    mask: int = 0
    turns: bool = False
    stalls: float = 0.0
    period: int = 0

    @property
    def any(self) -> bool:
        """Whether anything happens."""
        return bool(self.mask or self.period)


NO_LINKS = Links()


def summed(codes: Codes, format: Format, factor: int) -> int:
    """What the codes of an edge add to the sum."""
    bits = codes.astype(np.int64) & (1 << format.width) - 1
    return int(bits.sum()) * factor


def masked(codes: Codes, format: Format, links: Links, place: Place, before: int = 0) -> Codes:
    """The codes of an edge with the bits inverted that a mask has for each, which goes round;
    after some packets of the same run."""
    most = (1 << format.width) - 1
    chosen = np.array(
        [(links.mask >> start | links.mask << BITS - start) & most for start in range(BITS)]
    )
    start = place.first
    if place.turn and links.turns:
        packets = codes.reshape(-1, codes.shape[-1])
        packet = before + np.arange(len(packets))[:, np.newaxis]
        start = place.start(packet, np.arange(codes.shape[-1])).reshape(codes.shape)
    flipped: Codes = (codes.astype(np.int64) ^ chosen[start]) & most
    return np.where(flipped > format.max, flipped - most - 1, flipped)


def with_bits(mask: int, start: int, most: int, bits: int) -> int:
    """A mask with other bits from ``start`` on, as many as ``most`` has."""

    def turned(field: int) -> int:
        return (field << start | field >> BITS - start) & (1 << BITS) - 1

    return mask & ~turned(most) | turned(bits)
