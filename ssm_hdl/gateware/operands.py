"""What the stages multiply: the codes of weights and transitions as they stand in the tables,
and how wide they are."""

import numpy as np
from amaranth.hdl import Shape

from ssm_hdl.fixed import Codes
from ssm_hdl.gateware.layers import Layers
from ssm_hdl.gateware.stream import shape_of
from ssm_hdl.operations import Node

PARTS = 2
"""Numbers of a complex element: real and imaginary."""

PLAIN, SHORT = 4, 3
"""Products of real numbers in a complex one, (a + bi)(c + di): as it is written, or by c (a + b),
a (d - c) and b (c + d)."""


def factors(node: Node) -> Codes:
    """The codes of a dense's weights as they are multiplied: (a + bi)(c + di)
    has the real part ac - bd."""
    weight = node.arrays["code"]
    return weight * np.array([1, -1]) if node.inputs[0].is_complex else weight


def transition(node: Node, terms: int) -> Codes:
    """The codes c + di of a scan's transition as they are multiplied: c and d,
    or c, d - c and c + d."""
    c, d = np.moveaxis(node.arrays["code"], -1, 0)
    return np.stack([c, d] if terms == PLAIN else [c, d - c, c + d], axis=-1)


def state(layers: Layers, terms: int) -> Shape:
    """What the state of a scan may be in a product: the sum of both parts has a bit more."""
    part = shape_of(layers.node.output)
    return Shape(part.width + (terms == SHORT), part.signed)
