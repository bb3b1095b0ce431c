"""Golden model of the diagonal scan."""

import numpy as np

from ssm_hdl.fixed import Codes
from ssm_hdl.operations import Node, Scan
from ssm_hdl.operations.scan import dither, dither_offset
from ssm_hdl.sim.golden.store import Stored


def evaluate(node: Node, u: Codes) -> Stored:
    """h' = Abar h + 2**e u from h = 0, step by step; u (batch, steps, C) or (batch, steps, C, 2),
    h' (batch, steps, C*N, 2).

    The states are by far the largest edge of a model, so they come in the narrowest integers that
    hold them. The loop reuses its arrays, (2, batch, C*N) with the real parts first.
    It rounds and saturates as `ssm_hdl.fixed` does.
    """
    assert isinstance(node.op, Scan)
    batch, steps = u.shape[:2]
    # (batch, steps, parts of u, C)
    parts = (u if node.inputs[0].is_complex else u[..., np.newaxis]).swapaxes(2, 3)
    transition, shift, accumulator = (
        node.arrays["transition"],
        node.arrays["shift"],
        node.accumulator,
    )
    format, drop = node.output.format, accumulator.f_bits - node.output.format.f_bits
    real, imaginary = transition[..., 0].reshape(-1), transition[..., 1].reshape(-1)
    # half an lsb, or a dither in its place
    half = np.broadcast_to(1 << drop >> 1, (steps, 2, 1, 1))
    if node.op.dither and drop:
        step, part, mode = np.ogrid[:steps, :2, : real.size]
        half = dither_offset(dither(step, mode, part), drop)[:, :, np.newaxis]
    # Times h[::-1], these are the cross terms of the complex product: -im im, then im re.
    crossed = np.stack([-imaginary, imaginary])[:, np.newaxis]
    states = np.empty((batch, steps, real.size, 2), np.min_scalar_type(-format.max - 1))
    h = np.zeros((2, batch, real.size), np.int64)
    total, product = np.empty_like(h), np.empty_like(h)
    # shares the memory of `product`, whose values are used up then
    drives = product.reshape(2, batch, *shift.shape)
    saturated = np.empty(h.shape, np.bool_)
    saturations = 0
    for t in range(steps):
        np.multiply(h, real, out=total)
        total += np.multiply(h[::-1], crossed, out=product)
        for k in range(parts.shape[2]):
            np.left_shift(parts[:, t, k, :, np.newaxis], shift, out=drives[k])
            total[k] += product[k]
        total += half[t]
        total >>= drop
        np.clip(total, format.min, format.max, out=h)
        saturations += int(np.count_nonzero(np.not_equal(h, total, out=saturated)))
        states[:, t, :, 0], states[:, t, :, 1] = h
    return Stored(states, saturations)
