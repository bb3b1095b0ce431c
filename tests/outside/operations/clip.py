"""Clip: a ReLU with an upper limit."""

from typing import Literal

from ssm_hdl.fixed import Format
from ssm_hdl.operations.base import Edge, Node, Tensors, Unary


class Clip(Unary):
    """y = min(max(x, 0), limit): x, rounded and saturated to an unsigned format,
    whose greatest code is the limit."""

    op: Literal["clip"] = "clip"
    format: Format

    def bind(self, inputs: tuple[Edge, ...], tensors: Tensors, steps: int) -> Node:
        (x,) = inputs
        self.refuse_complex(inputs)
        return Node(
            self,
            inputs,
            Edge(self.name, x.size, self.format, per_sequence=x.per_sequence),
            x.format,
        )
