"""interim"""
from ssm_hdl.gen.knapsack import Use
from ssm_hdl.gateware.stream import lanes


def use_of(layers, plan, family) -> Use:
    from ssm_hdl.gen.pipeline import STAGES
    from ssm_hdl.gen.report import block_rams

    stage = STAGES[layers.node.op.op](layers, plan)
    node, width = layers.node, layers.width
    operands = sum(edge.format.width for edge in node.inputs) + (16 if hasattr(stage, "folding") else 0)
    total = 50 + 3 * width * lanes(stage.o) + 2 * operands * plan.multipliers
    if plan.kind == "lut":
        total += plan.multipliers * operands * operands // 2
    total += sum(storage.bits for storage in stage.storage if not storage.block and storage.name in ("queue", "sums"))
    rams = sum(block_rams(storage, family) for storage in stage.storage)
    return Use(total, plan.multipliers if plan.kind != "lut" else 0, rams)
