"""The text of a manifest: YAML in which a value is what people read.

YAML 1.1 reads ``010`` as 8, ``1:30`` as 90, ``no`` as false, and a date as an object. Here a plain
scalar is null, true, false or a decimal integer, and any other is a text. Keys may not repeat,
nesting is bounded, and tags are refused.
"""

import re
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml

from ssm_hdl.errors import SsmHdlError, brief

MAX_BYTES = 1 << 20
"""Longest file. A model of 6 layers has 10 kB; libyaml reads 1 MiB in half a second."""

MAX_DEPTH = 16
"""Deepest nesting; a manifest needs 4."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,39})")
_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}


def read(path: Path) -> dict[str, Any]:
    """The fields of a YAML file.

    Raises:
        SsmHdlError: the file is missing, too long, not YAML, or holds no mapping.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise SsmHdlError(
                f"{path} is longer than {MAX_BYTES:,} bytes; a manifest has some thousand, "
                "is it another file?"
            )
        fields = parse(data.decode("utf-8-sig"))
    except FileNotFoundError as error:
        raise SsmHdlError(f"{path} does not exist; `ssm-hdl quantize` writes a manifest") from error
    except UnicodeDecodeError as error:
        raise SsmHdlError(
            f"{path} is not a manifest: it is no text; "
            "name the folder that `ssm-hdl quantize` wrote"
        ) from error
    except OSError as error:
        raise SsmHdlError(f"{path} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise SsmHdlError(f"{path} is not YAML: {brief(str(error), 300)}") from error
    except SsmHdlError as error:
        raise SsmHdlError(f"{path}: {error}") from error
    if not isinstance(fields, dict):
        raise SsmHdlError(f"{path} is not a manifest: it holds no fields")
    return fields


def parse(text: str) -> object:
    """The value of a YAML text.

    Raises:
        SsmHdlError: a key comes twice or is no text, a tag, an unknown alias,
            more than one document, or too deep nesting.
        yaml.YAMLError: the text is not YAML.
    """
    events = yaml.parse(text, Loader=_LOADER)
    next(events)  # the stream starts
    if isinstance(next(events), yaml.StreamEndEvent):
        return None
    value = _value(next(events), events, {}, 0)
    next(events)  # the document ends
    if not isinstance(next(events), yaml.StreamEndEvent):
        raise SsmHdlError("a second document begins; a manifest is one")
    return value


def _value(event: Any, events: Iterator[Any], anchors: dict[str, object], depth: int) -> object:
    """The value that begins with an event; an anchor is known once its value is complete,
    so no value contains itself."""
    line = f"line {event.start_mark.line + 1}"
    if isinstance(event, yaml.AliasEvent):
        if event.anchor not in anchors:
            raise SsmHdlError(f"{line}: *{brief(event.anchor)} refers to no value above it")
        return anchors[event.anchor]
    if event.tag is not None:
        raise SsmHdlError(
            f"{line}: the tag {brief(event.tag)} is not supported; write the value without it"
        )
    value: object
    if isinstance(event, yaml.ScalarEvent):
        value = _scalar(event.value) if event.implicit[0] else event.value
    elif depth == MAX_DEPTH:
        raise SsmHdlError(f"{line}: nested more than {MAX_DEPTH} deep; a manifest needs 4 levels")
    elif isinstance(event, yaml.SequenceStartEvent):
        items = takewhile(lambda item: not isinstance(item, yaml.SequenceEndEvent), events)
        value = [_value(item, events, anchors, depth + 1) for item in items]
    else:
        value = mapping = dict[str, object]()
        for key in takewhile(lambda item: not isinstance(item, yaml.MappingEndEvent), events):
            line = f"line {key.start_mark.line + 1}"
            if not isinstance(key, yaml.ScalarEvent):
                raise SsmHdlError(
                    f"{line}: a key is a list, a mapping or an alias; it must be a name"
                )
            if key.value in mapping:
                raise SsmHdlError(f"{line}: {brief(key.value)} comes twice; remove one")
            mapping[key.value] = _value(next(events), events, anchors, depth + 1)
    if event.anchor is not None:
        anchors[event.anchor] = value
    return value


def _scalar(text: str) -> object:
    """The value of a scalar without quotes."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    return int(text) if _INTEGER.fullmatch(text) else text


def dump(fields: dict[str, Any]) -> str:
    """The YAML text of fields; `parse` gives them back."""
    return yaml.dump(fields, Dumper=_Dumper, sort_keys=False, width=120, default_flow_style=False)


class _Dumper(yaml.SafeDumper):
    """Block style, with the small things (a tensor, an input, a list of names) on one line."""

    def represent_mapping(
        self, tag: str, mapping: Any, flow_style: bool | None = None
    ) -> yaml.MappingNode:
        small = isinstance(mapping, dict) and set(mapping) - {"exponent"} in (
            {"tensor", "format"},
            {"name", "size", "format"},
        )
        return super().represent_mapping(tag, mapping, flow_style=True if small else flow_style)

    def represent_sequence(
        self, tag: str, sequence: Any, flow_style: bool | None = None
    ) -> yaml.SequenceNode:
        names = all(isinstance(item, str | float) for item in sequence)
        return super().represent_sequence(tag, sequence, flow_style=True if names else flow_style)
