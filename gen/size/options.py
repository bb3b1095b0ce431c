# amaranth: UnusedElaboratable=no
"""The options of every stage at an interval: what each takes,
and with which adapters it goes together with its neighbours."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from math import inf
from typing import NamedTuple

from ssm_hdl import Manifest
from ssm_hdl.families import Device
from ssm_hdl.fixed import Format
from ssm_hdl.gateware.layers import Layers
from ssm_hdl.gateware.memories import shape_for
from ssm_hdl.gateware.multiplier import DSP, LUT
from ssm_hdl.gateware.queue import BURST
from ssm_hdl.gateware.stage import StagePlan
from ssm_hdl.gateware.stream import beats, reals
from ssm_hdl.gen.costs import Taken, adapter_use, kind_of, known_of, knows, spram_choices, use_of
from ssm_hdl.gen.size.foldings import Choice, Unit, intervals, stage_class, units
from ssm_hdl.gen.size.objective import NOTHING, Use, idle
from ssm_hdl.gen.size.program import Link, pareto
from ssm_hdl.gen.size.stages import lane_choices, plan_stage, waiting
from ssm_hdl.gen.structure import ENTRY, EXIT, Structure

FEW = 4
"""Multipliers of a stage up to which no folding is left out though half of them would keep up:
those of a complex product side by side may take fewer LUTs than one that makes
its parts in turn."""

FEW_PRODUCTS, SELDOM = 64, 16
"""Where LUTs are not to multiply, they do so all the same for a stage with few products in a
packet, or one that a multiplier would serve in less than one part in ``SELDOM`` of the interval:
it would need a DSP block that does nothing."""


class Input(NamedTuple):
    """How a stage takes its inputs.

    Attributes:
        lanes: numbers in a beat.
        ahead: it works with a beat for several cycles.
        late: it takes longer for a packet at the end of a sequence than the stage
            that sends it has.
    """

    lanes: int
    ahead: bool = False
    late: bool = False


class Output(NamedTuple):
    """How a stage sends its output.

    Attributes:
        lanes: numbers in a beat.
        whole: all results at the end of a sequence can wait in it.
    """

    lanes: int
    whole: bool = False


@dataclass(frozen=True)
class Option:
    """Plans of stages that are chosen together.

    Attributes:
        use: what they take.
        stages: their plans.
        inputs: how each takes its inputs.
        outputs: how each sends its output.
    """

    use: Use
    stages: Mapping[str, StagePlan]
    inputs: Mapping[str, Input]
    outputs: Mapping[str, Output]


class Options:
    """The options of one structure on a device.

    Args:
        manifest: the integer program.
        structure: its stages.
        device: the device.
        dsps: limit of DSP blocks.
        folding: foldings that the caller decides, by stage.
        luts_multiply: LUTs may make any multiplier, not only in small stages.
        bounded: the latency has a limit.
    """

    def __init__(
        self,
        manifest: Manifest,
        structure: Structure,
        device: Device,
        dsps: float,
        folding: Mapping[str, str],
        luts_multiply: bool = True,
        bounded: bool = False,
    ) -> None:
        self.manifest, self.structure, self.device, self.bounded = (
            manifest,
            structure,
            device,
            bounded,
        )
        self.folding, self.luts_multiply = folding, luts_multiply
        self.family = device.family
        blocks = int(dsps) if luts_multiply and dsps < inf else None
        self.units = units(structure, manifest.steps, folding, (DSP, LUT), blocks)
        folded = {name for unit in self.units for name in unit.names}
        self.names = [(name,) for name in structure.stages if name not in folded] + [
            unit.names for unit in self.units
        ]
        self._place = {name: place for place, names in enumerate(self.names) for name in names}
        kind = structure.loop is None, structure.memories.luts_below, self.family
        self._taken = known_of(manifest, kind)
        self._tables: dict[Hashable, list[tuple[str, ...]]] = {}

    @cached_property
    def intervals(self) -> list[int]:
        """Every interval at which something can be folded otherwise, the shortest first."""
        return intervals(self.manifest, self.structure, self.units)

    def at(self, interval: int, speed: int = BURST, many: int = FEW) -> list[list[Option]]:
        """The options of each entry of `names` that no other one beats.

        Args:
            interval: cycles per time step.
            speed: see `plan_stage`.
            many: see `Unit.within`.
        """
        longer = [cycles - 1 for cycles in self.intervals if cycles > interval]
        time = min(longer, default=interval)  # nothing that is folded changes up to there
        every = [
            self._element_wise(names[0], interval, time, speed)
            for names in self.names
            if names[0] not in self._unit_of
        ]
        every += [self._folded(unit, interval, speed, many) for unit in self.units]
        return [self._worth(options) for options in every]

    def links(self, options: Sequence[Sequence[Option]], interval: int) -> list[Link]:
        """The streams between the entries of `names`, with the adapters that they need."""
        links = []
        for stream, source, reader in self._streams:
            if self._place[source] == self._place[reader]:
                continue
            outputs = [option.outputs[source] for option in options[self._place[source]]]
            inputs = [option.inputs[reader] for option in options[self._place[reader]]]
            fit: dict[tuple[Hashable, Hashable], Use] = {
                (a, b): self._adapter(stream, reader, a.lanes, b)
                for a, b in product(sorted(set(outputs)), sorted(set(inputs)))
                if (a.whole or not b.late)
                and self.structure.passing(stream, reader, a.lanes, b.lanes, self.manifest.steps)
                <= interval
            }
            links.append(Link(self._place[source], self._place[reader], outputs, inputs, fit))
        return links

    @cached_property
    def _unit_of(self) -> dict[str, Unit]:
        return {name: unit for unit in self.units for name in unit.names}

    @cached_property
    def _alike(self) -> dict[str, Hashable]:
        return {name: _alike(layers) for name, layers in self.structure.stages.items()}

    @cached_property
    def _streams(self) -> list[tuple[str, str, str]]:
        """(stream, stage that sends, stage that reads), without the input of the pipeline."""
        loop = self.structure.loop
        ends = {ENTRY: loop.back, EXIT: loop.back} if loop else {}
        pairs = [
            (stream, reader) for reader, reads in self.structure.reads.items() for stream in reads
        ]
        every = [(stream, ends.get(stream, stream), reader) for stream, reader in pairs]
        return [pair for pair in every if pair[1] in self.structure.stages]

    def _adapter(self, stream: str, reader: str, i_lanes: int, into: Input) -> Use:
        width, packet = (
            self.structure.edges[stream].format.width,
            self.structure.packet(stream, reader),
        )
        return adapter_use(i_lanes, into.lanes, width, packet, into.ahead, self.family)

    def _suits(self, name: str, kind: str, interval: int) -> bool:
        """A stage may have its multipliers of a kind."""
        products = self.structure.stages[name].node.multiplications * self.structure.share(
            name, self.manifest.steps
        )
        return (
            kind != LUT or self.luts_multiply or products <= max(FEW_PRODUCTS, interval // SELDOM)
        )

    def _element_wise(self, name: str, interval: int, time: int, speed: int) -> list[Option]:
        """A stage without foldings: its lanes, its multipliers in DSP blocks or of LUTs,
        its sums in memory or in registers."""
        kinds = [kind for kind in (DSP, LUT) if self._suits(name, kind, interval)]
        layers = self.structure.stages[name]
        node, sums = layers.node, stage_class(layers).sums_in_registers
        plans = list[StagePlan]()
        for lanes in lane_choices(self.structure, name, time, speed):
            for kind in kinds if node.multiplications else kinds[:1]:
                plan = plan_stage(
                    self.manifest, self.structure, name, time, kind, lanes=lanes, speed=speed
                )
                plans += [plan, *([replace(plan, registers=True)] if sums else [])]
        if self.structure.ends(name):
            plans += [replace(plan, even=True) for plan in plans]
        return [
            self._option({name: plan}, interval, speed)
            for plan in self._forms(name, plans, interval)
        ]

    def _folded(self, unit: Unit, interval: int, speed: int, many: int) -> list[Option]:
        """Stages that are folded together."""
        return [
            self._option(dict(zip(unit.names, plans, strict=True)), interval, speed)
            for choices in unit.within(interval, many if len(unit.names) == 1 else FEW)
            if all(
                self._suits(name, choice.kind, interval)
                for name, choice in zip(unit.names, choices, strict=True)
            )
            for plans in product(
                *(
                    self._placed(name, interval, choice, speed)
                    for name, choice in zip(unit.names, choices, strict=True)
                )
            )
        ]

    def _placed(self, name: str, interval: int, choice: Choice, speed: int) -> list[StagePlan]:
        """A folding with its tables in block RAM or some in SPRAM,
        and the sums of a dense in memory or in registers."""
        layers, tables = self.structure.stages[name], list[tuple[str, ...]]([()])
        # a deep queue is in block RAM
        paces = dict.fromkeys((speed, 2 * BURST) if layers.node.output.per_sequence else (speed,))
        plans = [
            plan_stage(
                self.manifest,
                self.structure,
                name,
                interval,
                choice.kind,
                choice.folding,
                speed=pace,
            )
            for pace in paces
        ]
        if self.device.sprams:
            key = self._alike[name], plans[0]
            if key not in self._tables:
                self._tables[key] = spram_choices(layers, plans[0], self.family)
            tables = self._tables[key]
        sums = (
            (False, True)
            if stage_class(layers).sums_in_registers and self.device.sprams
            else (False,)
        )
        forms = [
            replace(plan, spram=names, registers=registers)
            for plan in plans
            for names in tables
            for registers in sums
        ]
        return self._forms(name, forms, interval)

    def _forms(self, name: str, plans: Sequence[StagePlan], interval: int) -> list[StagePlan]:
        """The plans, and the compact forms that keep up with an interval,
        where it is known what they take."""
        layers, share = self.structure.stages[name], self.structure.share(name, self.manifest.steps)
        keeps = any(
            stage_class(self.structure.stages[reader]).folds
            for reader in self.structure.readers_of(name)
        )
        compact = [
            replace(plan, compact=True)
            for plan in (
                replace(plan, even=plan.even or (keeps and not self.structure.ends(name)))
                for plan in plans
            )
            if not plan.registers
            and knows(kind_of(layers.node.op.op, replace(plan, compact=True)), self.family)
            and stage_class(layers).compacts(layers, plan)
        ]
        return [
            *plans,
            *(plan for plan in compact if self._use(name, plan).cycles * share <= interval),
        ]

    def _option(self, plans: Mapping[str, StagePlan], interval: int, speed: int) -> Option:
        """What stages take, with the adapters between them and to the ports of the pipeline."""
        use = NOTHING
        inputs, outputs = dict[str, Input](), dict[str, Output]()
        for name, plan in plans.items():
            figures = self._use(name, plan)
            inputs[name] = Input(
                figures.i_lanes, figures.holds > 1, self._late(name, figures, interval)
            )
            outputs[name] = Output(figures.o_lanes, figures.keeps and self.structure.ends(name))
            busy = figures.work * self.structure.share(name, self.manifest.steps)
            use = use.plus(figures.use._replace(idle=idle(plan.blocks, busy, interval)))
            if self.bounded:
                node = self.structure.stages[name].node
                use = use._replace(
                    latency=use.latency
                    + waiting(node, interval, plan, figures.work, figures.burst, speed)
                )
            for stream in self.structure.reads[name]:
                if stream == self.manifest.input.name:
                    use = use.plus(self._adapter(stream, name, 1, inputs[name]))
        for stream, source, reader in self._streams:
            if source in plans and reader in plans:
                use = use.plus(self._adapter(stream, reader, outputs[source].lanes, inputs[reader]))
        if self.structure.output in plans:
            use = use.plus(
                self._adapter(
                    self.structure.output, "", outputs[self.structure.output].lanes, Input(1)
                )
            )
        return Option(use, plans, inputs, outputs)

    def _late(self, name: str, figures: Taken, interval: int) -> bool:
        """A stage that works once in a sequence takes longer for a packet than its source has,
        unless that holds all of it."""
        cycles = figures.holds * beats(
            reals(self.structure.stages[name].node.inputs[0]), figures.i_lanes
        )
        return cycles > interval and any(map(self.structure.ends, self.structure.reads[name]))

    def _worth(self, options: Sequence[Option]) -> list[Option]:
        """The options that no other one with beats of the same widths beats."""
        alike: dict[Hashable, list[Option]] = {}
        for option in options:
            alike.setdefault(
                (tuple(option.inputs.items()), tuple(option.outputs.items())), []
            ).append(option)
        counted = [option.use for group in alike.values() for option in group]
        if self.device.flip_flops is None:  # not limited
            counted = [use._replace(flip_flops=0) for use in counted]
        frontier, first = [], 0
        for group in alike.values():
            frontier += [group[index] for index in pareto(counted[first : first + len(group)])]
            first += len(group)
        return frontier

    def _use(self, name: str, plan: StagePlan) -> Taken:
        """What a stage takes; worked out once for layers that are alike."""
        layers = self.structure.stages[name]
        # tables of a compact dense are as wide as its shifted codes are
        key = name if plan.compact else self._alike[name], plan
        if key not in self._taken:
            self._taken[key] = use_of(layers, plan, self.family)
        return self._taken[key]


def _alike(layers: Layers) -> Hashable:
    """What the stages of two layers have to agree in to take the same."""
    node = layers.node
    edges = [
        (edge.size, edge.is_complex, edge.format.width, edge.format.signed)
        for edge in (*node.inputs, node.output)
    ]
    arrays = [(name, array.shape, shape_for(array).width) for name, array in node.arrays.items()]
    shifts = [
        (int(node.arrays[name].min()), int(node.arrays[name].max()))
        for name in ("scale", "shift")
        if name in node.arrays
    ]
    flags = [(name, value) for name, value in node.op if isinstance(value, bool | int)]
    flags += [
        (name, value.width * 2 + value.signed)
        for name, value in node.op
        if isinstance(value, Format)
    ]
    return (
        layers.count,
        layers.marked,
        layers.width,
        node.op.op,
        tuple(edges),
        tuple(arrays),
        tuple(shifts),
        tuple(flags),
    )
