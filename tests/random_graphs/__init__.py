"""Random manifests and plans: any operations in any order, any formats, any hardware."""

from random import Random

from hypothesis import strategies as st

from random_graphs.growth import Growth
from random_graphs.kinds import embedding, finish, over_time, token_format
from random_graphs.layers import grow, repeat
from random_graphs.plans import random_plan
from ssm_hdl import Manifest

DICE = st.randoms(use_true_random=False)
"""Choices that Hypothesis makes and shrinks."""


def random_manifest(dice: Random, most: int = 30, far: bool = False) -> Manifest:
    """A manifest of one operation to ``most``; formats up to the limits if ``far``,
    else up to 24 bits."""

    def few(*counts: int) -> int:
        """One of the counts that are likely to fit: what has too many operations is drawn again."""
        return dice.choice([count for count in counts if count <= most // 2])

    while True:
        growth = Growth(dice, far)
        x = growth.edges["x"]
        if token_format(x) and dice.choice([True, True, False]):
            embedding(growth, x)
        grow(growth, few(0, 1, 1, 2, 2, 3, 5))
        layers = few(1, 1, 1, 2, 2, 3, 4, 5, 6)
        if layers > 1 and (entry := growth.pick(per_sequence=False)):
            repeat(growth, entry, layers)
            grow(growth, few(0, 0, 1, 2))
        per_sequence = dice.choice([True, False])
        if per_sequence:
            for _ in range(dice.choice([1, 1, 2])):
                if source := growth.pick(per_sequence=False):
                    over_time(growth, source)
            grow(growth, few(0, 1, 2, 3), per_sequence=True)
        output = finish(growth, per_sequence)
        if output is not None and 1 <= len(growth.operations) <= most:
            return growth.manifest("random_graph", output)


__all__ = ["DICE", "Growth", "random_manifest", "random_plan"]
