"""Compiled loops over time. Rounding forbids a scan over steps in parallel,
but the modes of a step vectorise.

Integers are in float64, which is exact below 2**53 and has a vector instruction to round.
The arguments:

- u (B, L, C): the inputs; (B, L, C, P) with P parts, 1 if they are real and 2 if they are complex.
- real, imaginary (C, N): Abar.
- gain (C, N): the factor 2**shift of u.
- offset (C, period, 2, N): added at step t modulo the period, before the sum is rounded down.
  It holds the half or the dither.
- lsb: a sum times ``lsb`` is a state before rounding.
- low, high: the range to which states saturate.
"""

import numba
import numpy as np

EXACT = {"nnan", "nsz", "reassoc", "contract"}
"""Licence for the compiler: on integers below 2**53 in float64, any order of a sum is exact."""


@numba.njit(cache=True, nogil=True, fastmath=EXACT)
def _mode(re, im, a_re, a_im, in_re, in_im, lsb, low, high):
    """The next state of a mode; ``in`` is the input with its gain, plus the offset."""
    # `offset` holds the half, so the floor rounds half up.
    # A power of two as `lsb` makes the product exact.
    next_re = np.floor((a_re * re - a_im * im + in_re) * lsb)
    next_im = np.floor((a_re * im + a_im * re + in_im) * lsb)
    return min(max(next_re, low), high), min(max(next_im, low), high)


@numba.njit(cache=True, nogil=True, fastmath=EXACT)
def walk(u, real, imaginary, gain, offset, lsb, low, high, weight, sums):
    """Scan, then a complex dense: writes sums (B, L, C * M), with weight (C, M, 2, N)
    of Re and -Im."""
    batch, steps, channels = u.shape
    modes, period, rows = real.shape[1], offset.shape[1], weight.shape[1]
    h_re, h_im = np.zeros(modes), np.zeros(modes)
    for b in range(batch):
        for c in range(channels):
            a_re, a_im, up = real[c], imaginary[c], gain[c]
            h_re[:] = 0
            h_im[:] = 0
            for t in range(steps):
                x, o_re, o_im = u[b, t, c], offset[c, t % period, 0], offset[c, t % period, 1]
                for n in range(modes):
                    in_re = x * up[n] + o_re[n]
                    h_re[n], h_im[n] = _mode(
                        h_re[n], h_im[n], a_re[n], a_im[n], in_re, o_im[n], lsb, low, high
                    )
                for m in range(rows):
                    w_re, w_im = weight[c, m, 0], weight[c, m, 1]
                    total = 0.0
                    for n in range(modes):
                        total += w_re[n] * h_re[n] + w_im[n] * h_im[n]
                    sums[b, t, c * rows + m] = total


@numba.njit(cache=True, nogil=True, fastmath=EXACT)
def correlate(u, real, imaginary, gain, offset, lsb, low, high, gradient, result):
    """Write result (B, C, M, 2, N), the sum over steps of gradient (B, L, C * M) times the states.

    It computes the states again. That is faster than to store them in the forward pass,
    and needs no memory.
    """
    batch, steps, channels = u.shape
    modes, period, rows = real.shape[1], offset.shape[1], result.shape[2]
    h_re, h_im = np.zeros(modes), np.zeros(modes)
    for b in range(batch):
        for c in range(channels):
            a_re, a_im, up, part = real[c], imaginary[c], gain[c], result[b, c]
            h_re[:] = 0
            h_im[:] = 0
            part[:] = 0
            for t in range(steps):
                x, o_re, o_im = u[b, t, c], offset[c, t % period, 0], offset[c, t % period, 1]
                for n in range(modes):
                    in_re = x * up[n] + o_re[n]
                    h_re[n], h_im[n] = _mode(
                        h_re[n], h_im[n], a_re[n], a_im[n], in_re, o_im[n], lsb, low, high
                    )
                for m in range(rows):
                    g = gradient[b, t, c * rows + m]
                    for n in range(modes):
                        part[m, 0, n] += g * h_re[n]
                        part[m, 1, n] += g * h_im[n]


@numba.njit(cache=True, nogil=True, fastmath=EXACT)
def states(u, real, imaginary, gain, offset, lsb, low, high, result):
    """The scan alone: writes states (B, L, C, N, 2) of u (B, L, C, P)."""
    batch, steps, channels, parts = u.shape
    modes, period = real.shape[1], offset.shape[1]
    h_re, h_im = np.zeros(real.shape), np.zeros(real.shape)
    for b in range(batch):
        h_re[:] = 0
        h_im[:] = 0
        for t in range(steps):
            at = t % period
            for c in range(channels):
                u_re = u[b, t, c, 0]
                u_im = u[b, t, c, 1] if parts == 2 else 0.0
                for n in range(modes):
                    in_re, in_im = (
                        u_re * gain[c, n] + offset[c, at, 0, n],
                        u_im * gain[c, n] + offset[c, at, 1, n],
                    )
                    re, im = _mode(
                        h_re[c, n],
                        h_im[c, n],
                        real[c, n],
                        imaginary[c, n],
                        in_re,
                        in_im,
                        lsb,
                        low,
                        high,
                    )
                    h_re[c, n], h_im[c, n] = re, im
                    result[b, t, c, n, 0], result[b, t, c, n, 1] = re, im


@numba.njit(cache=True, nogil=True, fastmath=EXACT)
def adjoint(gradient, real, imaginary, gain, lsb, result):
    """Adjoint of the linear scan: writes result (B, L, C, P), the gradient of u,
    by gradient (B, L, C, N, 2) of the states."""
    batch, steps, channels, parts = result.shape
    modes = real.shape[1]
    g_re, g_im = np.zeros(real.shape), np.zeros(real.shape)
    for b in range(batch):
        g_re[:] = 0
        g_im[:] = 0
        for t in range(steps - 1, -1, -1):
            for c in range(channels):
                u_re, u_im = 0.0, 0.0
                for n in range(modes):
                    a_re, a_im, re, im = (
                        real[c, n] * lsb,
                        imaginary[c, n] * lsb,
                        g_re[c, n],
                        g_im[c, n],
                    )
                    g_re[c, n] = gradient[b, t, c, n, 0] + a_re * re + a_im * im
                    g_im[c, n] = gradient[b, t, c, n, 1] + a_re * im - a_im * re
                    u_re += gain[c, n] * lsb * g_re[c, n]
                    u_im += gain[c, n] * lsb * g_im[c, n]
                result[b, t, c, 0] = u_re
                if parts == 2:
                    result[b, t, c, 1] = u_im


@numba.njit(cache=True, nogil=True, fastmath=EXACT)
def selective(rate, drive, b, c, alpha, gain, leaks, low, high, sums):
    """Selective scan: writes the exact sums (B, L, C) of y.

    Rate (B, L, C) and alpha (C, N) are in steps of the address of ``leaks``, its offset and the
    half of the rounding included. One loop over the modes for each kind of work, since a loop with
    a table in it is not vectorised.
    """
    batch, steps, channels = rate.shape
    modes, last = alpha.shape[1], float(len(leaks) - 1)
    h, leak, address = np.zeros(modes), np.zeros(modes), np.zeros(modes, np.uint32)
    for i in range(batch):
        for k in range(channels):
            h[:] = 0
            rows = alpha[k]
            for t in range(steps):
                x, v, total, b_t, c_t = (
                    rate[i, t, k],
                    drive[i, t, k] * gain[k],
                    0.0,
                    b[i, t],
                    c[i, t],
                )
                for n in range(modes):
                    address[n] = np.int32(min(max(x + rows[n], 0.0), last))
                for n in range(modes):
                    leak[n] = leaks[address[n]]
                for n in range(modes):
                    h[n] = min(max(np.floor(h[n] - h[n] * leak[n] + v * b_t[n] + 0.5), low), high)
                    total += h[n] * c_t[n]
                sums[i, t, k] = total


@numba.njit(cache=True, nogil=True, fastmath={"nnan", "nsz", "contract"})
def selective_adjoint(
    rate,
    drive,
    b,
    c,
    alpha,
    gain,
    leaks,
    slopes,
    low,
    high,
    gradient,
    d_rate,
    d_drive,
    d_b,
    d_c,
    d_alpha,
):
    """Adjoint of `selective`: the gradients of its arguments, d_alpha (B, C, N) per sample,
    from the gradient of the sums."""
    batch, steps, channels = rate.shape
    modes, last = alpha.shape[1], float(len(leaks) - 1)
    h, decays = np.zeros((steps + 1, modes)), np.zeros((steps, modes))
    slope, inside = np.zeros((steps, modes)), np.zeros((steps, modes))
    g, address = np.zeros(modes), np.zeros(modes, np.uint32)
    for i in range(batch):
        d_b[i] = 0
        d_c[i] = 0
        for k in range(channels):
            rows = alpha[k]
            for t in range(steps):
                x, v, b_t = rate[i, t, k], drive[i, t, k] * gain[k], b[i, t]
                before, after, kept_t, slope_t, inside_t = (
                    h[t],
                    h[t + 1],
                    decays[t],
                    slope[t],
                    inside[t],
                )
                for n in range(modes):
                    address[n] = np.int32(min(max(x + rows[n], 0.0), last))
                for n in range(modes):
                    kept_t[n], slope_t[n] = leaks[address[n]], slopes[address[n]]
                for n in range(modes):
                    s = x + rows[n]
                    slope_t[n] = slope_t[n] if 0.0 <= s < last + 1 else 0.0
                    total = np.floor(before[n] - before[n] * kept_t[n] + v * b_t[n] + 0.5)
                    after[n] = min(max(total, low), high)
                    inside_t[n] = 1.0 if total == after[n] else 0.0
                    kept_t[n] = 1 - kept_t[n]
            g[:] = 0
            sums = d_alpha[i, k]
            sums[:] = 0
            for t in range(steps - 1, -1, -1):
                of_y, v, of_rate, of_drive = gradient[i, t, k], drive[i, t, k] * gain[k], 0.0, 0.0
                before, after, kept_t, slope_t, inside_t = (
                    h[t],
                    h[t + 1],
                    decays[t],
                    slope[t],
                    inside[t],
                )
                b_t, c_t, d_b_t, d_c_t = b[i, t], c[i, t], d_b[i, t], d_c[i, t]
                for n in range(modes):
                    d_c_t[n] += of_y * after[n]
                    of_h = (of_y * c_t[n] + g[n]) * inside_t[n]
                    of_s = -of_h * before[n] * slope_t[n]
                    d_b_t[n] += of_h * v
                    of_drive += of_h * b_t[n]
                    of_rate += of_s
                    sums[n] += of_s
                    g[n] = of_h * kept_t[n]
                d_rate[i, t, k], d_drive[i, t, k] = of_rate, of_drive * gain[k]
