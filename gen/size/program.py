"""The integer program: one option for each stage, at the least price within a budget, exact (HiGHS, `scipy.optimize.milp`).

    minimise    sum_o x[s, o] price(use(s, o)) + sum y[l, a, b] price(adapter(l, a, b))
    subject to  sum_o x[s, o] = 1                                    for every stage s
                sum x use + sum y adapter <= budget                  for every resource
                sum_b y[l, a, b] = sum x[s, o], o with output a      for every link l from s to t
                sum_a y[l, a, b] = sum x[t, o], o with input b

A link is a stream from one stage to another. Its adapter depends on the widths on both sides, hence on pairs of options. y is 1
for the pair of widths that is taken. Pairs that would be too slow have no adapter and no y.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from ssm_hdl.gen.size.objective import Use, price


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
        rows: list[dict[int, float]] = [
            dict.fromkeys(range(a, b), 1.0) for a, b in zip(self._firsts, self._firsts[1:], strict=False)
        ]
        self._choices = len(columns)
        for link in links:
            pairs = {pair: len(columns) + place for place, pair in enumerate(link.adapters)}
            columns += link.adapters.values()
            for side, stage, kinds in ((0, link.source, link.outputs), (1, link.reader, link.inputs)):
                for kind in dict.fromkeys(kinds):
                    row = {column: 1.0 for pair, column in pairs.items() if pair[side] == kind}
                    row |= {self._firsts[stage] + place: -1.0 for place, other in enumerate(kinds) if other == kind}
                    rows.append(row)
        self._uses = np.array(columns, dtype=float)
        self._prices = np.array([price(use) for use in columns])
        entries = [(value, index, column) for index, row in enumerate(rows) for column, value in row.items()]
        values, at, column = (np.array(each) for each in zip(*entries, strict=True))
        self._equal = csr_array((values, (at, column)), shape=(len(rows), len(columns)))
        self._right = np.array([1.0] * len(options) + [0.0] * (len(rows) - len(options)))

    def solve(self, budget: Use, excluded: Sequence[Sequence[int]] = ()) -> tuple[list[int], Use] | None:
        """The index of an option for each stage, and what they take with their adapters; None if nothing keeps the budget.

        Args:
            budget: what all may take.
            excluded: choices that are not to be made again.
        """
        if any(first == last for first, last in zip(self._firsts, self._firsts[1:], strict=False)):
            return None
        limited = np.flatnonzero(np.isfinite(budget))
        constraints = [LinearConstraint(self._equal, self._right, self._right)]
        constraints.append(LinearConstraint(self._uses[:, limited].T, -np.inf, np.array(budget)[limited]))
        for picked in excluded:
            row = np.zeros(len(self._prices))
            row[self._firsts[:-1] + picked] = 1
            constraints.append(LinearConstraint(row, -np.inf, len(picked) - 1))
        whole = np.ones(len(self._prices))  # y would be whole by itself, but HiGHS prints to stdout where variables are mixed
        answer = milp(self._prices, constraints=constraints, integrality=whole, bounds=Bounds(0, 1))
        if answer.x is None:
            return None
        taken = np.flatnonzero(answer.x[: self._choices] > 0.5)
        return [int(index) for index in taken - self._firsts[:-1]], Use(*(answer.x @ self._uses).tolist())
