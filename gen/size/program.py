"""The integer program: one option for each stage, at the least price within a budget,
exact (HiGHS).

    minimise    sum_o x[s, o] price(use(s, o)) + sum y[l, a, b] price(adapter(l, a, b))
    subject to  sum_o x[s, o] = 1                                    for every stage s
                sum x use + sum y adapter <= budget                  for every resource
                sum_b y[l, a, b] = sum x[s, o], o with output a      for every link l from s to t
                sum_a y[l, a, b] = sum x[t, o], o with input b

A link is a stream from one stage to another. Its adapter depends on the widths on both sides, hence
on pairs of options. y is 1 for the pair of widths that is taken. Pairs that would be too slow have
no adapter and no y.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import highspy
import numpy as np

from ssm_hdl.gen.size.objective import Use, price


class Row(NamedTuple):
    """A constraint: least <= sum of values times columns <= most."""

    values: Mapping[int, float]
    least: float
    most: float


@dataclass(frozen=True)
class Link:
    """A stream between two stages that choose on their own.

    Attributes:
        source: index of the stage that sends.
        reader: index of the stage that reads.
        outputs: for each option of the source, the kind of its output.
        inputs: for each option of the reader, the kind of its input.
        adapters: what the adapter between two kinds takes; no entry if they cannot be joined.
    """

    source: int
    reader: int
    outputs: Sequence[Hashable]
    inputs: Sequence[Hashable]
    adapters: Mapping[tuple[Hashable, Hashable], Use]


def pareto(uses: Sequence[Use]) -> list[int]:
    """Indices of the options that no other one equals or beats in everything."""
    kept: list[int] = []
    for index in sorted(range(len(uses)), key=lambda index: uses[index]):
        if not any(uses[other].within(uses[index]) for other in kept):
            kept.append(index)
    return kept


class Program:
    """The program of a set of options.

    Args:
        options: what each option of each stage takes.
        links: the streams between them.
    """

    def __init__(self, options: Sequence[Sequence[Use]], links: Sequence[Link] = ()) -> None:
        counts = [len(uses) for uses in options]
        self._firsts = np.concatenate([[0], np.cumsum(counts)]).astype(int)
        if not all(counts):
            return  # a stage has no option: nothing to solve
        columns = [use for uses in options for use in uses]
        self._rows = [
            Row(dict.fromkeys(range(a, b), 1.0), 1, 1)
            for a, b in zip(self._firsts, self._firsts[1:], strict=False)
        ]
        self._choices = len(columns)
        for link in links:
            pairs = {pair: len(columns) + place for place, pair in enumerate(link.adapters)}
            columns += link.adapters.values()
            for side, stage, kinds in (
                (0, link.source, link.outputs),
                (1, link.reader, link.inputs),
            ):
                for kind in dict.fromkeys(kinds):
                    row = {column: 1.0 for pair, column in pairs.items() if pair[side] == kind}
                    row |= {
                        self._firsts[stage] + place: -1.0
                        for place, other in enumerate(kinds)
                        if other == kind
                    }
                    self._rows.append(Row(row, 0, 0))
        self._uses = np.array(columns, dtype=float)
        self._prices = np.array([price(use) for use in columns])

    def solve(
        self, budget: Use, excluded: Sequence[Sequence[int]] = ()
    ) -> tuple[list[int], Use] | None:
        """The index of an option for each stage, and what they take with their adapters;
        None if nothing keeps the budget.

        Args:
            budget: what all may take.
            excluded: choices that are not to be made again.
        """
        if any(first == last for first, last in zip(self._firsts, self._firsts[1:], strict=False)):
            return None
        rows = [*self._rows]
        for limit, uses in zip(budget, self._uses.T, strict=True):
            if np.isfinite(limit):
                rows.append(
                    Row(
                        {int(column): uses[column] for column in np.flatnonzero(uses)},
                        -np.inf,
                        limit,
                    )
                )
        for picked in excluded:
            rows.append(
                Row(dict.fromkeys(self._firsts[:-1] + picked, 1.0), -np.inf, len(picked) - 1)
            )
        values = _minimum(self._prices, rows)
        if values is None:
            return None
        taken = np.flatnonzero(values[: self._choices] > 0.5)
        return (
            [int(index) for index in taken - self._firsts[:-1]],
            Use(*(values @ self._uses).tolist()),
        )


def _minimum(prices: np.ndarray, rows: Sequence[Row]) -> np.ndarray | None:
    """Variables of 0 or 1 at the least price; None if no values keep the constraints."""
    lp = highspy.HighsLp()
    lp.num_col_ = lp.a_matrix_.num_col_ = len(prices)
    lp.num_row_ = lp.a_matrix_.num_row_ = len(rows)
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = (
        prices.tolist(),
        [0.0] * len(prices),
        [1.0] * len(prices),
    )
    lp.integrality_ = [highspy.HighsVarType.kInteger] * len(prices)
    lp.row_lower_, lp.row_upper_ = [row.least for row in rows], [row.most for row in rows]
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = np.cumsum([0, *(len(row.values) for row in rows)]).tolist()
    lp.a_matrix_.index_ = [column for row in rows for column in row.values]
    lp.a_matrix_.value_ = [value for row in rows for value in row.values.values()]
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)  # ties fall alike on every machine
    solver.passModel(lp)
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return None
    return np.array(solver.getSolution().col_value)
