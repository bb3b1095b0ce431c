"""How the products of a scan fall onto its multipliers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple, Self

from ssm_hdl.families.base import Family
from ssm_hdl.families.generic import GENERIC
from ssm_hdl.fixed import Codes
from ssm_hdl.gateware.folding import Folding, divisors, parts, worth
from ssm_hdl.gateware.layers import Layers, Table
from ssm_hdl.gateware.memories import pad_edge
from ssm_hdl.gateware.multiplier import Multiplier, Numbers
from ssm_hdl.gateware.operands import PARTS, PLAIN, SHORT, state, transition
from ssm_hdl.gateware.scales import Scales
from ssm_hdl.gateware.shift import Shifts
from ssm_hdl.gateware.stream import beats
from ssm_hdl.operations import Scan

# modes side by side that may have one multiplier each, for three products: of more,
# threes are close to any number
_FEW = 8
# cycles of the loop of a scan beside its products: to read a state, add, round and saturate
_AROUND = 6


class Operands(NamedTuple):
    """What the operands of a scan's multipliers may be,
    and the cycles of the shift of what they make."""

    code: Numbers
    state: Numbers
    align: int

    @classmethod
    def of(cls, scales: Scales) -> Self:
        """The operands of a scan whose products `Scales` brings to one scale."""
        return cls(scales.code, scales.state, scales.latency)


_NONE = Operands(range(1), range(1), 0)


@dataclass(frozen=True)
class ScanFolding(Folding):
    """How the C x N complex products fall onto multipliers: ``channels * within`` modes at once,
    in ``phases`` cycles.

    ``terms`` are the products of real numbers in a complex one, ``parts`` the real numbers of an
    element of u. ``least`` is the minimum of cycles of the products: their addend is not ready
    earlier. If the modes side by side do not divide the modes of a channel, its last word is padded
    with modes that do not count. ``late`` and ``early`` are the operands with the shifts to one
    scale after the products, and before the multipliers where these have bits to spare.
    """

    shape: tuple[int, int]
    channels: int
    within: int
    phases: int
    terms: int
    parts: int
    least: int = 0
    family: Family = GENERIC
    late: Operands = _NONE
    early: Operands = _NONE

    @classmethod
    def every(cls, layers: Layers) -> Sequence[Self]:
        """Every folding: 1 or 2 multipliers for a mode, 1 for each of few, 3 or 4 for each,
        up to all modes of all channels.

        Of equal multipliers, foldings without padding come first, then the ones of fewer channels,
        then of fewer modes. Several channels side by side restrict their readers, so such a folding
        does not replace one of a single channel.
        """
        channels, modes = shape = layers.node.arrays["scale"].shape
        sides = [(c, w) for c in divisors(channels) for w in parts(modes)]
        arguments = [(1, 1, PLAIN, PLAIN), (1, 1, 2, PLAIN)] + [
            (c, w, SHORT, SHORT) for c, w in sides if c * w <= _FEW
        ]
        arguments += [(c, w, 1, terms) for c, w in sides for terms in (PLAIN, SHORT)]
        numbers = PARTS if layers.node.inputs[0].is_complex else 1
        foldings = [cls(shape, c, w, phases, terms, numbers) for c, w, phases, terms in arguments]
        alike = [
            [f for f in foldings if (f.terms, f.channels == 1) == key]
            for key in product((PLAIN, SHORT), (True, False))
        ]
        useful = [folding for group in alike for folding in worth(group)]
        ordered = sorted(useful, key=lambda f: (f.multipliers, not f.exact, f.channels, f.modes))
        return [folding._timed(layers) for folding in ordered]

    def _timed(self, layers: Layers) -> Self:
        """The same with what it multiplies and the cycles of its shifts."""
        drive = Shifts(self.amounts(layers, "shift")).latency
        late, early = (Operands.of(self._scales(layers, dsp)) for dsp in (None, layers.family.dsp))
        assert isinstance(layers.node.op, Scan)
        least = drive + layers.node.op.delta - 1
        return replace(self, least=least, late=late, early=early, family=layers.family)

    @property
    def name(self) -> str:
        """Channels x modes of each, then the phases of a mode that has fewer multipliers than
        products, or the 3 products."""
        short = "" if self.terms == PLAIN else f"*{SHORT}"
        return f"{self.channels}x{self.within}" + (f"/{self.phases}" if self.phases > 1 else short)

    @property
    def interleaved(self) -> tuple[int, int] | None:
        """Channels side by side and the parts of the modes of each, if these are not all."""
        return (
            (self.channels, PARTS * self.within)
            if self.channels > 1 and self.within < self.shape[1]
            else None
        )

    @property
    def plain(self) -> bool:
        """No channels are filled up, which only a dense reads that is folded alike."""
        return self.interleaved is None and self.exact

    @property
    def exact(self) -> bool:
        """Its modes side by side divide the modes of a channel."""
        return self.shape[1] % self.within == 0

    @property
    def modes(self) -> int:
        """Modes side by side."""
        return self.channels * self.within

    @property
    def multipliers(self) -> int:
        """Multipliers side by side."""
        return self.modes * self.terms // self.phases

    @property
    def products(self) -> int:
        """Products of real numbers for a packet."""
        return self.shape[0] * self.shape[1] * self.terms

    def operands(self, kind: str) -> Operands:
        """The operands of a kind of multiplier."""
        return self.early if self.family.multiplier(kind).shifts else self.late

    def scales(self, layers: Layers, kind: str) -> Scales:
        """What brings the products to one scale."""
        return self._scales(layers, self.family.multiplier(kind))

    def latency(self, kind: str) -> int:
        """Cycles of a product until it is at the scale of all."""
        return max(self.least, self._product(kind) + self.operands(kind).align)

    def wait(self, kind: str) -> int:
        """Cycles of `latency` in which the product is ready and waits for its addend."""
        return self.latency(kind) - self._product(kind) - self.operands(kind).align

    def blocks(self, kind: str) -> int:
        """DSP blocks that the multipliers take."""
        code, state, _ = self.operands(kind)
        return self.family.multiplier(kind).blocks(code, state, self.multipliers)

    def suits(self, kind: str) -> bool:
        """Both operands fit the kind; three products need multipliers that take the
        sums of operands."""
        code, state, _ = self.operands(kind)
        multiplier = self.family.multiplier(kind)
        fits = all(multiplier.spare(operand) >= 0 for operand in (code, state))
        return fits and (self.terms == PLAIN or multiplier.takes_sums(code, state))

    def _product(self, kind: str) -> int:
        """Cycles of a product; with sums of operands one more to add them,
        since multipliers lie far from other logic."""
        code, state, _ = self.operands(kind)
        return self.family.multiplier(kind).latency(code, state) + (self.terms == SHORT)

    @property
    def o_lanes(self) -> int:
        """Numbers in a beat of the output."""
        return PARTS * self.modes

    @property
    def words(self) -> int:
        """Memory words of a step."""
        return self.shape[0] // self.channels * self.words_per_beat

    @property
    def cycles(self) -> int:
        """Cycles in which the memory words of a step are read."""
        return self.words * self.phases

    def loop(self, product: int) -> int:
        """Cycles from reading a state to having written it,
        with products at one scale after ``product``."""
        return _AROUND + product + self.phases

    def interval(self, product: int) -> int:
        """Cycles per step, with products at one scale after ``product``."""
        return max(self.cycles, self.loop(product))

    @property
    def i_lanes(self) -> int:
        """Numbers in a beat of u."""
        return self.parts * self.channels

    @property
    def words_per_beat(self) -> int:
        """Memory words that one beat of u drives."""
        return beats(self.shape[1], self.within)

    @property
    def holds(self) -> int:
        """Cycles in which it works with a beat before it takes the next."""
        return self.phases * self.words_per_beat

    def arrange(self, constants: Codes) -> Codes:
        """Constants of the modes, (C, N, ...), in the order of the memories:
        (words, constants of a word)."""
        (channels, modes), rest, words = self.shape, constants.shape[2:], self.words_per_beat
        filled = pad_edge(constants, 0, words * self.within - modes, *(0 for _ in rest))
        split = filled.reshape(channels // self.channels, self.channels, words, self.within, *rest)
        return split.swapaxes(1, 2).reshape(self.words, -1)

    def amounts(self, layers: Layers, name: str) -> Table:
        """The shifts that bring the products (``scale``) or the drives (``shift``)
        of every layer to one scale."""
        return layers.table(lambda node, lift: self.arrange(node.arrays[name]) + lift)

    def _scales(self, layers: Layers, multiplier: Multiplier | None) -> Scales:
        codes = layers.table(lambda node, lift: self.arrange(transition(node, self.terms)))
        return Scales(codes, self.amounts(layers, "scale"), state(layers, self.terms), multiplier)
