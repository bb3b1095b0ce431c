# amaranth: UnusedElaboratable=no
"""The stage of an operation from outside, checked as those of the project are."""

import pytest

from ssm_hdl import SQ, registry
from ssm_hdl.families import FAMILIES
from ssm_hdl.gateware.layers import Layers
from ssm_hdl.operations import Edge, Tensors


@pytest.mark.parametrize("family", FAMILIES.values(), ids=str)
def test_a_difference_with_its_line_in_memory_or_in_registers(outside, check, family):
    """Few words are registers."""
    for size in (2, 40):
        op = registry.operation("difference")(name="y", input="x", format=SQ(2, 5))
        node = op.bind((Edge("x", size, SQ(1, 7)),), Tensors({}, {}), 24)
        check(lambda node=node: registry.stage("difference")(Layers([node], family=family)), node)
