"""Last: the last packet of a sequence."""

from typing import Literal

from ssm_hdl.operations.base import Edge, Node, OverTime, Tensors


class Last(OverTime):
    """y = x[T], once per sequence of T steps, in the format of x."""

    op: Literal["last"] = "last"

    def bind(self, inputs: tuple[Edge, ...], tensors: Tensors, steps: int) -> Node:
        """No arrays."""
        (x,) = inputs
        return Node(self, inputs, self.once(x, x.format), x.format)
