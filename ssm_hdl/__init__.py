"""Bit-exact FPGA pipelines from trained state-space models.

The vocabulary (fixed-point formats, operations, the manifest) is imported with this package.
The Python API is imported when it is first used, since it needs more::

    import ssm_hdl

    model = ssm_hdl.convert("checkpoints/digits.safetensors", recipe="w8a8")
    model.predict(x)                                    # classes, by the integer program
    design = model.plan(board="icebreaker", rate_hz=16e3)
    print(design)                                       # cycles, multipliers, memories, LUTs
    design.simulate(codes)                              # RTL against the golden model
    design.write("digits.v")
    design.build("out/digits")
"""

import importlib
import importlib.metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.fixed import SQ, UQ, Format
from ssm_hdl.manifest import Manifest

if TYPE_CHECKING:
    from ssm_hdl.sw.api import Design, Model, Score, Trace, convert, load

# in the repository, the other folders are beside this one
if (Path(__file__).parents[1] / "pyproject.toml").exists():
    __path__.append(str(Path(__file__).parents[1]))

__all__ = [
    "SQ",
    "UQ",
    "Design",
    "Format",
    "Manifest",
    "Model",
    "Score",
    "SsmHdlError",
    "Trace",
    "convert",
    "load",
]


def __getattr__(name: str) -> Any:
    """The Python API, by its names."""
    if name == "__version__":
        return importlib.metadata.version("ssm-hdl")
    if name in __all__:
        return getattr(importlib.import_module("ssm_hdl.sw.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
