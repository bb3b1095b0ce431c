"""Weights in few bits: a format for every row, and codes rounded one by one,
the later ones compensating the earlier ones."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ssm_hdl.fixed import SQ, Codes, Format
from ssm_hdl.operations.base import MAX_SPREAD
from ssm_hdl.sw.quantize.formats import covering
from ssm_hdl.sw.quantize.histogram import Floats
from ssm_hdl.sw.quantize.recipe import Recipe

OCTAVES = 4
"""Formats tried for a row, starting with one that clips nothing;
each halves the range of the one before."""

RIDGES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
"""Ridge factors tried, relative to the power of an input.
They pull a fit towards the float weights."""

FEW = 16
"""Up to so many samples for each input, a fit may follow the samples:
a decoder sees but one sum for each sequence."""


@dataclass(frozen=True)
class Rows:
    """The weights and the bias of a dense.

    Attributes:
        codes: (G, M, K): groups, rows, columns.
        exponent: of each row, (G, M); None if all rows have the format's scale.
        format: of the codes.
        bias: (G, M), real numbers.
    """

    codes: Codes
    exponent: Codes | None
    format: Format
    bias: Floats


@dataclass(frozen=True)
class Moments:
    """Second moments of a dense over samples and steps: inputs x, with a 1 appended,
    and wanted outputs y.

    Attributes:
        gram: E[x x^T], (G, K + 1, K + 1).
        cross: E[y x^T], (G, M, K + 1).
        count: samples and steps.
    """

    gram: Floats
    cross: Floats
    count: int


def nearest(weight: Floats, bias: Floats, width: int, recipe: Recipe) -> Rows:
    """Weights (G, M, K) rounded to the nearest code, with the formats of least squared error."""
    identity = np.broadcast_to(
        np.eye(weight.shape[2]), (len(weight), weight.shape[2], weight.shape[2])
    )
    return _choose(weight[np.newaxis], identity, bias, width, recipe)


def fit(moments: Moments, weight: Floats, width: int, recipe: Recipe) -> Rows:
    """The codes with the least squared error at the output, on the inputs of the integer program.

    Ridge regression gives the best float weights for these inputs; where the inputs do not
    determine a weight, it stays near ``weight`` (G, M, K). Then columns are rounded one by one, and
    the columns not yet rounded compensate each error (GPTQ, Frantar et al., arXiv 2210.17323,
    section 3). The bias corrects the mean.
    """
    mean, wanted = moments.gram[:, -1, :-1], moments.cross[..., -1]
    gram = moments.gram[:, :-1, :-1] - mean[:, :, np.newaxis] * mean[:, np.newaxis]
    cross = moments.cross[..., :-1] - wanted[..., np.newaxis] * mean[:, np.newaxis]
    # A floor under the power of every input, so that a constant one leaves a system
    # that can be solved.
    power = np.maximum(
        np.diagonal(gram, axis1=1, axis2=2),
        1e-12 * np.trace(gram, axis1=1, axis2=2)[:, np.newaxis] + 1e-30,
    )
    if moments.count <= FEW * gram.shape[1]:
        # As many more samples as there are inputs, independent ones,
        # for which the float weights are right.
        more = gram.shape[1] / moments.count * power[:, np.newaxis]
        gram, cross = gram + more * np.eye(gram.shape[1]), cross + more * weight
    fitted = []
    for ridge in RIDGES:
        pulled = gram + ridge * np.eye(gram.shape[1]) * power[:, np.newaxis]
        missing = cross - weight @ gram
        fitted.append(weight + np.linalg.solve(pulled, missing.swapaxes(1, 2)).swapaxes(1, 2))
    rows = _choose(np.array(fitted), gram, wanted, width, recipe, cross)
    stored = values(rows)
    return Rows(
        rows.codes, rows.exponent, rows.format, wanted - (stored @ mean[..., np.newaxis])[..., 0]
    )


def values(rows: Rows) -> Floats:
    """The weights (G, M, K) of the codes."""
    exponent = 0 if rows.exponent is None else rows.exponent[..., np.newaxis]
    return np.asarray(np.ldexp(rows.codes * rows.format.lsb, -exponent))


def error(rows: Rows, moments: Moments) -> Floats:
    """Mean squared error (G, M) of the output of every row, minus E[y^2],
    which does not depend on the weights."""
    stored = np.concatenate([values(rows), rows.bias[..., np.newaxis]], axis=-1)
    return np.asarray(
        np.einsum("gmk,gkl,gml->gm", stored, moments.gram, stored)
        - 2 * (stored * moments.cross).sum(-1)
    )


def _choose(
    candidates: Floats,
    gram: Floats,
    bias: Floats,
    width: int,
    recipe: Recipe,
    cross: Floats | None = None,
) -> Rows:
    """The codes of ``width`` bits of least error under ``gram`` (G, K, K), row by row,
    of candidate weights (R, G, M, K)."""
    tops = np.abs(candidates).max((0, 3))  # (G, M)
    if not recipe.per_channel:
        tops = np.full_like(tops, tops.max())
    first = np.vectorize(lambda top: covering(top, width).f_bits, otypes=[np.int64])(
        np.maximum(tops, 2.0**-24)
    )
    f_bits = np.maximum(first, first.min())
    # The exponents of a tensor may differ by less than MAX_SPREAD,
    # and the formats tried need OCTAVES of that.
    f_bits = np.minimum(f_bits, f_bits.min() + MAX_SPREAD - OCTAVES)
    errors, tried = [], []
    for finer, weight in _formats(candidates, recipe):
        lsb = np.exp2(-(f_bits + finer).astype(np.float64))[..., np.newaxis]
        codes = _round(weight / lsb, gram, SQ(1, width - 1))
        stored = codes * lsb
        error = np.einsum("gmk,gkl,gml->gm", stored, gram, stored)
        target = weight @ gram if cross is None else cross
        errors.append(error - 2 * (stored * target).sum(-1))
        tried.append((codes, f_bits + finer))
    errors_ = np.array(errors)
    best = (
        errors_.argmin(0)
        if recipe.per_channel
        else np.full_like(f_bits, int(errors_.sum((1, 2)).argmin()))
    )
    codes = np.take_along_axis(
        np.array([codes for codes, _ in tried]), best[np.newaxis, ..., np.newaxis], 0
    )[0]
    chosen = np.take_along_axis(np.array([bits for _, bits in tried]), best[np.newaxis], 0)[0]
    least = int(chosen.min())
    exponent = chosen - least if recipe.per_channel and bias.size > 1 else None
    return Rows(codes, exponent, SQ(width - least, least), bias)


def _formats(candidates: Floats, recipe: Recipe) -> Iterator[tuple[int, Floats]]:
    """All pairs of a format and candidate weights; a format is the number of bits it is finer than
    the one that clips nothing."""
    for finer in range(OCTAVES if recipe.clip == "mse" else 1):
        for weight in candidates:
            yield finer, weight


def _round(weight: Floats, gram: Floats, format: Format) -> Codes:
    """Codes of weights (G, M, K) in units of a code, column by column,
    by falling power of the input (GPTQ)."""
    order = np.argsort(-np.diagonal(gram, axis1=1, axis2=2), axis=1)
    groups = np.arange(len(gram))
    rest = np.take_along_axis(weight, order[:, np.newaxis], 2)
    sorted_gram = gram[
        groups[:, np.newaxis, np.newaxis], order[:, :, np.newaxis], order[:, np.newaxis]
    ]
    damped = sorted_gram + np.eye(gram.shape[1]) * (
        1e-6 * np.trace(gram, axis1=1, axis2=2)[:, np.newaxis, np.newaxis] + 1e-30
    )
    # Row k of this factor of the inverse says how the columns after k compensate an
    # error in column k.
    upper = np.linalg.cholesky(np.linalg.inv(damped)).swapaxes(1, 2)
    codes = np.empty(rest.shape, np.int64)
    for k in range(rest.shape[2]):
        codes[..., k] = np.clip(np.floor(rest[..., k] + 0.5), -format.max, format.max)
        missed = (rest[..., k] - codes[..., k]) / upper[:, np.newaxis, k, k]
        rest[..., k + 1 :] -= missed[..., np.newaxis] * upper[:, np.newaxis, k, k + 1 :]
    return np.take_along_axis(codes, np.argsort(order, axis=1)[:, np.newaxis], 2)
