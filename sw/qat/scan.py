"""Diagonal scan, differentiable: alone, or fused with a dense that reads every channel by itself.

The fused form serves S4D, whose states are too many to store. Forward is the exact integer
recurrence. Backward goes straight through the roundings. The gradient of the read-out's weights
uses the rounded states. The gradient of the input is the adjoint of the linear system: a
correlation with its impulse response, by FFT, or the recurrence backwards in time.
Abar is not trained.
"""

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from ssm_hdl.operations import Dense, Node, Scan
from ssm_hdl.operations.scan import DITHER_BITS, dither, dither_offset
from ssm_hdl.sw.models.convolution import fft_length
from ssm_hdl.sw.qat import kernels

CONJUGATE = np.array([1, -1])
"""The real part of a product is a real product with (Re W, -Im W)."""


class Bank:
    """A scan as arrays for the compiled loops.

    Args:
        scan: the node of the scan.
    """

    def __init__(self, scan: Node) -> None:
        assert isinstance(scan.op, Scan)
        channels, modes = scan.arrays["shift"].shape
        drop = scan.accumulator.f_bits - scan.output.format.f_bits
        transition, shift = scan.arrays["transition"], scan.arrays["shift"]
        real, imaginary = (
            np.ascontiguousarray(transition[..., part], np.float64) for part in (0, 1)
        )
        gain, offset, lsb = (
            np.exp2(shift.astype(np.float64)),
            _offsets(scan, channels, modes, drop),
            2.0**-drop,
        )
        low, high = float(scan.output.format.min), float(scan.output.format.max)
        self.arrays = (
            real,
            imaginary,
            gain,
            np.ascontiguousarray(offset, np.float64),
            lsb,
            low,
            high,
        )
        self.gain = torch.from_numpy(gain * lsb)
        self.poles = torch.from_numpy((real + 1j * imaginary) * lsb)

    def reads(self, readout: Node) -> bool:
        """Whether a node is a dense with one group per channel,
        which can be fused with the scan."""
        weight = readout.arrays.get("weight")
        return (
            isinstance(readout.op, Dense)
            and weight is not None
            and weight.shape[0] == len(self.poles)
        )

    def states(self, u: Tensor) -> Tensor:
        """States (B, L, C * N, 2) of u (B, L, C) or (B, L, C, 2)."""
        inputs = u.detach().numpy().reshape(*u.shape[:2], len(self.poles), -1)
        result = np.empty((*inputs.shape[:2], *self.poles.shape, 2))
        spread(lambda part: kernels.states(inputs[part], *self.arrays, result[part]), len(inputs))
        return torch.from_numpy(result).flatten(2, 3)

    def by_input(self, gradient: Tensor, parts: int) -> Tensor:
        """Gradient (B, L, C, parts) of u, from the gradient (B, L, C * N, 2) of the states."""
        of_states = gradient.contiguous().numpy().reshape(*gradient.shape[:2], *self.poles.shape, 2)
        result = np.empty((*of_states.shape[:3], parts))
        real, imaginary, gain, _, lsb, _, _ = self.arrays
        spread(
            lambda part: kernels.adjoint(of_states[part], real, imaginary, gain, lsb, result[part]),
            len(result),
        )
        return torch.from_numpy(result)

    def run(self, u: Tensor, weight: Tensor) -> Tensor:
        """Exact sums (B, L, C * M) of the read-out of u (B, L, C) by weight (C, M, N, 2)."""
        inputs = u.detach().numpy()
        signed = np.ascontiguousarray((weight.detach().numpy() * CONJUGATE).swapaxes(2, 3))
        sums = np.empty((*inputs.shape[:2], inputs.shape[2] * weight.shape[1]))
        spread(
            lambda part: kernels.walk(inputs[part], *self.arrays, signed, sums[part]), len(inputs)
        )
        return torch.from_numpy(sums)

    def by_weight(self, u: Tensor, gradient: Tensor, rows: int) -> Tensor:
        """Gradient (C, M, N, 2) of the weight, from the gradient (B, L, C * M) of the sums."""
        inputs, sums = u.numpy(), gradient.numpy()
        channels, modes = self.poles.shape
        # Per sample, then summed: so the result does not depend on the number of threads.
        per_sample = np.empty((len(inputs), channels, rows, 2, modes))
        spread(
            lambda part: kernels.correlate(
                inputs[part], *self.arrays, sums[part], per_sample[part]
            ),
            len(inputs),
        )
        return torch.from_numpy(per_sample.sum(0).swapaxes(2, 3) * CONJUGATE)

    def response(self, weight: Tensor, steps: int) -> Tensor:
        """Impulse response (C, M, steps) of the linear system,
        in codes of the sums per code of u."""
        root = int(np.ceil(np.sqrt(steps)))
        powers = torch.arange(root)
        # 0**0 is 1 and other powers are 0
        log = torch.log(torch.where(self.poles == 0, 1e-30, self.poles))[..., None]
        drive = torch.view_as_complex(weight.detach().contiguous()) * self.gain[:, None]
        high = torch.exp(log * (powers * root))[:, None] * drive[..., None]  # (C, M, N, root)
        response = high.transpose(2, 3) @ torch.exp(log * powers)[:, None]
        return response.real.reshape(*weight.shape[:2], -1)[..., :steps]


def _offsets(scan: Node, channels: int, modes: int, drop: int) -> Any:
    """Offsets (C, period, 2, N) added before the lowest ``drop`` bits are dropped:
    a half, or the dither."""
    assert isinstance(scan.op, Scan)
    if not scan.op.dither or not drop:
        return np.full((channels, 1, 2, modes), 1 << drop >> 1)
    mode = np.arange(channels * modes).reshape(channels, 1, 1, modes)
    step, part = np.ogrid[: 1 << DITHER_BITS, :2]
    return dither_offset(dither(step[..., np.newaxis], mode, part[..., np.newaxis]), drop)


@lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)


def spread(function: Callable[[slice], object], batch: int) -> None:
    """Call ``function`` with slices of a batch, in torch's number of threads."""
    threads = max(1, min(torch.get_num_threads(), batch))
    edges: Sequence[int] = [batch * k // threads for k in range(threads + 1)]
    list(_pool(threads).map(function, [slice(a, b) for a, b in itertools.pairwise(edges)]))


class _BankFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, u: Tensor, weight: Tensor, bank: Bank) -> Tensor:
        ctx.bank = bank
        ctx.save_for_backward(u, weight)
        return bank.run(u, weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        (u, weight), gradient = ctx.saved_tensors, gradients[0].contiguous()
        batch, steps, channels = u.shape
        rows = weight.shape[1]
        length = fft_length(2 * steps - 1)
        response = torch.fft.rfft(ctx.bank.response(weight, steps).float(), n=length)  # (C, M, F)
        spectrum = torch.fft.rfft(
            gradient.float().mT.reshape(batch, channels, rows, steps), n=length
        )
        by_input = torch.fft.irfft((spectrum * response.conj()).sum(2), n=length)[..., :steps]
        return by_input.mT.double(), ctx.bank.by_weight(u, gradient, rows), None


class _StatesFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, u: Tensor, bank: Bank) -> Tensor:
        ctx.bank, ctx.shape = bank, u.shape
        return bank.states(u)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return (
            ctx.bank.by_input(gradients[0], 2 if len(ctx.shape) == 4 else 1).reshape(ctx.shape),
            None,
        )


def states(bank: Bank, u: Tensor) -> Tensor:
    """States (B, L, C * N, 2) of u (B, L, C), or complex (B, L, C, 2), in codes."""
    return cast(Tensor, _StatesFunction.apply(u, bank))  # type: ignore[no-untyped-call]


def scan(bank: Bank, u: Tensor, weight: Tensor) -> Tensor:
    """Exact sums (B, L, C * M) of the read-out of u (B, L, C) by weight (C, M, N, 2),
    both in codes."""
    return cast(Tensor, _BankFunction.apply(u, weight, bank))  # type: ignore[no-untyped-call]
