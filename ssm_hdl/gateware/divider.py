"""Serial division: a bit of the quotient in a cycle."""

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value

from ssm_hdl.fixed import Format, round_divide, saturate


class Divider:
    """``round_divide(sum << up, count << down)``, saturated, with one subtractor.

    The quotient is found as one without a sign: the least code is taken off, its sign bit turns
    back at the end. What remains is shifted to the left, past the divisor, and the bits of the
    quotient follow it from the right.

    Args:
        sums: format of a sum.
        most: greatest count; the least is 1.
        result: format of the quotient.

    Attributes:
        cycles: from the cycle in which a sum is loaded to that in which the quotient is there.
        width: bits of what remains.
    """

    def __init__(self, sums: Format, most: int, result: Format) -> None:
        self.result, self.count = result, Shape(most.bit_length())
        more = result.f_bits - sums.f_bits
        self._up, self._down = max(more, 0), max(-more, 0)
        self._low = result.width + self._down  # bits of what remains that the divisor does not meet
        width = max(sums.width + self._up, self.count.width + self._down) + 2
        self._high = max(width - self._low, self.count.width + 1) + 1
        least, greatest = (
            int(round_divide(code << self._up, most << self._down)) for code in (sums.min, sums.max)
        )
        self._fits = [saturate(code, result, _select) == code for code in (least, greatest)] == [
            True,
            True,
        ]
        self.cycles, self.width = result.width + 2, self._low + self._high

    def quotient(
        self, m: Module, total: Value, count: Value, load: Value, begins: Value, shifts: Value
    ) -> Value:
        """The quotient, after the cycles of ``load``, ``begins`` and ``shifts``; it stays.

        Args:
            m: the module it is in.
            total: the sum, in the cycle of ``load``.
            count: the divisor, in the others.
            load: take the sum.
            begins: the cycle that follows.
            shifts: each of the cycles that follow, one for each bit of the result.
        """
        low = Signal(self._low, reset_less=True)
        high = Signal(Shape(self._high, True), reset_less=True)
        dividend = Signal(Shape(self.width, True))
        lifted = high + (count if self.result.signed else 0)
        less = Signal(Shape(self._high, True))
        ones = less >= 0
        m.d.comb += [
            dividend.eq((total << self._up + 1) + (count << self._down)),
            less.eq(high - count),
        ]
        with m.If(load):
            m.d.sync += Cat(low, high).eq(dividend)
        with m.Elif(begins):
            m.d.sync += high.eq(lifted)
        with m.Elif(shifts):
            m.d.sync += Cat(low, high).eq(Cat(ones, low, Mux(ones, less, high))[: self.width])
        code = Cat(low[: self.result.width - 1], low[self.result.width - 1] ^ self.result.signed)
        code = code.as_signed() if self.result.signed else code
        if self._fits:
            return code
        under, over = Signal(name="under"), Signal(name="over")
        with m.If(begins):
            m.d.sync += [under.eq(lifted < 0), over.eq(lifted >= count << 1)]
        return Mux(under, self.result.min, Mux(over, self.result.max, code))


def _select(condition: bool, a: int, b: int) -> int:
    return a if condition else b
