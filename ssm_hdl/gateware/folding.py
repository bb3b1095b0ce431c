"""How the products of a stage fall onto its multipliers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.gateware import multiplier
from ssm_hdl.gateware.layers import Layers, Nodes, Table
from ssm_hdl.gateware.multiplier import Numbers
from ssm_hdl.gateware.operands import PARTS, PLAIN, factors, operands
from ssm_hdl.gateware.shift import Shifts
from ssm_hdl.gateware.stream import shape_of

_AROUND = 6  # cycles of the loop of a scan beside its multiplier: to read a state, add, round and saturate


class Folding:
    """What the foldings of all operations have in common."""

    @classmethod
    def of(cls, nodes: Nodes, multipliers: int, terms: int = PLAIN) -> Self:
        """The folding onto a number of multipliers.

        Args:
            nodes: the bound operation, or those of several layers.
            multipliers: how many.
            terms: products of real numbers in a complex one; only a scan has any.

        Raises:
            SsmHdlError: the number does not divide the work evenly; the message lists those that do.
        """
        choices = cls.choices(nodes, terms)
        for folding in choices:
            if folding.multipliers == multipliers:
                return folding
        valid = ", ".join(str(folding.multipliers) for folding in choices)
        raise SsmHdlError(f"{Layers.of(nodes).node.name}: cannot fold onto {multipliers} multipliers; it can onto {valid}")

    @classmethod
    def choices(cls, nodes: Nodes, terms: int = PLAIN) -> Sequence[Self]:
        """Every folding, from the fewest multipliers to the most."""
        raise NotImplementedError

    @property
    def products(self) -> int:
        """Products of real numbers that the multipliers make for a packet."""
        raise NotImplementedError

    def latency(self, kind: str) -> int:
        """Cycles of a product."""
        raise NotImplementedError

    def blocks(self, kind: str) -> int:
        """DSP blocks that the multipliers take."""
        raise NotImplementedError

    @property
    def multipliers(self) -> int:
        """Multipliers side by side."""
        raise NotImplementedError

    @property
    def o_lanes(self) -> int:
        """Numbers in a beat of the output."""
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
    def choices(cls, nodes: Nodes, terms: int = PLAIN) -> Sequence[Self]:
        """Every folding, from 1 multiplier to all: rows first, then columns, then groups."""
        layers = Layers.of(nodes)
        weight = layers.node.arrays["weight"]
        groups, rows, columns = shape = (*weight.shape[:2], int(np.prod(weight.shape[2:])))
        by_row = [(1, r, 1) for r in range(1, rows + 1) if rows % r == 0]
        by_column = [(1, rows, c) for c in range(2, columns + 1) if columns % c == 0]
        by_group = [(g, rows, columns) for g in range(2, groups + 1) if groups % g == 0]
        weights, x = layers.numbers(factors), shape_of(layers.node.inputs[0])
        return [cls(shape, g, r, c, weights, x) for g, r, c in by_row + by_column + by_group]

    @property
    def multipliers(self) -> int:
        """Multipliers side by side."""
        return self.groups * self.rows * self.columns

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
        """Times that the input of a group is read."""
        return self.shape[1] // self.rows

    @property
    def beats(self) -> int:
        """Beats of a group's input."""
        return self.shape[2] // self.columns

    @property
    def words(self) -> int:
        """Weight words of a packet."""
        return self.shape[0] // self.groups * self.passes * self.beats

    @property
    def cycles(self) -> int:
        """Cycles in which the weight words of a packet are read."""
        return self.words

    def interval(self, product: int) -> int:
        """Cycles per packet, whatever cycles a product takes."""
        return self.words


@dataclass(frozen=True)
class ScanFolding(Folding):
    """How the C x N complex products fall onto multipliers: ``modes`` of them side by side, or one in ``phases`` cycles.

    ``terms`` are the products of real numbers in a complex one, of a ``code`` and a ``state``. ``align`` is what it takes to
    bring the products of different modes to one scale; ``parts`` are those of an element of u.
    """

    shape: tuple[int, int]
    modes: int
    phases: int
    terms: int
    align: int
    parts: int
    code: Numbers
    state: Numbers

    @classmethod
    def choices(cls, nodes: Nodes, terms: int = PLAIN) -> Sequence[Self]:
        """Every folding: 1 or 2 multipliers for a mode, ``terms`` for each of several modes, up to all modes of all channels."""
        layers = Layers.of(nodes)
        parts = PARTS if layers.node.inputs[0].is_complex else 1
        channels, modes = shape = layers.node.arrays["scale"].shape
        serial = [(1, terms, terms), (1, 2, PLAIN)]
        within = [(n, 1, terms) for n in range(1, modes + 1) if modes % n == 0]
        across = [(c * modes, 1, terms) for c in range(2, channels + 1) if channels % c == 0]
        align = {n: Shifts(scales(layers, n)).latency for n, _, _ in serial + within + across}
        numbers = {count: operands(layers, count) for count in (terms, PLAIN)}
        return [cls(shape, n, phases, each, align[n], parts, *numbers[each]) for n, phases, each in serial + within + across]

    @property
    def multipliers(self) -> int:
        """Multipliers side by side."""
        return self.modes * self.terms // self.phases

    @property
    def products(self) -> int:
        """Products of real numbers for a packet."""
        return self.words * self.modes * self.terms

    def latency(self, kind: str) -> int:
        """Cycles of a product."""
        return multiplier.latency(kind, self.code, self.state, self._shared)

    def blocks(self, kind: str) -> int:
        """DSP blocks that the multipliers take."""
        return multiplier.blocks(kind, self.code, self.state, self.multipliers, self._shared)

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
        """Cycles from reading a state to having written it, with a multiplier that takes ``product``."""
        return _AROUND + product + self.align + self.phases

    def interval(self, product: int) -> int:
        """Cycles per step, with a multiplier that takes ``product``."""
        return max(self.cycles, self.loop(product))

    @property
    def channels(self) -> int:
        """Channels side by side: elements of u in a beat."""
        return max(1, self.modes // self.shape[1])

    @property
    def i_lanes(self) -> int:
        """Numbers in a beat of u."""
        return self.parts * self.channels

    @property
    def words_per_beat(self) -> int:
        """Memory words that one beat of u drives."""
        return self.words * self.channels // self.shape[0]


def scales(layers: Layers, lanes: int, name: str = "scale") -> Table:
    """The shifts that bring the channels of every layer to one scale, as many a word as there are lanes."""
    return layers.table(lambda node, lift: node.arrays[name].reshape(-1, lanes) + lift)
