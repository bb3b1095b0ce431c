"""The compiled diagonal recurrence: a loop over time, with all modes side by side.

Complex arrays are (B, L, 2 P), all real parts before all imaginary ones,
so that the loop over modes vectorises.
"""

import numba

FAST = {"contract", "reassoc", "nsz"}
"""Licence for the compiler: sums in any order. NaN and infinity stay,
because training checks for them."""


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def walk(real, imaginary, h, backward):
    """Turn the drive in h (B, L, 2 P) into the states, in place;
    time runs backwards if ``backward``."""
    batch, steps, modes = h.shape[0], h.shape[1], len(real)
    for b in range(batch):
        for k in range(1, steps):
            t, before = (steps - 1 - k, steps - k) if backward else (k, k - 1)
            for p in range(modes):
                x, y = h[b, before, p], h[b, before, modes + p]
                h[b, t, p] += real[p] * x - imaginary[p] * y
                h[b, t, modes + p] += real[p] * y + imaginary[p] * x


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def correlate(g, h, result):
    """Add to result (B, 2 P) the sum over steps of g_t conj(h_{t-1}), both (B, L, 2 P)."""
    batch, steps, modes = g.shape[0], g.shape[1], g.shape[2] // 2
    for b in range(batch):
        for t in range(1, steps):
            for p in range(modes):
                x, y, u, w = g[b, t, p], g[b, t, modes + p], h[b, t - 1, p], h[b, t - 1, modes + p]
                result[b, p] += x * u + y * w
                result[b, modes + p] += y * u - x * w
