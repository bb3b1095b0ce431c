"""Golden model of the selective scan."""

import numpy as np

from ssm_hdl.fixed import Codes, requantize, saturate
from ssm_hdl.functions import LEAK, LEAK_SHIFT, leak
from ssm_hdl.operations import Node, Selective
from ssm_hdl.operations.selective import LEAK_UP, OFFSET, Sums
from ssm_hdl.sim.golden.store import Stored, store


def evaluate(node: Node, rate: Codes, drive: Codes, b: Codes, c: Codes) -> Stored:
    """h' = h - h G(rate + alpha) + v B 2**e from h = 0, y = C h'; rate, v and y (batch, steps, C),
    B and C (batch, steps, N)."""
    assert isinstance(node.op, Selective)
    sums, format, shift = Sums.of(node), node.op.state, node.arrays["shift"][:, np.newaxis]
    rate = rate << sums.address.f_bits - node.inputs[0].format.f_bits
    alpha = (node.arrays["code"] << sums.address.f_bits - node.op.alpha.format.f_bits) + (
        OFFSET << sums.address.f_bits
    )
    mantissa, down = leak()
    factor = mantissa << LEAK_SHIFT - down
    h = np.zeros((len(rate), *alpha.shape), np.int64)
    y = np.empty(drive.shape, np.int64)
    saturations, steps = 0, drive.shape[1]
    for t in range(steps):
        address = (
            requantize(rate[:, t, :, np.newaxis] + alpha, sums.address.f_bits, LEAK) - LEAK.min
        )
        total = (
            (h << LEAK_UP)
            - h * factor[address]
            + (drive[:, t, :, np.newaxis] * b[:, t, np.newaxis] << shift)
        )
        rounded = total + (1 << LEAK_UP >> 1) >> LEAK_UP
        h = saturate(rounded, format)
        saturations += int(np.count_nonzero(h != rounded))
        y[:, t] = (h * c[:, t, np.newaxis]).sum(-1)
    stored = store(y, sums.output.f_bits, node.output.format)
    return Stored(stored.codes, saturations + stored.saturations, steps * h.size)
