"""Mean, differentiable."""

from torch import Tensor

from ssm_hdl.fixed import round_divide
from ssm_hdl.operations import Node
from ssm_hdl.sw.qat.store import store


def forward(node: Node, x: Tensor) -> Tensor:
    """y = (sum_t x[t]) / steps; x (batch, steps, N), y (batch, N)."""
    format, steps = node.output.format, x.shape[1]
    scale = 2.0 ** (format.f_bits - node.accumulator.f_bits)
    smooth = x.sum(1) * (scale / steps)
    exact = round_divide(x.detach().sum(1) * max(scale, 1), steps * max(1 / scale, 1))
    return store(exact + (smooth - smooth.detach()), format.f_bits, format)
