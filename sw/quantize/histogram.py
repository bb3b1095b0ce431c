"""Histograms that grow with their data, and the error of a format on them."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.fixed import Format

Floats = NDArray[np.float64]

HALF = 1 << 12
"""Bins on either side of zero."""


class Histogram:
    """Counts of the values of an edge, channel by channel. All bins have one width,
    which doubles when a value falls outside.

    Args:
        name: of the edge, for messages.
        channels: elements in a packet.

    Attributes:
        counts: values in each bin, (channels, 2 HALF).
        width: of a bin, a power of two.
        low: least value of each channel, (channels,).
        high: greatest value of each channel, (channels,).
    """

    def __init__(self, name: str, channels: int) -> None:
        self.name = name
        self.counts = np.zeros((channels, 2 * HALF), np.int64)
        self.width = 2.0**-30
        self.low = np.full(channels, np.inf)
        self.high = np.full(channels, -np.inf)

    def add(self, values: NDArray[np.floating]) -> None:
        """Count values (..., channels).

        Raises:
            SsmHdlError: one is not finite.
        """
        values = values.reshape(-1, len(self.counts)).astype(np.float64)
        if not np.isfinite(values).all():
            raise SsmHdlError(
                f"calibration: {np.count_nonzero(~np.isfinite(values))} of {values.size} values of "
                f"{self.name} are not finite; the model is not fit to be quantized, train it again"
            )
        self.low, self.high = (
            np.minimum(self.low, values.min(0)),
            np.maximum(self.high, values.max(0)),
        )
        # Powers of two double into each other: pairs of bins merge exactly,
        # and 0 stays an edge between bins.
        while np.abs(values).max() >= HALF * self.width:
            pairs = self.counts.reshape(len(self.counts), HALF, 2).sum(-1)
            self.counts = np.pad(pairs, ((0, 0), (HALF // 2, HALF // 2)))
            self.width *= 2
        # One flat count for all channels: the offset of a channel keeps its bins apart.
        bins = (
            np.floor(values / self.width).astype(np.int64)
            + HALF
            + np.arange(len(self.counts)) * 2 * HALF
        )
        self.counts += np.bincount(bins.ravel(), minlength=self.counts.size).reshape(
            self.counts.shape
        )

    @property
    def peak(self) -> Floats:
        """The largest magnitude of each channel, (channels,)."""
        return np.asarray(np.maximum(-self.low, self.high))

    @property
    def pooled(self) -> "Histogram":
        """The histogram of the values of all channels, as one."""
        whole = Histogram(self.name, 1)
        whole.counts, whole.width = self.counts.sum(0, keepdims=True), self.width
        whole.low, whole.high = self.low.min(keepdims=True), self.high.max(keepdims=True)
        return whole

    @property
    def centres(self) -> Floats:
        """The middle of each bin, (2 HALF,)."""
        return (np.arange(-HALF, HALF, dtype=np.float64) + 0.5) * self.width

    def mean(self, function: Callable[[Floats], Floats] = np.asarray) -> Floats:
        """Mean (channels,) of ``function`` of the values, taken at the middle of the bins."""
        return np.asarray(self.counts @ function(self.centres) / self.counts.sum(1))

    def percentile(self, percentile: float) -> Floats:
        """The percentile (channels,) of the magnitudes, rounded up to the end of a bin."""
        magnitudes = self.counts[:, HALF:] + self.counts[:, :HALF][:, ::-1]
        share = np.cumsum(magnitudes, axis=1) / magnitudes.sum(axis=1, keepdims=True)
        reached = (np.argmax(share >= percentile / 100, axis=1) + 1) * self.width
        return np.asarray(np.minimum(reached, self.peak))

    def error(
        self,
        format: Format,
        scale: Floats | float = 1.0,
        function: Callable[[Floats], Floats] | None = None,
    ) -> Floats:
        """Mean squared error (channels,) of ``format``, in units of the unscaled edge.

        Clipped values count with their clipping error, all others with lsb^2 / 12, the variance of
        a rounding error. With a function, both are taken at its output: a sigmoid flattens large
        values, so they may be clipped.

        Args:
            format: the format tried.
            scale: factor of the channels before the format, (channels,).
            function: the next operation on the values.
        """
        scale = np.broadcast_to(np.asarray(scale, np.float64), len(self.counts))[:, np.newaxis]
        values = np.broadcast_to(self.centres, self.counts.shape)
        clipped = np.clip(values, format.min * format.lsb / scale, format.max * format.lsb / scale)
        rounding: Floats = np.where(clipped == values, (format.lsb / scale) ** 2 / 12, 0.0)
        if function is not None:
            # To first order, a function multiplies a small error by its slope.
            slope = (
                function(values + self.width / 2) - function(values - self.width / 2)
            ) / self.width
            values, clipped, rounding = function(values), function(clipped), rounding * slope**2
        errors: Floats = (self.counts * ((values - clipped) ** 2 + rounding)).sum(
            1
        ) / self.counts.sum(1)
        return errors
