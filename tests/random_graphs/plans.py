# amaranth: UnusedElaboratable=no
"""Random hardware of a manifest: any family, folding, lanes, pace, form and memory of each stage,
or what the planner makes."""

from dataclasses import replace
from random import Random

from ssm_hdl import Manifest, SsmHdlError, registry
from ssm_hdl.families import DEVICES, FAMILIES, Family
from ssm_hdl.gateware.folding import divisors
from ssm_hdl.gateware.multiplier import DSP, LUT
from ssm_hdl.gateware.stage import StagePlan
from ssm_hdl.gen.costs import build
from ssm_hdl.gen.depth import find_layers
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.gen.structure import Structure


def random_plan(
    manifest: Manifest, dice: Random, share_layers: bool | None = None, family: str = ""
) -> Plan:
    """A plan of `stagewise`, or one of the planner.

    Layers share stages where they can, half of the time if ``share_layers`` is None.
    """
    if share_layers is None:
        share_layers = shares(manifest) and dice.choice([True, False])
    if not family and dice.choice([False] * 5 + [True]):
        try:
            return planned(manifest, dice, share_layers)
        except SsmHdlError:
            pass  # what does not fit, or is too slow
    return stagewise(manifest, dice, share_layers, family)


def stagewise(
    manifest: Manifest, dice: Random, share_layers: bool = False, family: str = ""
) -> Plan:
    """Any folding, lanes, pace, form and memory of every stage, for some family unless told."""
    chosen = FAMILIES[family or dice.choice(sorted(FAMILIES))]
    stages = _stages(Structure.of(manifest, share_layers, chosen), chosen, dice)
    luts_below = dice.choice([0, 0, 8192]) if chosen.rams.lut_rams else 0
    return Plan(chosen, stages, share_layers, luts_below)


def shares(manifest: Manifest) -> bool:
    """Its layers can share stages."""
    try:
        return bool(find_layers(manifest))
    except SsmHdlError:
        return False


def planned(manifest: Manifest, dice: Random, share_layers: bool) -> Plan:
    """The planner's, for a device and a wish."""
    device = DEVICES[dice.choice(sorted(DEVICES))]
    wish = dice.choice(
        [
            {},
            {"fastest": device.bounded},
            {"rate_hz": dice.choice([100, 10_000, 1_000_000]), "clock_hz": 25e6},
        ]
    )
    return plan_for(manifest, device, share_layers=share_layers, **wish).plan


def _stages(structure: Structure, family: Family, dice: Random) -> dict[str, StagePlan]:
    small, spram, rate = (
        dice.choice([True, False]),
        dice.choice([True, False, False]),
        dice.choice([1, 1, 2, 8, 40]),
    )
    order: dict[str, object] = {}  # what a scan interleaves, by the denses that have to read it so
    stages = {}
    for name, layers in structure.stages.items():
        node, stage = layers.node, registry.stage(layers.node.op.op)
        kind, pace, even, sums = (
            dice.choice([LUT, DSP]),
            dice.randint(1, 2 * rate),
            dice.choice([False, False, True]),
            False,
        )
        if stage.folds is not None:
            channels, readers = stage.o_channels(node), structure.readers_of(name)
            read = [structure.stages[reader] for reader in readers]
            alike = channels > 1 and all(
                registry.stage(r.node.op.op).i_channels(r.node) == channels for r in read
            )
            foldings = [folding for folding in stage.folds.choices(layers) if folding.suits(kind)]
            if not foldings:
                kind, foldings = (
                    LUT,
                    [folding for folding in stage.folds.choices(layers) if folding.suits(LUT)],
                )
            if name in order:
                foldings = [folding for folding in foldings if folding.interleaved == order[name]]
            elif alike:
                offered = [
                    {each.interleaved for each in registry.stage(r.node.op.op).folds.choices(r)}
                    for r in read
                ]
                foldings = [
                    folding
                    for folding in foldings
                    if all(folding.interleaved in each for each in offered)
                ]
            else:
                foldings = [folding for folding in foldings if folding.plain]
            folding = foldings[0] if small else dice.choice(foldings)
            if alike:
                order |= dict.fromkeys(readers, folding.interleaved)
            even = any(registry.stage(r.node.op.op).takes_evenly for r in read)
            sums = dice.choice([False, False, True])
            stages[name] = StagePlan(
                folding.o_lanes, folding.name, folding.multipliers, kind, pace, even, sums
            )
        else:
            lanes = dice.choice(divisors(stage.most_lanes(node)))
            stages[name] = StagePlan(
                lanes, "", lanes, kind, pace, even, registers=dice.choice([False, False, True])
            )
        if small and stage.compacts(layers, stages[name]):
            stages[name] = replace(stages[name], compact=True, even=dice.choice([True, False]))
        tables = build(layers, stages[name]).tables if spram and family.has_sprams else []
        stages[name] = replace(
            stages[name], spram=tuple(table for table in tables if dice.choice([True, False]))
        )
    return stages
