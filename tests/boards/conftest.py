"""Fixtures of the tests of boards."""

from collections.abc import Callable

import pytest
import yaml

from ssm_hdl import Manifest
from ssm_hdl.manifest import Graph
from ssm_hdl.operations import Tensors

_DOUBLE = """
schema_version: 1
name: double
steps: {steps}
input: {{name: x, size: {size}, format: "{format}"}}
operations:
- {{name: y, op: add, inputs: [x, x], format: "{result}"}}
output: y
"""


@pytest.fixture(scope="session")
def double() -> Callable[..., Manifest]:
    """``double(steps, size, format, result)``: a manifest of one operation, y = x + x,
    with results every time step."""

    def make(
        steps: int = 5, size: int = 3, format: str = "SQ(3, 7)", result: str = "SQ(4, 7)"
    ) -> Manifest:
        text = _DOUBLE.format(steps=steps, size=size, format=format, result=result)
        return Manifest(Graph.model_validate(yaml.safe_load(text)), Tensors({}, {}))

    return make
