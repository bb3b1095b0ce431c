"""How the products of a stage fall onto its multipliers."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Self, TypeVar, cast

from ssm_hdl.errors import UsageError
from ssm_hdl.gateware.layers import Layers, Nodes
from ssm_hdl.gateware.multiplier import LUT
from ssm_hdl.gateware.stream import beats


class Folding:
    """What the foldings of all operations have in common."""

    @classmethod
    def of(cls, nodes: Nodes, which: int | str) -> Self:
        """The folding of a name, or the first onto a number of multipliers.

        Raises:
            SsmHdlError: there is none; the message lists what there is.
        """
        choices = cls.choices(nodes)
        for folding in choices:
            if which in (folding.multipliers, folding.name):
                return folding
        counts = ", ".join(map(str, dict.fromkeys(folding.multipliers for folding in choices)))
        names = (
            f" as {', '.join(folding.name for folding in choices)}"
            if isinstance(which, str)
            else ""
        )
        what = which if isinstance(which, str) else f"{which} multipliers"
        raise UsageError(
            f"{Layers.of(nodes).node.name}: cannot fold onto {what}; it can onto {counts}{names}"
        )

    @classmethod
    def choices(cls, nodes: Nodes) -> Sequence[Self]:
        """Every folding, from the fewest multipliers to the most."""
        foldings: Sequence[Self] = _every(cast("Any", cls), Layers.of(nodes))
        return foldings

    @classmethod
    def every(cls, layers: Layers) -> Sequence[Self]:
        """The same, found anew."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        """Its name, unique among the foldings of its operation."""
        return str(self.multipliers)

    @property
    def products(self) -> int:
        """Products of real numbers that the multipliers make for a packet."""
        raise NotImplementedError

    def blocks(self, kind: str) -> int:
        """DSP blocks of the multipliers, of a kind of the family."""
        raise NotImplementedError

    def in_blocks(self, kind: str) -> int:
        """Multipliers in these blocks."""
        return 0 if kind == LUT else self.multipliers

    def spread(self, kind: str, blocks: int) -> Sequence[Self]:
        """The splits of its multipliers between DSP blocks, ``blocks`` at most, and LUTs."""
        return [self] if self.blocks(kind) <= blocks else []

    def latency(self, kind: str) -> int:
        """Cycles of a product."""
        raise NotImplementedError

    def suits(self, kind: str) -> bool:
        """Its products can be made by a kind of multiplier."""
        return True

    @property
    def multipliers(self) -> int:
        """Multipliers side by side."""
        raise NotImplementedError

    @property
    def interleaved(self) -> tuple[int, int] | None:
        """Channels side by side and the numbers of each in a beat,
        if packets have another order for it than their elements'."""
        return None

    @property
    def plain(self) -> bool:
        """Packets come and go in the order of their elements, filled up in their last beats only,
        as with any other stage."""
        return self.interleaved is None

    @property
    def exact(self) -> bool:
        """Its multipliers divide what they multiply: none works for what fills up a beat."""
        return True

    @property
    def i_lanes(self) -> int:
        """Numbers in a beat of the input."""
        raise NotImplementedError

    @property
    def o_lanes(self) -> int:
        """Numbers in a beat of the output."""
        raise NotImplementedError

    @property
    def cycles(self) -> int:
        """Cycles in which its multipliers work for a packet."""
        raise NotImplementedError

    @property
    def holds(self) -> int:
        """Cycles in which it works with a beat before it takes the next."""
        raise NotImplementedError

    def interval(self, product: int) -> int:
        """Cycles per packet, with a multiplier that takes ``product``."""
        raise NotImplementedError


AnyFolding = TypeVar("AnyFolding", bound=Folding)


@lru_cache(maxsize=64)
def _every(cls: type[Any], layers: Layers) -> Sequence[Any]:
    """Kept, since a sizer makes a stage in many foldings."""
    foldings: Sequence[Any] = cls.every(layers)
    return foldings


def worth(foldings: Sequence[AnyFolding]) -> list[AnyFolding]:
    """The foldings without padding, and each padded one that is faster than all of them with
    no more multipliers."""
    exact = [folding for folding in foldings if folding.exact]

    def faster(folding: AnyFolding) -> bool:
        return all(
            folding.cycles < other.cycles
            for other in exact
            if other.multipliers <= folding.multipliers
        )

    return [folding for folding in foldings if folding.exact or faster(folding)]


def divisors(number: int) -> list[int]:
    """The numbers that divide one."""
    return [n for n in range(1, number + 1) if number % n == 0]


def parts(number: int) -> list[int]:
    """The smallest that take up a number in 1, 2, 3, .. beats."""
    return sorted({beats(number, n) for n in range(1, number + 1)})
