"""Fields of ``manifest.yaml`` against their schema: its version, and what to say of a misfit."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ssm_hdl.errors import SsmHdlError, brief, problems

SCHEMA_VERSION = 1
"""The version that this ssm-hdl reads and writes."""

Fields = TypeVar("Fields", bound=BaseModel)


def validated(path: Path, fields: Any, model: type[Fields]) -> Fields:
    """The fields of a YAML file, of the schema of a model.

    Raises:
        SsmHdlError: they are of another version, or do not fit; the message names ``path``.
    """
    version = fields.get("schema_version")
    if type(version) is not int or version != SCHEMA_VERSION:
        way_out = (
            "upgrade ssm-hdl to read it"
            if type(version) is int and version > SCHEMA_VERSION
            else "quantize again"
        )
        raise SsmHdlError(
            f"{path}: schema_version is {brief(repr(version))}, "
            f"this ssm-hdl reads {SCHEMA_VERSION}; {way_out}"
        )
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise SsmHdlError(f"{path}: {_explain(error, fields)}") from error


def _explain(error: ValidationError, fields: Mapping[str, Any]) -> str:
    """The first problems that pydantic found, each with the name of its operation and the value."""
    found = problems(error, fields)
    lines = []
    for problem in found[:3]:
        where = list(problem.where)
        if where[0] == "operations" and len(where) > 1:
            op = fields["operations"][where[1]]
            name = op.get("name") if isinstance(op, dict) else None
            where = [name if isinstance(name, str) else f"operation {where[1]}", *where[2:]]
        text, value = brief(problem.text, 300), problem.value
        shown = (
            ""
            if isinstance(value, dict | list) or repr(value) in text
            else f" (it is {brief(repr(value))})"
        )
        lines.append(f"{'.'.join(brief(str(part)) for part in where)}: {text}{shown}")
    more = f"; and {len(found) - 3:,} more" if len(found) > 3 else ""
    return "; ".join(lines) + more
