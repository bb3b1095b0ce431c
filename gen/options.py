"""The ways to fold the stages of a pipeline, those of a scan and of what reads its channels together."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from ssm_hdl import Manifest, SsmHdlError, registry
from ssm_hdl.gateware.folding import Folding
from ssm_hdl.gateware.layers import Layers
from ssm_hdl.gateware.stage import Stage
from ssm_hdl.gateware.stream import reals
from ssm_hdl.gen.structure import Structure

FEW = 10
"""Multipliers that a stage may have though half of them would keep up: results leave it earlier."""


@dataclass(frozen=True)
class Choice:
    """A folding of a stage.

    Attributes:
        folding: the folding.
        kind: kind of multiplier.
        interval: cycles per time step, at every layer that shares the stage.
    """

    folding: Folding
    kind: str
    interval: int


@dataclass(frozen=True)
class Unit:
    """Stages that are folded together: one, or a scan and the denses that read its channels in the order it sends them.

    Attributes:
        names: the stages.
        ways: for each way a choice for each stage.
    """

    names: tuple[str, ...]
    ways: tuple[tuple[Choice, ...], ...]

    @property
    def intervals(self) -> set[int]:
        """The cycles per time step of all ways."""
        return {max(choice.interval for choice in way) for way in self.ways}

    def within(self, interval: int, few: int = FEW) -> list[tuple[Choice, ...]]:
        """The ways that keep up with an interval, but for those with many more multipliers of a kind than another in any stage.

        Args:
            interval: cycles per time step.
            few: multipliers that are never many.
        """
        fast = [way for way in self.ways if all(choice.interval <= interval for choice in way)]
        least: dict[tuple[int, str], int] = {}  # by kind, since not all kinds suit the folding with the fewest
        for stage, choice in ((stage, choice) for way in fast for stage, choice in enumerate(way)):
            number = choice.folding.multipliers
            least[stage, choice.kind] = min(number, least.get((stage, choice.kind), number))
        always = few if len(self.names) == 1 else 0
        most = {key: max(2 * number - 1, always) for key, number in least.items()}
        return [way for way in fast if all(c.folding.multipliers <= most[stage, c.kind] for stage, c in enumerate(way))]


def units(
    structure: Structure, steps: int, decided: Mapping[str, str], kinds: Sequence[str], blocks: int | None = None
) -> list[Unit]:
    """What there is to choose in a structure.

    Args:
        structure: the stages.
        steps: longest sequence, for stages that work once in each.
        decided: foldings of stages that the caller has chosen, by name.
        kinds: kinds of multipliers.
        blocks: DSP blocks there are, see `Folding.spread`; if None, a stage has all of its multipliers in them, or none.

    Raises:
        SsmHdlError: ``decided`` names no stage that folds, or a folding that it does not have or that does not go with others.
    """
    folded = {name: layers for name, layers in structure.stages.items() if stage_class(layers).folds}
    for name in decided:
        if name not in folded:
            raise SsmHdlError(f"no stage {name!r} to fold; the stages that multiply are {', '.join(folded)}")
    choices = {name: _choices(structure, name, steps, decided.get(name), kinds, blocks) for name in folded}
    found, taken = [], set[str]()
    for name in folded:
        if name not in taken:
            names = (name, *_followers(structure, name))
            taken |= set(names)
            ways = _together(structure, names, [choices[each] for each in names])
            found.append(Unit(names, tuple(ways)))
    return found


def intervals(manifest: Manifest, units: Sequence[Unit]) -> list[int]:
    """Every interval at which something can be folded otherwise, the shortest first, none shorter than the ports allow."""
    ports = max(manifest.input.size, 1 if manifest.output.per_sequence else manifest.output.size)
    for node in manifest.nodes.values():
        stage = registry.stage(node.op.op)
        if stage.folds is None:
            ports = max(ports, reals(node.output) // stage.most_lanes(node))
    found = {ports, *(max(ports, cycles) for unit in units for cycles in unit.intervals)}
    # A repack can be slower than every stage: it may pass single numbers, with padding of the last beat that is below a packet.
    slowest = 2 * max(reals(edge) for node in manifest.nodes.values() for edge in (*node.inputs, node.output))
    return sorted(found | {slowest} if slowest > max(found) else found)


def _choices(
    structure: Structure, name: str, steps: int, decided: str | None, kinds: Sequence[str], blocks: int | None
) -> list[Choice]:
    layers = structure.stages[name]
    fold, share = stage_class(layers).folds, structure.share(name, steps)
    assert fold is not None
    each = fold.choices(layers)
    if decided is not None:
        each = [folding for folding in each if decided == str(folding.multipliers)] or [fold.of(layers, decided)]
    made = [(folding, kind) for folding in each for kind in kinds if folding.suits(kind)]
    if decided is not None and not made:
        made = list(product(each, kinds))
    if blocks is not None and decided is None:
        made = [(way, kind) for folding, kind in made for way in folding.spread(kind, blocks)]
    return [Choice(folding, kind, math.ceil(folding.interval(folding.latency(kind)) * share)) for folding, kind in made]


def _followers(structure: Structure, name: str) -> list[str]:
    """The denses that can read the channels of a scan in the order of its folding: all that read it, or none."""
    layers = structure.stages[name]
    channels = stage_class(layers).o_channels(layers.node)
    if channels == 1 or name == structure.output or (structure.loop and structure.loop.back == name):
        return []
    readers = structure.readers_of(name)
    read = [structure.stages[other] for other in readers]
    return readers if all(stage_class(reader).i_channels(reader.node) == channels for reader in read) else []


def _together(structure: Structure, names: Sequence[str], choices: Sequence[Sequence[Choice]]) -> list[tuple[Choice, ...]]:
    """Every combination whose stages agree on the order of what goes between them, which is not what is slow."""

    def flows(source: Choice, name: str, reader: Choice) -> bool:
        """Do beats of one width become those of another in time? They may go by few numbers at a time, and be filled up."""
        cycles = structure.passing(names[0], name, source.folding.o_lanes, reader.folding.i_lanes, steps=1)
        return cycles <= max(source.interval, reader.interval)

    ways = [
        way
        for way in product(*choices)
        if len({choice.folding.interleaved for choice in way}) == 1
        and all(flows(way[0], name, reader) for name, reader in zip(names[1:], way[1:], strict=True))
    ]
    if len(names) == 1:
        ways = [way for way in ways if way[0].folding.plain]
    if not ways:
        folds = ", ".join(f"{name}={each[0].folding.name}" for name, each in zip(names, choices, strict=True))
        raise SsmHdlError(
            f"the foldings {folds} do not go together: what reads the channels of a scan must have as many of them, "
            "and as many numbers of each, side by side"
        )
    return ways


def stage_class(layers: Layers) -> type[Stage]:
    """The gateware of the operations of a stage."""
    return registry.stage(layers.node.op.op)


__all__ = ["Choice", "Unit", "intervals", "stage_class", "units"]
