# amaranth: UnusedElaboratable=no
"""Which tables of constants go to the SPRAMs of an iCE40 UP5K."""

from dataclasses import replace

from ssm_hdl import Manifest
from ssm_hdl.families import find_family
from ssm_hdl.families.rams import sprams
from ssm_hdl.gateware.spram import DEPTH
from ssm_hdl.gen.costs import storages
from ssm_hdl.gen.pipeline import Pipeline
from ssm_hdl.gen.plan import Plan

UP5K_RAMS, UP5K_SPRAMS = 30, 4
"""Block RAMs and SPRAMs of the only iCE40 that has SPRAMs."""


def spill(manifest: Manifest, plan: Plan, rams: int = UP5K_RAMS, cells: int = UP5K_SPRAMS) -> Plan:
    """The plan with tables in SPRAM, as far as it needs more than ``rams`` block RAMs and ``cells`` SPRAMs last.

    Those with the most block RAMs go first: the weights of a dense, the transition of a scan and its shifts. On another target
    than ice40 it is the plan as it was.
    """
    if plan.target != "ice40":
        return plan
    pipeline = Pipeline(manifest, plan)
    family = find_family(plan.target)
    needed = sum(family.rams.blocks(storage) for storage in storages(pipeline))
    tables = [
        (family.rams.blocks(storage), sprams(stage.tables[storage.name].in_spram(storage.name)), name, storage.name)
        for name, stage in pipeline.stages.items()
        for storage in stage.storage
        if storage.name in stage.tables and storage.block and storage.depth <= DEPTH
    ]
    stages = dict(plan.stages)
    for freed, taken, name, table in sorted(tables, key=lambda table: -table[0]):
        if needed > rams and taken <= cells:
            needed, cells = needed - freed, cells - taken
            stages[name] = replace(stages[name], spram=(*stages[name].spram, table))
    return replace(plan, stages=stages)
