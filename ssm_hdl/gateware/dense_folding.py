"""How the products of a dense fall onto its multipliers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from ssm_hdl.errors import UsageError
from ssm_hdl.families.base import Family
from ssm_hdl.gateware.folding import Folding, divisors, parts, worth
from ssm_hdl.gateware.layers import Layers, Nodes
from ssm_hdl.gateware.multiplier import LUT, Numbers
from ssm_hdl.gateware.operands import PARTS, factors
from ssm_hdl.gateware.stream import beats, shape_of

_PARTLY = (1, 0.9, 0.75, 0.5)
"""Shares of the DSP blocks that there are which a dense that would take more of them may have:
others need some, too."""


@dataclass(frozen=True)
class DenseFolding(Folding):
    """How the M x N products of each of G groups fall onto multipliers:
    ``rows * columns * groups`` of them side by side.

    All counts are of real numbers; the real part of a complex product is a real product of twice
    the columns. Rows or columns side by side that do not divide all of them fill up the last beat:
    with results that do not count, with weights of 0. With ``columns_in_blocks``,
    the multipliers of the other columns are made of LUTs.
    """

    shape: tuple[int, int, int]
    groups: int
    rows: int
    columns: int
    weights: Numbers
    x: Numbers
    family: Family
    columns_in_blocks: int | None = None

    @classmethod
    def of(cls, nodes: Nodes, which: int | str) -> Self:
        """The folding of a name, or the first onto a number of multipliers.

        Raises:
            SsmHdlError: there is none; the message lists what there is.
        """
        whole, _, some = str(which).partition(":")
        folding = super().of(nodes, whole if some else which)
        if not some:
            return folding
        if some not in map(str, range(1, folding.columns)):
            columns = (
                f"{folding.columns} columns side by side, of which some, but not all, "
                "may be in DSP blocks"
            )
            raise UsageError(
                f"{Layers.of(nodes).node.name}: cannot fold onto {which}; {whole} has {columns}"
            )
        return replace(folding, columns_in_blocks=int(some))

    @classmethod
    def every(cls, layers: Layers) -> Sequence[Self]:
        """Every folding, ordered by multipliers, from 1 to all; of equal ones the fastest first,
        then the one of more rows.

        Several groups side by side have all of their rows side by side too, so that results come in
        their order. The rows of a single group need not divide all of them if that pays,
        nor the columns of several, which come from a scan.
        """
        weight = layers.node.arrays["weight"]
        groups, rows, columns = shape = (*weight.shape[:2], int(np.prod(weight.shape[2:])))
        codes = layers.numbers(factors)
        numbers = range(min(codes.start, 0), max(codes.stop, 1)), shape_of(layers.node.inputs[0])
        of_modes = (
            [PARTS * modes for modes in parts(columns // PARTS)]
            if layers.node.inputs[0].is_complex
            else []
        )
        some_rows, some_columns = parts(rows), divisors(columns)
        if groups > 1:
            some_rows, some_columns = divisors(rows), sorted({*parts(columns), *of_modes})
        one = [
            cls(shape, 1, r, c, *numbers, layers.family) for r in some_rows for c in some_columns
        ]
        one = worth(one) if groups == 1 else one
        several = [
            cls(shape, g, rows, c, *numbers, layers.family)
            for g in divisors(groups)[1:]
            for c in some_columns
        ]
        return sorted(
            one + several,
            key=lambda folding: (
                folding.multipliers,
                folding.cycles,
                -folding.rows,
                folding.groups,
            ),
        )

    @property
    def name(self) -> str:
        """Rows x columns: after the groups if there are several,
        and before the columns in DSP blocks if not all are."""
        suffix = "" if self.columns_in_blocks is None else f":{self.columns_in_blocks}"
        return (
            f"{self.groups}x" if self.shape[0] > 1 else ""
        ) + f"{self.rows}x{self.columns}{suffix}"

    @property
    def interleaved(self) -> tuple[int, int] | None:
        """Groups side by side and the columns of each, if these are not all."""
        return (self.groups, self.columns) if self.groups > 1 and self.beats > 1 else None

    @property
    def plain(self) -> bool:
        """No groups are filled up, which only a scan does that is folded alike."""
        return self.interleaved is None and (
            self.shape[0] == 1 or self.shape[2] % self.columns == 0
        )

    @property
    def exact(self) -> bool:
        """Its multipliers divide rows and columns."""
        return self.shape[1] % self.rows == 0 and self.shape[2] % self.columns == 0

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

    def kinds(self, kind: str) -> list[tuple[str, range, int]]:
        """The kinds of the multipliers, the columns of each, and cycles of their products;
        the rows of a group share x."""
        count = (
            self.columns
            if self.columns_in_blocks is None or kind == LUT
            else self.columns_in_blocks
        )
        split = [(kind, range(count)), (LUT, range(count, self.columns))]
        numbers = self.weights, self.x, self.rows
        return [
            (multiplier, columns, self.family.multiplier(multiplier).latency(*numbers))
            for multiplier, columns in split
            if columns
        ]

    def latency(self, kind: str) -> int:
        """Cycles of a product."""
        return max(cycles for _, _, cycles in self.kinds(kind))

    def blocks(self, kind: str) -> int:
        """DSP blocks that the multipliers take."""
        return self.family.multiplier(kind).blocks(
            self.weights, self.x, self.in_blocks(kind), self.rows
        )

    def in_blocks(self, kind: str) -> int:
        """Multipliers that are in them."""
        return 0 if kind == LUT else self.groups * self.rows * len(self.kinds(kind)[0][1])

    def suits(self, kind: str) -> bool:
        """Both operands fit the kind."""
        return all(
            self.family.multiplier(kind).spare(operand) >= 0 for operand in (self.weights, self.x)
        )

    def spread(self, kind: str, blocks: int) -> list[Self]:
        """The splits of its multipliers: all or some columns in DSP blocks, ``blocks`` at most,
        and the others of LUTs.

        Where all may be in them, half of the columns, rounded down, may be too,
        so that others get the rest.
        """
        if kind == LUT:
            return [self]
        parts = {count: replace(self, columns_in_blocks=count) for count in range(1, self.columns)}
        if self.blocks(kind) <= blocks:
            return [self, *(part for count, part in parts.items() if count == self.columns // 2)]
        largest = max(
            (count for count, part in parts.items() if part.blocks(kind) <= blocks), default=0
        )
        return [
            parts[count] for count in sorted({round(largest * share) for share in _PARTLY} - {0})
        ]

    @property
    def passes(self) -> int:
        """Cycles in which a beat is multiplied, by some rows in each."""
        return beats(self.shape[1], self.rows)

    @property
    def beats(self) -> int:
        """Beats of a group's input."""
        return beats(self.shape[2], self.columns)

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
        """Cycles between the results of one beat and the results of the next."""
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
