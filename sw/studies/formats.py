"""Compares number formats of the recurrence: forms of Abar and roundings of the state,
by the read-out of a trained S4D.

A variant runs the scan of every channel on images. On the first half of the images it fits the
read-out weights, in floating point and by least squares, to the read-out of the float model. On the
second half it measures the signal-to-noise ratio. So the ratio holds only the loss of the
recurrence, which no later operation can undo. ``python -m ssm_hdl.sw.studies.formats --help``.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray

from ssm_hdl.files import write_atomically
from ssm_hdl.operations.scan import dither
from ssm_hdl.sw import checkpoint as checkpoints
from ssm_hdl.sw.cli.console import progress
from ssm_hdl.sw.data import load
from ssm_hdl.sw.models.s4d import S4D
from ssm_hdl.sw.quantize.transition import Complexes, store

Floats = NDArray[np.float64]
STATE_BITS = (None, 8, 6)
ABAR_BITS = (8, 6, 5, 4)


def cartesian(abar: Complexes, bits: int) -> Complexes:
    """Both parts in one format, rounded towards zero."""
    return store(abar, bits, delta=False).values


def delta(abar: Complexes, bits: int) -> Complexes:
    """Abar - 1 with an exponent per mode, the ``delta`` of recipes."""
    return store(abar, bits, delta=True).values


def _upper(abar: Complexes) -> Complexes:
    """Abar or its conjugate in the upper half plane;
    conjugating C of the read-out too changes nothing."""
    return np.where(abar.imag < 0, abar.conj(), abar)


def log_polar(abar: Complexes, bits: int) -> Complexes:
    """One bit for the radius, 2 ``bits`` - 1 for the phase over half a turn,
    as in the public replication of arXiv 2506.12480."""
    return _polar(abar, 2 * bits - 1, 1)


def log_polar_by_head(abar: Complexes, bits: int) -> Complexes:
    """Radius 1 - 2**-k with 1 bit for k (width 4), 2 (width 5) or 3;
    the unit of the phase has an exponent per channel."""
    radius_bits = {4: 1, 5: 2}.get(bits, 3)
    rows = [
        _polar(row[np.newaxis], 2 * bits - radius_bits, radius_bits, scaled=True)[0] for row in abar
    ]
    return np.array(rows)


def _polar(abar: Complexes, phase_bits: int, radius_bits: int, scaled: bool = False) -> Complexes:
    upper = _upper(abar)
    turn = np.pi * (
        min(1.0, 2.0 ** np.ceil(np.log2(np.angle(upper).max() / np.pi))) if scaled else 1.0
    )
    codes = np.minimum(np.round(np.angle(upper) / turn * 2**phase_bits), 2**phase_bits - 1)
    octave = -np.log2(1 - np.abs(upper))
    bases = [base + np.arange(2**radius_bits) for base in range(16)]
    nearest = [base[np.abs(octave[..., np.newaxis] - base).argmin(-1)] for base in bases]
    best = min(nearest, key=lambda chosen: float(((octave - chosen) ** 2).sum()))
    return np.asarray((1 - 2.0**-best) * np.exp(1j * codes / 2**phase_bits * turn))


def code_book(abar: Complexes, bits: int) -> Complexes:
    """A code book of 2**(2 ``bits``) poles, at most 256, for all modes:
    k-means over phase and logarithm of the decay."""
    upper = _upper(abar).ravel()
    features = np.stack([np.angle(upper) / 0.02, np.log(-np.log(np.abs(upper)))], axis=1)
    size = min(4**bits, 256, len(features))
    centres = features[np.random.default_rng(0).choice(len(features), size, replace=False)]
    for _ in range(30):
        owner = ((features[:, np.newaxis] - centres) ** 2).sum(-1).argmin(1)
        centres = np.array(
            [
                features[owner == k].mean(0) if (owner == k).any() else centres[k]
                for k in range(size)
            ]
        )
    phase, decay = centres[owner].T
    return np.asarray(np.exp(-np.exp(decay) + 1j * phase * 0.02).reshape(abar.shape))


FORMS: Mapping[str, Callable[[Complexes, int], Complexes]] = {
    "Cartesian": cartesian,
    "delta": delta,
    "log-polar": log_polar,
    "log-polar by head": log_polar_by_head,
    "code book": code_book,
}
ROUNDINGS = ("half up", "dither", "random", "error feedback")


def scan(u: Floats, abar: Complexes, scale: Floats, bits: int | None, rounding: str) -> Floats:
    """States (batch, steps, 2 N) of one channel's input u (batch, steps),
    in codes of ``bits`` bits (None: exact)."""
    top = np.inf if bits is None else 2.0 ** (bits - 1) - 1
    random = np.random.default_rng(0)
    modes = np.arange(abar.size)
    h, error = (
        np.zeros((len(u), abar.size), np.complex128),
        np.zeros((len(u), abar.size), np.complex128),
    )
    states = np.empty((len(u), u.shape[1], 2 * abar.size))
    for t in range(u.shape[1]):
        h = abar * h + scale * u[:, t, np.newaxis]
        if bits is not None:
            wanted = h + error if rounding == "error feedback" else h
            offset = np.full((2, *h.shape), 0.5)
            if rounding == "dither":
                offset[:] = ((dither(t, modes, np.array([[0], [1]])) + 0.5) / 256)[:, np.newaxis]
            elif rounding == "random":
                offset = random.random(offset.shape)
            h = np.floor(wanted.real + offset[0]) + 1j * np.floor(wanted.imag + offset[1])
            error = wanted - h
            h = np.clip(h.real, -top - 1, top) + 1j * np.clip(h.imag, -top - 1, top)
        states[:, t, ::2], states[:, t, 1::2] = h.real, h.imag
    return states


def sqnr(
    model: S4D, u: Floats, y: Floats, abar: Complexes, bits: int | None, rounding: str
) -> float:
    """Signal-to-noise ratio of the read-out (without skip) in dB, over all channels;
    u and y are (batch, steps, H)."""
    half, signal, noise = len(u) // 2, 0.0, 0.0
    for c in range(model.width):
        peak = (
            np.abs(scan(u[:, :, c], abar[c], np.ones(abar.shape[1]), None, "half up"))
            .max((0, 1))
            .reshape(-1, 2)
            .max(1)
        )
        top = 1.0 if bits is None else 2.0 ** (bits - 1)
        states = scan(
            u[:, :, c], abar[c], np.exp2(np.floor(np.log2(top / (0.9 * peak)))), bits, rounding
        )
        x = np.concatenate([states, u[:, :, c, np.newaxis]], axis=-1)
        fit, test = x[:half].reshape(-1, x.shape[-1]), x[half:].reshape(-1, x.shape[-1])
        gram = fit.T @ fit
        gram += 1e-6 * np.trace(gram) / len(gram) * np.eye(len(gram))
        wanted = y[:, :, c]
        missed = wanted[half:].ravel() - test @ np.linalg.solve(gram, fit.T @ wanted[:half].ravel())
        signal, noise = signal + float((wanted[half:] ** 2).sum()), noise + float((missed**2).sum())
    return round(10 * float(np.log10(signal / noise)), 1)


def main(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint of `ssm-hdl train`.")],
    data: Annotated[Path | None, typer.Option(help="Folder with the IDX files of MNIST.")] = None,
    out: Annotated[Path, typer.Option(help="JSON file to write.")] = Path("results/formats.json"),
    samples: Annotated[int, typer.Option(min=4, help="Images, half of them to fit on.")] = 8,
) -> None:
    """Compare forms of Abar and roundings of the state, and write the ratios in dB as JSON."""
    trained = checkpoints.load(checkpoint)
    model, inputs = trained.require(S4D), trained.inputs
    images = torch.from_numpy(inputs.normalise(load(inputs.name, data).train.codes[:samples]))
    trace = model.trace(images)
    u, y = trace["encoder"].double().numpy(), trace["readout"].double().numpy()
    y = y - model.d.double().numpy() * u
    abar = model.a_bar.numpy().astype(np.complex128)
    answer: dict[str, Any] = {
        "checkpoint": checkpoint.name,
        "samples": samples,
        "abar": {},
        "rounding": {},
    }
    with progress("formats", len(FORMS) * len(ABAR_BITS) + len(ROUNDINGS)) as advance:
        for name, form in FORMS.items():
            rows = answer["abar"].setdefault(name, {})
            for bits in ABAR_BITS:
                stored = form(abar, bits)
                rows[bits] = {
                    str(b or "exact"): sqnr(model, u, y, stored, b, "dither") for b in STATE_BITS
                }
                advance(1)
        for rounding in ROUNDINGS:
            answer["rounding"][rounding] = {
                bits: sqnr(model, u, y, abar, bits, rounding) for bits in (8, 6)
            }
            advance(1)
    write_atomically(out, (json.dumps(answer, indent=2) + "\n").encode())


if __name__ == "__main__":
    typer.run(main)
