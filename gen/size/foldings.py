"""The foldings of the stages of a pipeline;
a scan and its readers depend on each other in theirs."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from ssm_hdl import Manifest, SsmHdlError, registry
from ssm_hdl.errors import UsageError
from ssm_hdl.gateware.folding import Folding, divisors
from ssm_hdl.gateware.layers import Layers
from ssm_hdl.gateware.stage import Stage, StagePlan
from ssm_hdl.gen.structure import Structure


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
    """Stages that are folded together: one, or a scan and the denses that read its channels in the
    order it sends them.

    Attributes:
        names: the stages.
        combinations: a choice for each stage, in every combination that goes together.
    """

    names: tuple[str, ...]
    combinations: tuple[tuple[Choice, ...], ...]

    @property
    def intervals(self) -> set[int]:
        """The cycles per time step of all combinations."""
        return {max(choice.interval for choice in choices) for choices in self.combinations}

    def within(self, interval: int, many: int = 0) -> list[tuple[Choice, ...]]:
        """The combinations that keep up with an interval.

        A folding is left out where another of the same kind keeps up with half its multipliers or
        fewer: it takes more LUTs and is only faster.

        Args:
            interval: cycles per time step.
            many: multipliers of a stage up to which none are left out, for a short latency.
        """
        fast = [
            choices
            for choices in self.combinations
            if all(choice.interval <= interval for choice in choices)
        ]
        # by kind, since not every kind suits the folding with the fewest
        least: dict[tuple[int, str], int] = {}
        for stage, choice in (
            (stage, choice) for choices in fast for stage, choice in enumerate(choices)
        ):
            number = choice.folding.multipliers
            least[stage, choice.kind] = min(number, least.get((stage, choice.kind), number))
        limits = {key: max(2 * number - 1, many) for key, number in least.items()}
        return [
            choices
            for choices in fast
            if all(
                choice.folding.multipliers <= limits[stage, choice.kind]
                for stage, choice in enumerate(choices)
            )
        ]


def units(
    structure: Structure,
    steps: int,
    decided: Mapping[str, str],
    kinds: Sequence[str],
    blocks: int | None = None,
) -> list[Unit]:
    """The stages of a structure that have foldings.

    Args:
        structure: the stages.
        steps: longest sequence, for stages that work once in each.
        decided: foldings of stages that the caller has chosen, by name.
        kinds: kinds of multipliers.
        blocks: DSP blocks that there are: a stage that needs more has some of its multipliers in
            them, see `Folding.spread`. If None, all multipliers of a stage are in
            DSP blocks, or none.

    Raises:
        SsmHdlError: ``decided`` names no stage that folds, or a folding that it does not have or
            that does not go with others.
    """
    folded = {
        name: layers for name, layers in structure.stages.items() if stage_class(layers).folds
    }
    for name in decided:
        if name not in folded:
            raise UsageError(
                f"no stage {name!r} to fold; the stages that multiply are {', '.join(folded)}"
            )
    choices = {
        name: _choices(structure, name, steps, decided.get(name), kinds, blocks) for name in folded
    }
    units, placed = [], set[str]()
    for name in folded:
        if name not in placed:
            names = (name, *_followers(structure, name))
            placed |= set(names)
            units.append(
                Unit(names, tuple(_together(structure, names, [choices[name] for name in names])))
            )
    return units


def intervals(manifest: Manifest, structure: Structure, units: Sequence[Unit]) -> list[int]:
    """Every interval at which something can be folded otherwise, the shortest first,
    none shorter than the ports allow."""
    ports = max(manifest.input.size, 1 if manifest.output.per_sequence else manifest.output.size)
    for layers in structure.stages.values():
        node, stage = layers.node, stage_class(layers)
        if stage.folds is None and not node.output.per_sequence:
            widest = StagePlan(lanes=stage.most_lanes(node))
            ports = max(ports, layers.count * stage.build(layers, widest).work)
    bounds = {ports, *(max(ports, cycles) for unit in units for cycles in unit.intervals)}
    return sorted(bounds | {cycles for cycles in _once(manifest) if cycles > max(bounds)})


def _once(manifest: Manifest) -> Iterator[int]:
    """The cycles per time step of stages that send once per sequence, with any lanes:
    a division may take longer than a step."""
    for node in manifest.nodes.values():
        stage = registry.stage(node.op.op)
        if node.output.per_sequence and not node.inputs[0].per_sequence and stage.folds is None:
            for lanes in divisors(stage.most_lanes(node)):
                yield stage.build(Layers([node]), StagePlan(lanes=lanes)).cycles


def _choices(
    structure: Structure,
    name: str,
    steps: int,
    decided: str | None,
    kinds: Sequence[str],
    blocks: int | None,
) -> list[Choice]:
    layers = structure.stages[name]
    folds, share = stage_class(layers).folds, structure.share(name, steps)
    assert folds is not None
    foldings = folds.choices(layers)
    if decided is not None:
        foldings = [folding for folding in foldings if decided == str(folding.multipliers)] or [
            folds.of(layers, decided)
        ]
    suited = [(folding, kind) for folding in foldings for kind in kinds if folding.suits(kind)]
    if decided is None and blocks is not None:
        suited = [(part, kind) for folding, kind in suited for part in folding.spread(kind, blocks)]
    elif not suited:
        suited = list(product(foldings, kinds))
    return [
        Choice(folding, kind, math.ceil(folding.interval(folding.latency(kind)) * share))
        for folding, kind in suited
    ]


def _followers(structure: Structure, name: str) -> list[str]:
    """The stages that can read the channels of a stage in the order of its folding:
    all that read it, or none."""
    layers = structure.stages[name]
    channels = stage_class(layers).o_channels(layers.node)
    if (
        channels == 1
        or name == structure.output
        or (structure.loop and structure.loop.back == name)
    ):
        return []
    readers = structure.readers_of(name)
    read = [structure.stages[reader] for reader in readers]
    return (
        readers
        if all(stage_class(layers).i_channels(layers.node) == channels for layers in read)
        else []
    )


def _together(
    structure: Structure, names: Sequence[str], choices: Sequence[Sequence[Choice]]
) -> list[tuple[Choice, ...]]:
    """Combinations whose stages agree on the order of elements,
    and whose adapter is not the bottleneck."""

    def flows(source: Choice, name: str, reader: Choice) -> bool:
        cycles = structure.passing(
            names[0], name, source.folding.o_lanes, reader.folding.i_lanes, steps=1
        )
        return cycles <= max(source.interval, reader.interval)

    combinations: list[tuple[Choice, ...]]
    if len(names) == 1:
        combinations = [(choice,) for choice in choices[0] if choice.folding.plain]
    else:
        combinations = [
            (source, *readers)
            for source, *readers in product(*choices)
            if all(reader.folding.interleaved == source.folding.interleaved for reader in readers)
            and all(
                flows(source, name, reader) for name, reader in zip(names[1:], readers, strict=True)
            )
        ]
    if not combinations:
        folds = ", ".join(
            f"{name}={options[0].folding.name}"
            for name, options in zip(names, choices, strict=True)
        )
        raise SsmHdlError(
            f"the foldings {folds} do not go together: what reads the channels of a scan must have "
            "as many of them, and as many numbers of each, side by side"
        )
    return combinations


def stage_class(layers: Layers) -> type[Stage]:
    """The gateware of the operations of a stage."""
    return registry.stage(layers.node.op.op)
