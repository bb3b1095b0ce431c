"""The integer program: the cheapest options that fit, as a search of all combinations finds them;
and what a price decides."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssm_hdl.families import DEVICES
from ssm_hdl.families.generic import GENERIC_DEVICE as GENERIC
from ssm_hdl.gen.size.objective import NOTHING, PRICES, Use, budget, idle, price
from ssm_hdl.gen.size.program import Link, Program, pareto

USES = st.builds(Use, *[st.integers(0, 6)] * 7)
OPTIONS = st.lists(st.lists(USES, min_size=1, max_size=4), min_size=2, max_size=4)
BUDGETS = st.builds(Use, *[st.integers(0, 20)] * 7)
KINDS = st.lists(st.integers(0, 1), min_size=4, max_size=4)
ADAPTERS = st.dictionaries(st.tuples(st.integers(0, 1), st.integers(0, 1)), USES)


def _sum(uses):
    total = NOTHING
    for use in uses:
        total = total.plus(use)
    return total


@settings(max_examples=80, deadline=None)
@given(OPTIONS, KINDS, KINDS, ADAPTERS, BUDGETS)
def test_the_cheapest_that_fits(options, outputs, inputs, adapters, budget):
    """With adapters between the first two stages; some pairs cannot be joined.
    Then the next, and the next."""
    link = Link(0, 1, outputs[: len(options[0])], inputs[: len(options[1])], adapters)
    fitting = {}
    for picked in product(*(range(len(uses)) for uses in options)):
        pair = outputs[picked[0]], inputs[picked[1]]
        if pair in adapters:
            total = _sum(
                [
                    *(uses[index] for uses, index in zip(options, picked, strict=True)),
                    adapters[pair],
                ]
            )
            if total.within(budget):
                fitting[picked] = total
    program, excluded = Program(options, [link]), []
    for best in sorted(map(price, fitting.values()))[:3]:
        picked, taken = program.solve(budget, excluded)
        assert taken == fitting[tuple(picked)] and price(taken) == best
        excluded.append(picked)
    if len(fitting) == len(excluded):
        assert program.solve(budget, excluded) is None


@given(st.lists(USES, min_size=1, max_size=8))
def test_what_is_left_out_is_beaten_by_something_kept(uses):
    kept = pareto(uses)
    for use in uses:
        assert any(uses[index].within(use) for index in kept)
    assert not any(uses[a].within(uses[b]) for a in kept for b in kept if a != b)


@pytest.mark.parametrize(
    "resource,worth",
    [("rams", 1), ("sprams", 120), ("idle", 40)],
)
def test_a_resource_is_taken_where_it_saves_more_than_it_is_worth(resource, worth):
    """A price that is 30 % higher or lower decides one of the two cases otherwise."""
    saves = Use(100, 0, 0, 0)._replace(**{resource: 1})
    for factor, taken in ((1.25, 0), (0.8, 1)):
        picked, _ = Program([[saves, Use(100 + factor * worth, 0, 0, 0)]]).solve(Use(*[1000.0] * 7))
        assert picked == [taken]


def test_what_has_no_price():
    """Flip-flops, DSP blocks that are busy, and latency are limited, not weighed."""
    assert [name for name, each in PRICES._asdict().items() if not each] == [
        "flip_flops",
        "dsps",
        "latency",
    ]
    assert price(Use(7, 100, 9, 0, 0, 0, 1000)) == 7


def test_an_idle_block():
    assert (idle(4, 0, 100), idle(4, 25, 100), idle(4, 100, 100), idle(4, 101, 100)) == (4, 3, 0, 0)


def test_the_budget_of_a_device():
    ice40, ecp5 = DEVICES["up5k"], DEVICES["lfe5u-25f"]
    unlimited = float("inf")
    assert budget(ice40) == (0.85 * 5280, unlimited, 8, 29, 4, unlimited, unlimited)
    assert budget(ecp5, 7, Use(1000, 500, 2, 3), 99) == (
        0.87 * 24288 - 1000,
        0.87 * 24288 - 500,
        7,
        53,
        0,
        unlimited,
        99,
    )
    assert budget(ecp5, reserve=Use(0, 0, 2, 0)).dsps == 26
    assert (
        budget(DEVICES["lfe5u-85f"], 156).dsps == 153
        and budget(DEVICES["lfe5u-85f"], reserve=Use(0, 0, 156, 0)).dsps == 0
    )
    assert budget(GENERIC, 8) == (unlimited, unlimited, 8, unlimited, 0, unlimited, unlimited)
