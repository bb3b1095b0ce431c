"""The one exception that a user's input can cause."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

MAX_MESSAGE = 2500
"""Most characters of a message."""


class SsmHdlError(Exception):
    """A request that cannot be met; the message names the thing, its value and the way out.

    The command line prints the message alone, without a traceback, and exits with status 1. It is one line that prints, whatever
    the name of a tensor or the output of a tool that is part of it.
    """

    def __init__(self, message: str) -> None:
        super().__init__(_printable(" ".join(message.splitlines()), MAX_MESSAGE))


class UsageError(SsmHdlError):
    """Wrong usage, such as a name that is not known: the command line exits with status 2."""


def brief(value: object, limit: int = 60) -> str:
    """A value as a message shows it: on one line, what does not print escaped, cut after ``limit`` characters.

    Args:
        value: a text, which is shown as it is, or anything else, of which the ``repr`` is shown.
        limit: characters of the answer.
    """
    return _printable(" ".join((value if isinstance(value, str) else repr(value)).split()), limit)


def _printable(text: str, limit: int) -> str:
    text = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text[: limit + 1])
    return text if len(text) <= limit else text[: limit - 3] + "..."


def listing(names: Sequence[str], limit: int = 12) -> str:
    """Names as a message lists them."""
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return (", ".join(map(brief, names[:limit])) or "none") + more


_WORDS = {
    "Input should be ": "must be ", "a valid boolean": "true or false", "a valid ": "a ", "a integer": "an integer",
    "greater than or equal to": "at least", "less than or equal to": "at most", "greater than": "more than",
    "dictionary": "mapping", "Field required": "is missing", "Extra inputs are not permitted": "is not known",
}  # fmt: skip
"""Our words for those of pydantic."""


def reason(problem: Mapping[str, Any]) -> str:
    """What is wrong with a value, in our words.

    Args:
        problem: one of ``errors()`` of pydantic's ``ValidationError``.
    """
    text: str = problem["msg"]
    if problem["type"] == "value_error":  # raised by ourselves
        return text.removeprefix("Value error, ")
    text = re.sub(", (unable to parse|got a number).*", "", text)
    for theirs, ours in _WORDS.items():
        text = text.replace(theirs, ours)
    return text
