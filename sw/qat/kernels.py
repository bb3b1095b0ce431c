"""Compiled walks through time: the recurrence cannot be vectorised over steps where bits matter, but over modes it can."""

import numba
import numpy as np

EXACT = {"nnan", "nsz", "reassoc", "contract"}
"""What the compiler may assume: on integers below 2**53 in float64, any order of a sum is exact."""


@numba.njit(cache=True, nogil=True, fastmath=EXACT)
def walk(u, real, imaginary, gain, offset, lsb, low, high, weight, sums, states, keep):
    """Scan and the complex dense behind it, exact, on integers in float64 (which has a vector instruction to round).

    u (B, L, C); real, imaginary, gain (C, N), the gain 2**shift of u; offset (C, period, 2, N), what is added at step t modulo
    the period before the sum, in units of ``lsb``, is rounded down; weight (C, M, 2, N), Re and -Im; sums (B, L, C * M), filled;
    states (B, L, C, 2, N), filled if ``keep``.
    """
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
                    re = np.floor((a_re[n] * h_re[n] - a_im[n] * h_im[n] + x * up[n] + o_re[n]) * lsb)
                    im = np.floor((a_re[n] * h_im[n] + a_im[n] * h_re[n] + o_im[n]) * lsb)
                    h_re[n] = min(max(re, low), high)
                    h_im[n] = min(max(im, low), high)
                if keep:
                    for n in range(modes):
                        states[b, t, c, 0, n] = h_re[n]
                        states[b, t, c, 1, n] = h_im[n]
                for m in range(rows):
                    w_re, w_im = weight[c, m, 0], weight[c, m, 1]
                    total = 0.0
                    for n in range(modes):
                        total += w_re[n] * h_re[n] + w_im[n] * h_im[n]
                    sums[b, t, c * rows + m] = total


@numba.njit(cache=True, nogil=True, fastmath=True)
def correlate(gradient, states, result):
    """result (C, M, 2, N) += the sum over batch and steps of gradient (B, L, C * M) times states (B, L, C, 2, N)."""
    batch, steps, channels, _, modes = states.shape
    rows = result.shape[1]
    part = np.zeros((2, modes), np.float32)
    for b in range(batch):
        for c in range(channels):
            for m in range(rows):
                part[:] = 0
                for t in range(steps):
                    g = gradient[b, t, c * rows + m]
                    for n in range(modes):
                        part[0, n] += g * states[b, t, c, 0, n]
                        part[1, n] += g * states[b, t, c, 1, n]
                result[c, m] += part
