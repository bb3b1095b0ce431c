"""Golden model of the diagonal scan."""

import numpy as np

from ssm_hdl.fixed import Codes, round_shift, saturate
from ssm_hdl.operations import Node
from ssm_hdl.sim.golden.store import Stored


def scan(node: Node, u: Codes) -> Stored:
    """h' = Abar h + 2**e u from h = 0, step by step; u (batch, steps, C), h' (batch, steps, C*N, 2)."""
    transition, shift, accumulator = node.arrays["transition"], node.arrays["shift"], node.accumulator
    assert accumulator is not None
    format, drop = node.output.format, accumulator.f_bits - node.output.format.f_bits
    real, imaginary = np.ascontiguousarray(transition[..., 0]), np.ascontiguousarray(transition[..., 1])
    batch, steps, channels = u.shape
    states = np.empty((batch, steps, channels, shift.shape[1], 2), np.int64)
    h_re = h_im = np.zeros((batch, channels, shift.shape[1]), np.int64)
    saturations = 0
    for t in range(steps):
        drive = u[:, t, :, np.newaxis] << shift
        next_re = round_shift(real * h_re - imaginary * h_im + drive, drop)
        next_im = round_shift(real * h_im + imaginary * h_re, drop)
        h_re, h_im = saturate(next_re, format), saturate(next_im, format)
        saturations += np.count_nonzero(h_re != next_re) + np.count_nonzero(h_im != next_im)
        states[:, t, ..., 0], states[:, t, ..., 1] = h_re, h_im
    return Stored(states.reshape(batch, steps, -1, 2), int(saturations))
