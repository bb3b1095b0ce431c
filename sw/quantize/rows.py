"""Weights in few bits: the format of each row, and codes rounded one after the other so that the later make up for the former."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ssm_hdl.fixed import SQ, Codes, Format
from ssm_hdl.operations.base import MAX_SPREAD
from ssm_hdl.sw.quantize.formats import covering
from ssm_hdl.sw.quantize.histogram import Floats
from ssm_hdl.sw.quantize.recipe import Recipe

OCTAVES = 4
"""Formats tried for a row, from the one that clips nothing: each clips from half as much."""

RIDGES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
"""Pulls towards the float weights that are tried, in parts of each input's power."""


@dataclass(frozen=True)
class Rows:
    """The weights and the bias of a dense.

    Attributes:
        codes: (G, M, K): groups, rows, columns.
        exponent: of each row, (G, M); None if all have the format's scale.
        format: of the codes.
        bias: (G, M), real numbers.
    """

    codes: Codes
    exponent: Codes | None
    format: Format
    bias: Floats


@dataclass(frozen=True)
class Moments:
    """What a dense is to do, as second moments over samples and steps: inputs x with a 1 behind them, wanted outputs y.

    Attributes:
        gram: E[x x^T], (G, K + 1, K + 1).
        cross: E[y x^T], (G, M, K + 1).
    """

    gram: Floats
    cross: Floats


def nearest(weight: Floats, bias: Floats, width: int, recipe: Recipe) -> Rows:
    """Weights (G, M, K) rounded to the nearest code, with the formats of least squared error."""
    identity = np.broadcast_to(np.eye(weight.shape[2]), (len(weight), weight.shape[2], weight.shape[2]))
    return _choose(weight[np.newaxis], identity, bias, width, recipe)


def fit(moments: Moments, weight: Floats, width: int, recipe: Recipe) -> Rows:
    """The codes with the least squared error at the output, given what the inputs have become in integers.

    The float weights that are best for these inputs are found by least squares, pulled towards ``weight`` (G, M, K) where the
    inputs do not say. Then columns are rounded one by one, and what is lost is made up for by those not rounded yet
    (Frantar et al., arXiv 2210.17323, section 3). The bias takes the rest.
    """
    mean, wanted = moments.gram[:, -1, :-1], moments.cross[..., -1]
    gram = moments.gram[:, :-1, :-1] - mean[:, :, np.newaxis] * mean[:, np.newaxis]
    cross = moments.cross[..., :-1] - wanted[..., np.newaxis] * mean[:, np.newaxis]
    power = np.maximum(np.diagonal(gram, axis1=1, axis2=2), 1e-12 * np.trace(gram, axis1=1, axis2=2)[:, np.newaxis] + 1e-30)
    fitted = []
    for ridge in RIDGES:
        pulled = gram + ridge * np.eye(gram.shape[1]) * power[:, np.newaxis]
        missing = cross - weight @ gram
        fitted.append(weight + np.linalg.solve(pulled, missing.swapaxes(1, 2)).swapaxes(1, 2))
    rows = _choose(np.array(fitted), gram, wanted, width, recipe, cross)
    kept = values(rows)
    return Rows(rows.codes, rows.exponent, rows.format, wanted - (kept @ mean[..., np.newaxis])[..., 0])


def values(rows: Rows) -> Floats:
    """The weights that the codes stand for, (G, M, K)."""
    exponent = 0 if rows.exponent is None else rows.exponent[..., np.newaxis]
    return np.asarray(np.ldexp(rows.codes * rows.format.lsb, -exponent))


def error(rows: Rows, moments: Moments) -> Floats:
    """Mean squared error of each row's output, less E[y^2], which no weights change; (G, M)."""
    kept = np.concatenate([values(rows), rows.bias[..., np.newaxis]], axis=-1)
    return np.asarray(np.einsum("gmk,gkl,gml->gm", kept, moments.gram, kept) - 2 * (kept * moments.cross).sum(-1))


def _choose(candidates: Floats, gram: Floats, bias: Floats, width: int, recipe: Recipe, cross: Floats | None = None) -> Rows:
    """Of candidate weights (R, G, M, K), in formats of ``width`` bits, those with the least error under ``gram`` (G, K, K)."""
    tops = np.abs(candidates).max((0, 3))  # (G, M)
    if not recipe.per_channel:
        tops = np.full_like(tops, tops.max())
    first = np.vectorize(lambda top: covering(top, width).f_bits, otypes=[np.int64])(np.maximum(tops, 2.0**-24))
    f_bits = np.maximum(first, first.min())
    f_bits = np.minimum(f_bits, f_bits.min() + MAX_SPREAD - OCTAVES)
    errors, tried = [], []
    for finer, weight in _formats(candidates, recipe):
        lsb = np.exp2(-(f_bits + finer).astype(np.float64))[..., np.newaxis]
        codes = _round(weight / lsb, gram, SQ(1, width - 1))
        kept = codes * lsb
        error = np.einsum("gmk,gkl,gml->gm", kept, gram, kept)
        target = weight @ gram if cross is None else cross
        errors.append(error - 2 * (kept * target).sum(-1))
        tried.append((codes, f_bits + finer))
    errors_ = np.array(errors)
    best = errors_.argmin(0) if recipe.per_channel else np.full_like(f_bits, int(errors_.sum((1, 2)).argmin()))
    codes = np.take_along_axis(np.array([codes for codes, _ in tried]), best[np.newaxis, ..., np.newaxis], 0)[0]
    chosen = np.take_along_axis(np.array([bits for _, bits in tried]), best[np.newaxis], 0)[0]
    least = int(chosen.min())
    exponent = chosen - least if recipe.per_channel and bias.size > 1 else None
    return Rows(codes, exponent, SQ(width - least, least), bias)


def _formats(candidates: Floats, recipe: Recipe) -> Iterator[tuple[int, Floats]]:
    """Every pair of a format, as bits finer than the one that clips nothing, and candidate weights."""
    for finer in range(OCTAVES if recipe.clip == "mse" else 1):
        for weight in candidates:
            yield finer, weight


def _round(weight: Floats, gram: Floats, format: Format) -> Codes:
    """Codes of weights (G, M, K) in units of a code, column by column, those with the largest error first."""
    order = np.argsort(-np.diagonal(gram, axis1=1, axis2=2), axis=1)
    groups = np.arange(len(gram))
    rest = np.take_along_axis(weight, order[:, np.newaxis], 2)
    sorted_gram = gram[groups[:, np.newaxis, np.newaxis], order[:, :, np.newaxis], order[:, np.newaxis]]
    damped = sorted_gram + np.eye(gram.shape[1]) * (1e-6 * np.trace(gram, axis1=1, axis2=2)[:, np.newaxis, np.newaxis] + 1e-30)
    upper = np.linalg.cholesky(np.linalg.inv(damped)).swapaxes(1, 2)
    codes = np.empty(rest.shape, np.int64)
    for k in range(rest.shape[2]):
        codes[..., k] = np.clip(np.floor(rest[..., k] + 0.5), -format.max, format.max)
        missed = (rest[..., k] - codes[..., k]) / upper[:, np.newaxis, k, k]
        rest[..., k + 1 :] -= missed[..., np.newaxis] * upper[:, np.newaxis, k, k + 1 :]
    return np.take_along_axis(codes, np.argsort(order, axis=1)[:, np.newaxis], 2)
