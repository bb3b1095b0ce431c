"""Sums that are narrower than half a code of the result, and sums that are never negative."""

from random import Random

import numpy as np
import pytest
import yaml
from random_graphs import random_plan
from random_graphs.check import check_rtl

from ssm_hdl import Manifest
from ssm_hdl.manifest import Graph
from ssm_hdl.operations import Tensors

HADAMARD = '{{op: hadamard, shift: 0, format: "SQ({above}, {below})"}}'
DENSE = """{{op: dense, weight: {{tensor: weight, format: "SQ(-1, 4)"}},
  bias: {{tensor: bias, format: "SQ(-6, 12)"}}, format: "SQ({above}, {below})"}}"""


def manifest(text, size, format, f_bits, drop, **codes):
    """One operation whose exact results lose ``drop`` of ``f_bits`` fraction bits."""
    operation = yaml.safe_load(text.format(above=4 - f_bits + drop, below=f_bits - drop))
    graph = {
        "schema_version": 1,
        "name": "narrow",
        "steps": 3,
        "input": {"name": "x", "size": size, "format": format},
        "operations": [{"name": "y", "input": "x"} | operation],
        "output": "y",
    }
    return Manifest(Graph.model_validate(graph), Tensors(codes, {}))


def check(program, cache, compact=None):
    """RTL by two plans is the golden model."""
    dice, plans = Random(0), []
    while len(plans) < 2:
        plan = random_plan(program, dice)
        if compact in (None, plan.stages["y"].compact):
            plans.append(plan)
    for plan in plans:
        check_rtl(program, plan, cache)


@pytest.mark.parametrize("size", [1, 4])
def test_a_dense_whose_sums_are_never_negative(size, cache):
    codes = {"weight": np.ones((3, size), int), "bias": np.array([1, 3, 0])}
    check(manifest(DENSE, size, "UQ(-7, 8)", 12, 2, **codes), cache)


@pytest.mark.parametrize("compact", [True, False])
def test_a_dense_with_sums_below_half_a_code(compact, cache):
    codes = {"weight": np.array([[-2], [1], [-1]]), "bias": np.array([-4, 2, 0])}
    check(manifest(DENSE, 1, "UQ(-6, 8)", 12, 12, **codes), cache, compact)


@pytest.mark.parametrize("drop", [6, 9])
def test_a_hadamard_with_sums_below_half_a_code(drop, cache):
    check(manifest(HADAMARD, 4, "UQ(-6, 8)", 8, drop), cache)
