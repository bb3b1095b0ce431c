"""Arguments of the Python API: checked by their types,
and named in messages as the caller knows them."""

import re
from collections.abc import Callable, Mapping
from functools import wraps
from inspect import signature
from pathlib import Path
from types import NoneType
from typing import Any, ParamSpec, TypeVar, get_args, get_origin

import numpy as np
from pydantic import ConfigDict, TypeAdapter, ValidationError

from ssm_hdl.errors import SsmHdlError, UsageError, brief, listing, reason

P = ParamSpec("P")
R = TypeVar("R")

CHECKED = (str, int, float, bool, Path, NoneType)
"""Types that are checked, alone, in a union or in a mapping.
Arrays and models say themselves what they are not."""

TAKERS = dict[str, str]()
"""The function that takes an argument, by its name: the way out for one that was given
to another function."""

NAMES = {
    "rate": "rate_hz", "max": "fastest", "clock": "clock_hz", "fold": "folding", "map": "renamed",
    "from": "layout", "inputs": "data", "out": "path",
}  # fmt: skip
"""Arguments whose names are not those of the options of the command line."""


def arguments(function: Callable[P, R]) -> Callable[P, R]:
    """A function of the API: wrong types are errors of one line, and messages name arguments where
    commands have options."""
    called, title = signature(function), function.__name__
    checks = {
        name: TypeAdapter[object](parameter.annotation, config=ConfigDict(strict=True))
        for name, parameter in called.parameters.items()
        if _checked(parameter.annotation)
    }
    takes = [name for name in called.parameters if name != "self"]
    for name in takes:
        TAKERS.setdefault(name, title)

    @wraps(function)
    def run(*values: P.args, **named: P.kwargs) -> R:
        try:
            given = called.bind(*values, **named)
        except TypeError as error:
            wrong = next((name for name in named if name not in takes), "")
            what = f"it takes no {wrong}={brief(repr(named[wrong]))}" if wrong else str(error)
            other = f"; {TAKERS[wrong]} does" if wrong in TAKERS else ""
            raise UsageError(
                f"{title}: {what}{other}; its arguments are {listing(takes)}"
            ) from None
        for name, check in checks.items():
            if name in given.arguments:
                value = given.arguments[name]
                # it would mean the current folder
                if value == "" and Path in get_args(called.parameters[name].annotation):
                    raise UsageError(f"{title}: {name} is empty; name a path")
                try:
                    given.arguments[name] = check.validate_python(_plain(value))
                except ValidationError as error:
                    reasons = [*map(reason, error.errors())]
                    wrong = next(
                        (one for one in reversed(reasons) if one.startswith("must")), reasons[0]
                    )
                    raise UsageError(
                        f"{title}: {name} is {brief(repr(value))}; it {wrong}"
                    ) from None
        try:
            return function(*given.args, **given.kwargs)
        except SsmHdlError as error:
            error.args = (in_python(str(error)),)
            raise

    return run


def _plain(value: Any) -> Any:
    """A value with numbers of Python in place of NumPy's, and a list in place of a range."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | range):
        return [_plain(each) for each in value]
    return value.item() if isinstance(value, np.generic) else value


def _checked(kind: Any) -> bool:
    """Whether a type is made of those that are checked."""
    if get_origin(kind) is Callable:
        return True
    return all(map(_checked, get_args(kind))) if get_args(kind) else kind in CHECKED


def in_python(message: str) -> str:
    """A message with arguments in place of options."""
    message = re.sub(r"--map ([^\s=]+)=([^\s;]+)", r"renamed={'\1': '\2'}", message)
    message = re.sub(
        r"--clock ([\d.]+)", lambda found: f"clock_hz={float(found[1]) * 1e6:g}", message
    )
    return re.sub(
        r"(?<![\w/-])--([a-z][a-z-]+)",
        lambda found: NAMES.get(found[1], found[1].replace("-", "_")),
        message,
    )
