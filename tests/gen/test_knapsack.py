"""One option for each stage: the cheapest that fits, as a search of all combinations finds it."""

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from ssm_hdl.gen.knapsack import NOTHING, Use, choose, pareto

USES = st.builds(Use, *[st.integers(0, 6)] * 7)
OPTIONS = st.lists(st.lists(USES, min_size=1, max_size=4), min_size=1, max_size=4)
PRICES = Use(1, 0, 3, 2, 5, 4, 1)


def _cost(uses):
    return sum(amount * price for use in uses for amount, price in zip(use, PRICES, strict=True))


def _sum(uses):
    total = NOTHING
    for use in uses:
        total = total.plus(use)
    return total


@settings(max_examples=60, deadline=None)
@given(OPTIONS, st.builds(Use, *[st.integers(0, 14)] * 7))
def test_the_cheapest_that_fits(options, budget):
    fitting = [way for way in product(*options) if _sum(way).within(budget)]
    picked = choose(options, budget, PRICES)
    if not fitting:
        assert picked is None
        return
    way = [each[index] for each, index in zip(options, picked, strict=True)]
    assert _sum(way).within(budget) and _cost(way) == min(map(_cost, fitting))


@given(st.lists(USES, min_size=1, max_size=8))
def test_what_is_left_out_is_beaten_by_something_kept(uses):
    kept = pareto(uses)
    for use in uses:
        assert any(uses[index].within(use) for index in kept)
    assert not any(uses[a].within(uses[b]) for a in kept for b in kept if a != b)
