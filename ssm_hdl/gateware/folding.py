"""How the products of a stage fall onto its multipliers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.fixed import Codes
from ssm_hdl.gateware import multiplier
from ssm_hdl.gateware.layers import Layers, Nodes, Table
from ssm_hdl.gateware.multiplier import Numbers
from ssm_hdl.gateware.operands import PARTS, PLAIN, SHORT, factors, state, transition
from ssm_hdl.gateware.scales import Scales
from ssm_hdl.gateware.shift import Shifts
from ssm_hdl.gateware.stream import shape_of

_AROUND = 6  # cycles of the loop of a scan beside its products: to read a state, add, round and saturate


class Folding:
    """What the foldings of all operations have in common."""

    @classmethod
    def of(cls, nodes: Nodes, which: int | str) -> Self:
        """The folding of a name, or the first onto a number of multipliers.

        Raises:
            SsmHdlError: there is none; the message lists what there is.
        """
        choices = cls.choices(nodes)
        for folding in choices:
            if which in (folding.multipliers, folding.name):
                return folding
        counts = ", ".join(map(str, dict.fromkeys(folding.multipliers for folding in choices)))
        names = f" as {', '.join(folding.name for folding in choices)}" if isinstance(which, str) else ""
        what = which if isinstance(which, str) else f"{which} multipliers"
        raise SsmHdlError(f"{Layers.of(nodes).node.name}: cannot fold onto {what}; it can onto {counts}{names}")

    @classmethod
    def choices(cls, nodes: Nodes) -> Sequence[Self]:
        """Every folding, from the fewest multipliers to the most."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        """What it is called, among those of its operation."""
        return str(self.multipliers)

    @property
    def products(self) -> int:
        """Products of real numbers that the multipliers make for a packet."""
        raise NotImplementedError

    def blocks(self, kind: str) -> int:
        """DSP blocks that the multipliers take."""
        raise NotImplementedError

    def latency(self, kind: str) -> int:
        """Cycles of a product."""
        raise NotImplementedError

    def suits(self, kind: str) -> bool:
        """Its products can be made by a kind of multiplier."""
        return True

    @property
    def multipliers(self) -> int:
        """Multipliers side by side."""
        raise NotImplementedError

    @property
    def interleaved(self) -> tuple[int, int] | None:
        """Channels side by side and the numbers of each in a beat, if packets have another order for it than their elements'."""
        return None

    @property
    def i_lanes(self) -> int:
        """Numbers in a beat of the input."""
        raise NotImplementedError

    @property
    def o_lanes(self) -> int:
        """Numbers in a beat of the output."""
        raise NotImplementedError

    @property
    def holds(self) -> int:
        """Cycles in which it works with a beat before it takes the next."""
        raise NotImplementedError

    def interval(self, product: int) -> int:
        """Cycles per packet, with a multiplier that takes ``product``."""
        raise NotImplementedError


@dataclass(frozen=True)
class DenseFolding(Folding):
    """How the M x N products of each of G groups fall onto multipliers: ``rows * columns * groups`` of them side by side.

    All counts are of real numbers; the real part of a complex product is a real product of twice the columns.
    """

    shape: tuple[int, int, int]
    groups: int
    rows: int
    columns: int
    weights: Numbers
    x: Numbers

    @classmethod
    def choices(cls, nodes: Nodes) -> Sequence[Self]:
        """Every folding, from 1 multiplier to all; of as many multipliers those of more rows first, then of fewer groups.

        Several groups side by side have all of their rows side by side too, so that results come in their order.
        """
        layers = Layers.of(nodes)
        weight = layers.node.arrays["weight"]
        groups, rows, columns = shape = (*weight.shape[:2], int(np.prod(weight.shape[2:])))
        numbers = layers.numbers(factors), shape_of(layers.node.inputs[0])
        one = [cls(shape, 1, r, c, *numbers) for r in _divisors(rows) for c in _divisors(columns)]
        several = [cls(shape, g, rows, c, *numbers) for g in _divisors(groups)[1:] for c in _divisors(columns)]
        return sorted(one + several, key=lambda folding: (folding.multipliers, -folding.rows, folding.groups))

    @property
    def name(self) -> str:
        """Rows x columns, before them the groups if there are several."""
        return f"{self.groups}x{self.rows}x{self.columns}" if self.shape[0] > 1 else f"{self.rows}x{self.columns}"

    @property
    def interleaved(self) -> tuple[int, int] | None:
        """Groups side by side and the columns of each, if these are not all."""
        return (self.groups, self.columns) if self.groups > 1 and self.beats > 1 else None

    @property
    def multipliers(self) -> int:
        """Multipliers side by side."""
        return self.groups * self.rows * self.columns

    @property
    def i_lanes(self) -> int:
        """Numbers in a beat of the input."""
        return self.groups * self.columns

    @property
    def o_lanes(self) -> int:
        """Numbers in a beat of the output."""
        return self.groups * self.rows

    @property
    def products(self) -> int:
        """Products of real numbers for a packet."""
        return int(np.prod(self.shape))

    def latency(self, kind: str) -> int:
        """Cycles of a product; the rows of a group share x."""
        return multiplier.latency(kind, self.weights, self.x, self.rows)

    def blocks(self, kind: str) -> int:
        """DSP blocks that the multipliers take."""
        return multiplier.blocks(kind, self.weights, self.x, self.multipliers, self.rows)

    @property
    def passes(self) -> int:
        """Cycles in which a beat is multiplied, by some rows in each."""
        return self.shape[1] // self.rows

    @property
    def beats(self) -> int:
        """Beats of a group's input."""
        return self.shape[2] // self.columns

    @property
    def blocks_of_groups(self) -> int:
        """Times that groups side by side work in a packet."""
        return self.shape[0] // self.groups

    @property
    def holds(self) -> int:
        """Cycles in which it works with a beat before it takes the next."""
        return self.passes

    @property
    def spacing(self) -> int:
        """Cycles between the results of a beat and those of the next."""
        return 1 if self.passes > 1 else self.beats

    @property
    def words(self) -> int:
        """Weight words of a packet."""
        return self.blocks_of_groups * self.passes * self.beats

    @property
    def cycles(self) -> int:
        """Cycles in which the weight words of a packet are read."""
        return self.words

    def interval(self, product: int) -> int:
        """Cycles per packet, whatever cycles a product takes."""
        return self.words


class Operands(NamedTuple):
    """What the operands of a scan's multipliers may be, and the cycles of the shift of what they make."""

    code: Numbers
    state: Numbers
    align: int

    @classmethod
    def of(cls, scales: Scales) -> Self:
        """Those of what brings the products to one scale."""
        return cls(scales.code, scales.state, scales.latency)


_NONE = Operands(range(1), range(1), 0)


@dataclass(frozen=True)
class ScanFolding(Folding):
    """How the C x N complex products fall onto multipliers: ``channels * within`` modes at once, or one in ``phases`` cycles.

    ``terms`` are the products of real numbers in a complex one; ``parts`` are those of an element of u; ``least`` are the cycles
    that the products have to take, since what is added to them is not there before. ``late`` and ``early`` are what is multiplied
    with the shifts to one scale behind the products and in front of the multipliers, as far as they have room.
    """

    shape: tuple[int, int]
    channels: int
    within: int
    phases: int
    terms: int
    parts: int
    least: int = 0
    late: Operands = _NONE
    early: Operands = _NONE

    @classmethod
    def choices(cls, nodes: Nodes) -> Sequence[Self]:
        """Every folding: 1 or 2 multipliers for a mode, 3 or 4 for each of several modes, up to all modes of all channels.

        Of as many multipliers, those of fewer channels first.
        """
        layers = Layers.of(nodes)
        parts = PARTS if layers.node.inputs[0].is_complex else 1
        channels, modes = shape = layers.node.arrays["scale"].shape
        ways = [(1, 1, PLAIN, PLAIN), (1, 1, 2, PLAIN), (1, 1, SHORT, SHORT)]
        ways += [(c, w, 1, terms) for c in _divisors(channels) for w in _divisors(modes) for terms in (PLAIN, SHORT)]
        made = [cls(shape, c, w, phases, terms, parts) for c, w, phases, terms in ways]
        ordered = sorted(made, key=lambda folding: (folding.multipliers, folding.channels))
        return [folding._timed(layers) for folding in ordered]

    def _timed(self, layers: Layers) -> Self:
        """The same with what it multiplies and the cycles of its shifts."""
        drive = Shifts(self.amounts(layers, "shift")).latency
        late, early = (Operands.of(self._scales(layers, early)) for early in (False, True))
        return replace(self, least=drive + getattr(layers.node.op, "delta", False) - 1, late=late, early=early)

    @property
    def name(self) -> str:
        """Channels x modes of each; behind it the phases of a mode that has fewer multipliers than products, or 3 products."""
        short = "" if self.terms == PLAIN else f"*{SHORT}"
        return f"{self.channels}x{self.within}" + (f"/{self.phases}" if self.phases > 1 else short)

    @property
    def interleaved(self) -> tuple[int, int] | None:
        """Channels side by side and the parts of the modes of each, if these are not all."""
        return (self.channels, PARTS * self.within) if self.channels > 1 and self.within < self.shape[1] else None

    @property
    def modes(self) -> int:
        """Modes side by side."""
        return self.channels * self.within

    @property
    def multipliers(self) -> int:
        """Multipliers side by side."""
        return self.modes * self.terms // self.phases

    @property
    def products(self) -> int:
        """Products of real numbers for a packet."""
        return self.words * self.modes * self.terms

    def operands(self, kind: str) -> Operands:
        """What is multiplied. Only a product that has a MULT18X18D alone has bits to spare."""
        alone = kind == "ecp5" and not multiplier.pairs(kind, self.late.code, self.late.state, self._shared)
        return self.early if alone else self.late

    def scales(self, layers: Layers, kind: str) -> Scales:
        """What brings the products to one scale."""
        return self._scales(layers, self.operands(kind) is self.early)

    def latency(self, kind: str) -> int:
        """Cycles of a product until it is at the scale of all."""
        return max(self.least, self._product(kind) + self.operands(kind).align)

    def wait(self, kind: str) -> int:
        """Cycles of them in which the product is there and what is added to it is not."""
        return self.latency(kind) - self._product(kind) - self.operands(kind).align

    def blocks(self, kind: str) -> int:
        """DSP blocks that the multipliers take."""
        code, state, _ = self.operands(kind)
        return multiplier.blocks(kind, code, state, self.multipliers, self._shared)

    def suits(self, kind: str) -> bool:
        """Sums of operands have a bit more, which not every multiplier takes, and half of an SB_MAC16 does not."""
        if kind == "lut":
            return self.terms == PLAIN
        code, state, _ = self.operands(kind)
        return self.terms == PLAIN or (kind != "ice40" and multiplier.fits(code) and multiplier.fits(state))

    def _product(self, kind: str) -> int:
        """Cycles of a product; with sums of operands, one to add them: multipliers are far from what is around them."""
        code, state, _ = self.operands(kind)
        return multiplier.latency(kind, code, state, self._shared) + (self.terms == SHORT)

    @property
    def _shared(self) -> int:
        """Products with the same part of a state: those of both parts of the code."""
        return 2 if self.phases == 1 and self.terms == PLAIN else 1

    @property
    def o_lanes(self) -> int:
        """Numbers in a beat of the output."""
        return PARTS * self.modes

    @property
    def words(self) -> int:
        """Memory words of a step."""
        return self.shape[0] * self.shape[1] // self.modes

    @property
    def cycles(self) -> int:
        """Cycles in which the memory words of a step are read."""
        return self.words * self.phases

    def loop(self, product: int) -> int:
        """Cycles from reading a state to having written it, with products at one scale after ``product``."""
        return _AROUND + product + self.phases

    def interval(self, product: int) -> int:
        """Cycles per step, with products at one scale after ``product``."""
        return max(self.cycles, self.loop(product))

    @property
    def i_lanes(self) -> int:
        """Numbers in a beat of u."""
        return self.parts * self.channels

    @property
    def words_per_beat(self) -> int:
        """Memory words that one beat of u drives."""
        return self.shape[1] // self.within

    @property
    def holds(self) -> int:
        """Cycles in which it works with a beat before it takes the next."""
        return self.phases * self.words_per_beat

    def arrange(self, constants: Codes) -> Codes:
        """Constants of the modes, (C, N, ...), as they stand in the words of the memories: (words, those of a word)."""
        (channels, modes), rest = self.shape, constants.shape[2:]
        split = constants.reshape(channels // self.channels, self.channels, modes // self.within, self.within, *rest)
        return split.swapaxes(1, 2).reshape(self.words, -1)

    def amounts(self, layers: Layers, name: str) -> Table:
        """The shifts that bring the products (``scale``) or the drives (``shift``) of every layer to one scale."""
        return layers.table(lambda node, lift: self.arrange(node.arrays[name]) + lift)

    def _scales(self, layers: Layers, early: bool) -> Scales:
        codes = layers.table(lambda node, lift: self.arrange(transition(node, self.terms)))
        return Scales(codes, self.amounts(layers, "scale"), state(layers, self.terms), early)


def _divisors(number: int) -> list[int]:
    return [n for n in range(1, number + 1) if number % n == 0]
