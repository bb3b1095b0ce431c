"""The compiled selective scan. Channels are the last dimension of every array but b and c,
so that the innermost loop vectorises.

The arguments: dt and v (B, L, E), a (N, E), b and c (B, L, N), y (B, L, E),
borders (B, chunks, N, E). All are float32.
"""

import math

import numba
import numpy as np

from ssm_hdl.sw.models.kernels import FAST

CHUNK = 32
"""Steps between two stored states. Recomputed numbers, 2 x 32 x 16 x 128 of them,
stay in a second-level cache (512 KiB)."""

_LOG2E = np.float32(math.log2(math.e))
_HALF, _LEAST, _ONE = np.float32(0.5), np.float32(-126), np.float32(1)
_C1, _C2, _C3, _C4, _C5, _C6 = (
    np.float32(math.log(2) ** k / math.factorial(k)) for k in range(1, 7)
)


@numba.njit(inline="always")
def _exp(x):
    """exp(x) for x <= 0, to two units in the last place. A call of libm would not vectorise."""
    x = max(x * _LOG2E, _LEAST)
    whole = np.floor(x + _HALF)
    f = x - whole
    power = _ONE + f * (_C1 + f * (_C2 + f * (_C3 + f * (_C4 + f * (_C5 + f * _C6)))))
    return power * np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def scan(dt, a, v, b, c, y, borders):
    """Write y, zeros before, and the states before each chunk."""
    batch, steps, channels = dt.shape
    modes = len(a)
    h = np.empty_like(a)
    for s in range(batch):
        h[:] = 0
        for t in range(steps):
            if t % CHUNK == 0:
                borders[s, t // CHUNK] = h
            for n in range(modes):
                b_n, c_n = b[s, t, n], c[s, t, n]
                for e in range(channels):
                    h[n, e] = _exp(dt[s, t, e] * a[n, e]) * h[n, e] + v[s, t, e] * b_n
                    y[s, t, e] += c_n * h[n, e]


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def adjoint(dt, a, v, b, c, borders, g_y, g_dt, g_a, g_v, g_b, g_c):
    """Write the gradients of dt, a, v, b and c, zeros before, by the gradient of y.
    The states of a chunk are computed again."""
    batch, steps, channels = dt.shape
    modes = len(a)
    h = np.empty((CHUNK + 1, modes, channels), a.dtype)
    decay = np.empty((CHUNK, modes, channels), a.dtype)
    g = np.empty_like(a)
    for s in range(batch):
        g[:] = 0
        for chunk in range(borders.shape[1] - 1, -1, -1):
            first = chunk * CHUNK
            length = min(CHUNK, steps - first)
            h[0] = borders[s, chunk]
            for k in range(length):
                t = first + k
                for n in range(modes):
                    b_n = b[s, t, n]
                    for e in range(channels):
                        decay[k, n, e] = _exp(dt[s, t, e] * a[n, e])
                        h[k + 1, n, e] = decay[k, n, e] * h[k, n, e] + v[s, t, e] * b_n
            for k in range(length - 1, -1, -1):
                t = first + k
                for n in range(modes):
                    b_n, c_n, sum_b, sum_c = b[s, t, n], c[s, t, n], np.float32(0), np.float32(0)
                    for e in range(channels):
                        g_h = g[n, e] + g_y[s, t, e] * c_n
                        sum_c += g_y[s, t, e] * h[k + 1, n, e]
                        sum_b += g_h * v[s, t, e]
                        g_v[s, t, e] += g_h * b_n
                        g[n, e] = g_h * decay[k, n, e]
                        slope = g[n, e] * h[k, n, e]
                        g_dt[s, t, e] += slope * a[n, e]
                        g_a[n, e] += slope * dt[s, t, e]
                    g_b[s, t, n], g_c[s, t, n] = sum_b, sum_c
