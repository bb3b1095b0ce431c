"""The results of all stages inside a pipeline against the golden model's, by their sum."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from ssm_hdl import Manifest
from ssm_hdl.fixed import Codes
from ssm_hdl.operations import Node
from ssm_hdl.sim.compare import Comparison, judge
from ssm_hdl.sim.links import BITS, Links, masked, summed
from ssm_hdl.sim.runs import Run
from ssm_hdl.sim.verilated import VerilatedModel


def compared(
    manifest: Manifest,
    model: VerilatedModel,
    samples: Codes,
    done: Run,
    links: Links,
    note: Callable[[str, Codes, Codes], None] = lambda edge, codes, read: None,
) -> Comparison:
    """Compare a run, with a difference more if results of stages differ inside.

    Args:
        manifest: the integer program.
        model: its pipeline.
        samples: of the run.
        done: the run.
        links: what happened inside.
        note: takes the name of every edge, its codes, and what was read in their place.
    """
    masks, total, packets = model.design.masks or {}, 0, Counter[str]()

    def change(node: Node, codes: Codes) -> Codes:
        nonlocal total
        read = codes
        if node.name in masks:
            place, format = masks[node.name], node.output.format
            read = masked(codes, format, links, place, packets[node.name])
            packets[node.name] += codes.size // codes.shape[-1]
            total += summed(read, format, place.factor)
        note(node.name, codes, read)
        return read

    comparison = judge(manifest, samples, [done], change)
    if done.inside == total % (1 << BITS):
        return comparison
    first = comparison.first or "results of a stage inside differ, and no output"
    return replace(comparison, differences=comparison.differences + 1, first=first)
