"""The diagonal recurrence compiled: a walk through time, over all modes side by side.

Complex numbers lie as in (B, L, 2 P): all real parts before all imaginary ones.
"""

import numba

FAST = {"contract", "reassoc", "nsz"}
"""What the compiler may assume: sums in any order, but no number that is not finite disappears."""


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def walk(real, imaginary, h, backward):
    """h (B, L, 2 P), the drive when it begins, becomes the states; time runs the other way if ``backward``."""
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
    """result (B, 2 P), filled with zeros before: the sums over steps of g_t conj(h_{t-1}), both (B, L, 2 P)."""
    batch, steps, modes = g.shape[0], g.shape[1], g.shape[2] // 2
    for b in range(batch):
        for t in range(1, steps):
            for p in range(modes):
                x, y, u, w = g[b, t, p], g[b, t, modes + p], h[b, t - 1, p], h[b, t - 1, modes + p]
                result[b, p] += x * u + y * w
                result[b, modes + p] += y * u - x * w
