"""The sequence that a scan rounds by."""

from amaranth.hdl import Module, Mux, Value

from ssm_hdl.gateware.arithmetic import delay
from ssm_hdl.gateware.folding import ScanFolding
from ssm_hdl.gateware.layers import Registers
from ssm_hdl.operations.scan import DITHER_BITS, dither, dither_offset


class Dither:
    """`ssm_hdl.operations.scan.dither` in step with the words of a scan: each lane adds its constant to that of the layer.

    Args:
        m: the module it counts in.
        folding: which modes are in which word.
        done: a word ends in this cycle.
        wraps: and so does a time step.
        last: and so does the sequence.
        layer: the layer that the word is of.
        layers: how many there are.
    """

    def __init__(
        self, m: Module, folding: ScanFolding, done: Value, wraps: Value, last: Value, layer: Value, layers: int
    ) -> None:
        self._m = m
        words = Registers(m, "word", DITHER_BITS, 0, layers, layer)
        self._word = words.value  # the dither of the word's first mode
        next_word = dither(0, folding.modes, 0)
        next_step = dither(1, -(folding.words - 1) * folding.modes, 0)
        with m.If(done):
            words.set(Mux(wraps & last, 0, self._word + Mux(wraps, next_step, next_word)))

    def offset(self, lane: int, part: Value | int, drop: int) -> Value:
        """What is added to a part of the word's mode ``lane`` before ``drop`` bits are dropped, 1 cycle later."""
        constant = Mux(part, dither(0, lane, 1), dither(0, lane, 0)) if isinstance(part, Value) else dither(0, lane, part)
        number = delay(self._m, (self._word + constant)[:DITHER_BITS], 1)
        return dither_offset(number, drop)


__all__ = ["Dither"]
