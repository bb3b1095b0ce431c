"""The sequence that a scan rounds by."""

from amaranth.hdl import Module, Mux, Value

from ssm_hdl.gateware.arithmetic import delay
from ssm_hdl.gateware.layers import Registers
from ssm_hdl.gateware.scan_folding import ScanFolding
from ssm_hdl.operations.scan import DITHER_BITS, dither, dither_offset


class Dither:
    """`ssm_hdl.operations.scan.dither` in step with the words of a scan:
    each lane adds its constant to the one of the layer.

    Args:
        m: the module it counts in.
        folding: which modes are in which word.
        done: a word ends in this cycle.
        turns: and so do the modes of its channels.
        wraps: and so does a time step.
        last: and so does the sequence.
        layer: the layer that the word is of.
        layers: how many there are.
    """

    def __init__(
        self,
        m: Module,
        folding: ScanFolding,
        done: Value,
        turns: Value,
        wraps: Value,
        last: Value,
        layer: Value,
        layers: int,
    ) -> None:
        self._m, self._folding = m, folding
        words = Registers(m, "word", DITHER_BITS, 0, layers, layer)
        self._word = words.value  # the dither of the word's first mode
        channels, modes = folding.shape
        back = (folding.words_per_beat - 1) * folding.within  # to the first mode of a channel
        next_word, next_channels = (
            dither(0, folding.within, 0),
            dither(0, folding.channels * modes - back, 0),
        )
        next_step = dither(1, -(channels - folding.channels) * modes - back, 0)
        step = Mux(
            wraps,
            next_step,
            Mux(turns, next_channels, next_word) if next_channels != next_word else next_word,
        )
        with m.If(done):
            words.set(Mux(wraps & last, 0, self._word + step))

    def offset(self, lane: int, part: Value | int, drop: int) -> Value:
        """The offset of a part of the word's mode ``lane``, added before ``drop`` bits are dropped,
        1 cycle later."""
        # after the first
        mode = lane // self._folding.within * self._folding.shape[1] + lane % self._folding.within
        # one adder for both parts, which differ in the upper two bits
        real = (self._word + dither(0, mode, 0))[:DITHER_BITS]
        between = Mux(part, dither(0, 0, 1), 0) if isinstance(part, Value) else dither(0, 0, part)
        number = delay(self._m, (real + between)[:DITHER_BITS], 1)
        return dither_offset(number, drop)
