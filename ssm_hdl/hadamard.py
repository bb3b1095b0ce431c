"""Hadamard matrices of 2**k, 12 * 2**k and 20 * 2**k rows: Kronecker products of one of Paley's
and of Sylvester's."""

from functools import cache

import numpy as np

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.fixed import Codes


def split(size: int) -> tuple[int, int]:
    """m and k of a size m 2**k, with m = 1, 12 or 20.

    Raises:
        SsmHdlError: it is no such number.
    """
    k = (size & -size).bit_length() - 1
    m = {1: 1, 3: 12, 5: 20}.get(size >> k, 0)
    if not m or k < (twos := 2 * (m > 1)):
        raise SsmHdlError(
            "there is a Hadamard matrix here for 2**k, 12 * 2**k and 20 * 2**k rows, "
            f"and not for {size}"
        )
    return m, k - twos


@cache
def paley(m: int) -> Codes:
    """The matrix of m = 12 or 20 rows, q = m - 1 being a prime; of one row, it is 1.

    It has 1 in the first row and on the diagonal, else -1 in the first column.
    Elsewhere the sign at row i and column j is 1 if j - i is a square modulo q, else -1.
    """
    q, places = m - 1, np.arange(m)
    squares = {i * i % q for i in range(1, q)}
    ones = np.isin((places - places[:, None]) % max(q, 1), list(squares)) & (places > 0)
    ones |= np.eye(m, dtype=bool)
    ones[0] = True
    return np.where(ones, 1, -1)


def transform(x: Codes) -> Codes:
    """H x, exact, over the last axis, for H = ``paley(m)`` ⊗ Sylvester's matrix of 2**k rows.

    The factors take turns: each transforms the leading digit of an element's place,
    which then becomes the last.
    """
    n, lead = x.shape[-1], x.shape[:-1]
    m, k = split(n)
    y = (paley(m) @ x.reshape(*lead, m, n // m)).swapaxes(-1, -2)
    for _ in range(k):
        first, second = np.moveaxis(y.reshape(*lead, 2, n // 2), -2, 0)
        y = np.stack([first + second, first - second], axis=-1)
    return y.reshape(x.shape)


@cache
def matrix(size: int) -> Codes:
    """H, (size, size); H H^T is ``size`` times the identity."""
    return transform(np.eye(size, dtype=np.int64)).T
