"""The registry of operations: it ties an operation to its four rooms by the name of its files.

An operation called ``clip`` is four modules of that name:

    operations/clip.py    what a manifest says of it: an `Operation`
    gateware/clip.py      its hardware: a `Stage`
    golden/clip.py        its golden model: a function ``evaluate``
    qat/clip.py           its differentiable form: a function ``forward``

The rooms of this project are `ssm_hdl.operations`, `ssm_hdl.gateware`, `ssm_hdl.sim.golden` and
`ssm_hdl.sw.qat`. Another package has four folders with these names and is made known by `register`,
or by an entry point of the group ``ssm_hdl.operations``.
"""

import importlib
import importlib.metadata
import pkgutil
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ssm_hdl.errors import SsmHdlError

if TYPE_CHECKING:
    from ssm_hdl.gateware.stage import Stage
    from ssm_hdl.operations.base import Operation

GROUP = "ssm_hdl.operations"
"""The group of entry points: the name is the operation's,
the value the package that holds its rooms."""

_ROOMS = {
    "operations": "ssm_hdl.operations",
    "gateware": "ssm_hdl.gateware",
    "golden": "ssm_hdl.sim.golden",
    "qat": "ssm_hdl.sw.qat",
}
_packages: dict[str, str] = {}  # of operations from outside, by name


def register(name: str, package: str) -> None:
    """Make an operation from outside known.

    Args:
        name: its name, the ``op`` field of a manifest.
        package: package whose folders ``operations``, ``gateware``,
            ``golden`` and ``qat`` have a module of that name.

    Raises:
        SsmHdlError: another package has an operation of that name.
    """
    if name in _own() or _packages.get(name, package) != package:
        raise SsmHdlError(f"operation {name!r} of {package} is known already; give it another name")
    from ssm_hdl.manifest import Graph

    _packages[name] = package
    Graph.model_rebuild(force=True)  # its schema has all operations


def names() -> list[str]:
    """The names of all operations."""
    return sorted({*_own(), *_packages, *_installed()})


@cache
def operation(name: str) -> "type[Operation]":
    """The class of an operation.

    Raises:
        SsmHdlError: it is not known.
    """
    from ssm_hdl.operations.base import Operation

    operation_class: type[Operation] = _class(_module(name, "operations"), Operation)
    return operation_class


@cache
def stage(name: str) -> "type[Stage]":
    """The gateware of an operation."""
    from ssm_hdl.gateware.stage import Stage

    stage_class: type[Stage] = _class(_module(name, "gateware"), Stage)
    return stage_class


@cache
def golden(name: str) -> Callable[..., Any]:
    """The golden model of an operation: ``evaluate(node, *inputs)``."""
    return _function(_module(name, "golden"), "evaluate")


@cache
def qat(name: str) -> Callable[..., Any]:
    """The differentiable form of an operation: ``forward(node, *inputs, *latents)``."""
    return _function(_module(name, "qat"), "forward")


@cache
def _own() -> frozenset[str]:
    """The operations of this project: the modules of its first room."""
    room = importlib.import_module(_ROOMS["operations"])
    return frozenset(module.name for module in pkgutil.iter_modules(room.__path__)) - {"base"}


@cache
def _installed() -> dict[str, str]:
    return {point.name: point.value for point in importlib.metadata.entry_points(group=GROUP)}


def _module(name: str, room: str) -> ModuleType:
    if name in _own():
        return importlib.import_module(f"{_ROOMS[room]}.{name}")
    package = _packages.get(name) or _installed().get(name)
    if package is None:
        raise SsmHdlError(f"operation {name!r} is not known; there are {', '.join(names())}")
    try:
        return importlib.import_module(f"{package}.{room}.{name}")
    except ModuleNotFoundError as error:
        raise SsmHdlError(
            f"operation {name!r}: {package} has no module {room}/{name}.py ({error})"
        ) from error


def _class(module: ModuleType, base: type) -> Any:
    """The class of a module that is derived from another."""
    classes = [
        item for item in vars(module).values() if isinstance(item, type) and issubclass(item, base)
    ]
    (derived,) = [item for item in classes if item.__module__ == module.__name__]
    return derived


def _function(module: ModuleType, name: str) -> Callable[..., Any]:
    function: Callable[..., Any] = getattr(module, name)
    return function
