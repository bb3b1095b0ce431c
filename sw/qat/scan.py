"""Diagonal scan with the complex dense that reads it out, differentiable: together, for the states are too many for floats.

Forward is the exact integer walk. Backward goes straight through the roundings: the read-out's weights see the states as they
were, and the input sees the linear system, whose adjoint is a correlation with its impulse response, by FFT. Abar stays as it is.
"""

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.operations import Node, Scan
from ssm_hdl.operations.scan import DITHER_BITS, dither, dither_offset
from ssm_hdl.sw.models.convolution import fft_length
from ssm_hdl.sw.qat import kernels


class Bank:
    """A scan and its read-out, in the arrays of the compiled walk.

    Args:
        scan: the bound scan.
        readout: the bound dense that reads it.

    Raises:
        SsmHdlError: the read-out does not take one group a channel.
    """

    def __init__(self, scan: Node, readout: Node) -> None:
        assert isinstance(scan.op, Scan)
        channels, modes = scan.arrays["shift"].shape
        if readout.arrays["weight"].shape[0] != channels:
            raise SsmHdlError(
                f"{readout.name} reads the {channels} channels of {scan.name} in {readout.arrays['weight'].shape[0]} groups; "
                "training takes one group a channel"
            )
        drop = scan.accumulator.f_bits - scan.output.format.f_bits
        transition, shift = scan.arrays["transition"], scan.arrays["shift"]
        self.real, self.imaginary = (np.ascontiguousarray(transition[..., part], np.float64) for part in (0, 1))
        self.gain, self.lsb = np.exp2(shift.astype(np.float64)), 2.0**-drop
        self.low, self.high = float(scan.output.format.min), float(scan.output.format.max)
        self.offset = _offsets(scan, channels, modes, drop).astype(np.float64)
        self.state_type = np.int8 if scan.output.format.width <= 8 else np.int16
        one = 2.0 ** (scan.accumulator.f_bits - scan.output.format.f_bits)
        self.poles = torch.from_numpy((transition[..., 0] + 1j * transition[..., 1]) / one)

    def run(self, u: Tensor, weight: Tensor, keep: bool) -> tuple[Tensor, Any]:
        """Exact sums (B, L, C * M) of the read-out, and the states (B, L, C, 2, N) if asked for; weight (C, M, N, 2)."""
        inputs = u.detach().numpy()
        signed = (weight.detach().numpy() * np.array([1, -1])).swapaxes(2, 3).copy()
        batch, steps, channels = inputs.shape
        sums = np.empty((batch, steps, channels * weight.shape[1]))
        states = np.empty((batch if keep else 0, steps, channels, 2, self.real.shape[1]), self.state_type)

        def part(rows: slice) -> None:
            kernels.walk(
                *(inputs[rows], self.real, self.imaginary, self.gain, self.offset, self.lsb, self.low, self.high),
                *(signed, sums[rows], states[rows] if keep else states, keep),
            )

        _spread(part, batch)
        return torch.from_numpy(sums), states

    def response(self, weight: Tensor, steps: int) -> Tensor:
        """Impulse response (C, M, steps) of the linear system, in codes of the sums per code of u."""
        root = int(np.ceil(np.sqrt(steps)))
        powers = torch.arange(root)
        log = torch.log(torch.where(self.poles == 0, 1e-30, self.poles))[..., None]  # 0**0 is 1 and other powers are 0
        drive = torch.view_as_complex(weight.detach().contiguous()) * torch.from_numpy(self.gain * self.lsb)[:, None]
        high = torch.exp(log * (powers * root))[:, None] * drive[..., None]  # (C, M, N, root)
        response = high.transpose(2, 3) @ torch.exp(log * powers)[:, None]
        return response.real.reshape(*weight.shape[:2], -1)[..., :steps]


def _offsets(scan: Node, channels: int, modes: int, drop: int) -> Any:
    """What is added before the lowest ``drop`` bits are dropped, (C, period, 2, N)."""
    assert isinstance(scan.op, Scan)
    if not scan.op.dither or not drop:
        return np.full((channels, 1, 2, modes), 1 << drop >> 1)
    mode = np.arange(channels * modes).reshape(channels, 1, 1, modes)
    step, part = np.ogrid[: 1 << DITHER_BITS, :2]
    return dither_offset(dither(step[..., np.newaxis], mode, part[..., np.newaxis]), drop)


@lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)


def _spread(function: Callable[[slice], object], batch: int) -> None:
    """Call ``function`` with slices of a batch, in as many threads as torch has."""
    threads = max(1, min(torch.get_num_threads(), batch))
    edges: Sequence[int] = [batch * k // threads for k in range(threads + 1)]
    list(_pool(threads).map(function, [slice(a, b) for a, b in itertools.pairwise(edges)]))


class _BankFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, u: Tensor, weight: Tensor, bank: Bank) -> Tensor:
        sums, states = bank.run(u, weight, any(ctx.needs_input_grad))
        ctx.bank, ctx.states = bank, states
        ctx.save_for_backward(weight)
        return sums

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        (weight,), gradient = ctx.saved_tensors, gradients[0].float()
        channels, rows, modes, _ = weight.shape
        batch, steps, _ = gradient.shape
        partial = np.zeros((batch, channels, rows, 2, modes))
        _spread(
            lambda part: [
                kernels.correlate(gradient.numpy()[b : b + 1], ctx.states[b : b + 1], partial[b])
                for b in range(*part.indices(batch))
            ],
            batch,
        )
        by_weight = torch.from_numpy(partial.sum(0).swapaxes(2, 3) * np.array([1, -1]))
        length = fft_length(2 * steps - 1)
        response = torch.fft.rfft(ctx.bank.response(weight, steps).float(), n=length)  # (C, M, F)
        spectrum = torch.fft.rfft(gradient.mT.reshape(batch, channels, rows, steps), n=length)
        by_input = torch.fft.irfft((spectrum * response.conj()).sum(2), n=length)[..., :steps]
        return by_input.mT.double(), by_weight, None


def scan(bank: Bank, u: Tensor, weight: Tensor) -> Tensor:
    """Exact sums (B, L, C * M) of the read-out of u (B, L, C) by weight (C, M, N, 2), both in codes."""
    return cast(Tensor, _BankFunction.apply(u, weight, bank))  # type: ignore[no-untyped-call]
