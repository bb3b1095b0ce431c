"""What brings the products of the modes of a scan to one scale."""

from amaranth.hdl import Const, Module, Mux, Shape, Value

from ssm_hdl.gateware.layers import Table
from ssm_hdl.gateware.memories import Storage
from ssm_hdl.gateware.multiplier import Multiplier
from ssm_hdl.gateware.shift import Shifts


class Scales:
    """The codes of the modes as they are multiplied,
    and the left shifts that their products still need.

    The shifts follow the products, as in a dense. But a MULT18X18D that makes one product has bits
    to spare in both operands. With such a ``multiplier``, the codes are stored in their table
    already shifted, as far as they fit.

    Where that is not enough, the state of a mode is shifted too, by one amount or not at all: a
    multiplexer before the multiplier. Only if the state has no room either, a shift follows the
    products, of fewer bits, in steps of a power of two.

    Args:
        codes: (words, modes * numbers of each) of every layer.
        amounts: (words, modes) of every layer: by how much the products are to be shifted.
        state: what the states, or the sums of both parts of one, may be.
        multiplier: shift before these multipliers as far as they have bits to spare;
            after the products if None.

    Attributes:
        codes: table of the codes.
        raised: bits by which the states of some modes are shifted; 0 if none is.
        table: a number for each mode: whether its state is shifted,
            or the shift after its products.
        latency: cycles of the shift after the products.
        code, state: what the operands of the multipliers may be.
    """

    def __init__(
        self, codes: Table, amounts: Table, state: Shape, multiplier: Multiplier | None = None
    ) -> None:
        self._behind, self.raised = Shifts(amounts), 0
        self.table = self._behind.table
        if multiplier is not None and multiplier.shifts and self._behind.most:
            spread, room = self._behind.spread, max(0, multiplier.spare(_numbers(codes)))
            more = max(0, self._behind.most - room)
            # a raised mode has a shift of room + 1 bits at least
            if more <= min(room + 1, multiplier.spare(state)):
                early_bits, rest = (
                    [each - more * (each > room) for each in spread],
                    [each * 0 for each in spread],
                )
                self.raised = more
            else:
                step = 1 << (room + 1).bit_length() - 1
                early_bits = [each % step for each in spread]
                rest = [each - low for each, low in zip(spread, early_bits, strict=True)]
            self._behind = Shifts(
                Table([each + self._behind.least for each in rest], codes.memories)
            )
            self.table = (
                Table([1 * (each > room) for each in spread], codes.memories)
                if self.raised
                else self._behind.table
            )
            each_mode = codes.codes.shape[1] // amounts.codes.shape[1]
            shifted = [
                code << low.repeat(each_mode, axis=1)
                for code, low in zip(codes.tables, early_bits, strict=True)
            ]
            codes = Table(shifted, codes.memories)
        self.codes, self.latency = codes, self._behind.latency
        self.code, self.state = _numbers(codes), Shape(state.width + self.raised, state.signed)

    def storage(self, name: str) -> list[Storage]:
        """The memory of its table, if there has to be one."""
        return [self.table.storage(name)] if self.raised else self._behind.storage(name)

    def read(self, m: Module, name: str, place: Value) -> list[Value]:
        """The table's word, a number for each mode, 2 cycles after its place,
        the word at the bottom and the layer on top."""
        return (
            self.table.read_late(m, name, place)
            if self.raised
            else self._behind.read(m, name, place)
        )

    def before(self, state: Value, number: Value) -> Value:
        """A part of a mode's state as it is multiplied."""
        return Mux(number, state.shift_left(self.raised), state) if self.raised else state

    def behind(self, m: Module, mode: int, products: Value, number: Value, width: int) -> Value:
        """The sum of products of a mode at the scale of all, modulo 2**width,
        ``latency`` cycles later."""
        return self._behind.apply(m, mode, products, Const(0) if self.raised else number, width)


def _numbers(table: Table) -> range:
    return range(int(table.codes.min()), int(table.codes.max()) + 1)
