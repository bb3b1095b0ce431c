"""The one exception that a user's input can cause."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError

MAX_MESSAGE = 2500
"""Most characters of a message."""


class SsmHdlError(Exception):
    """A request that cannot be met; the message names the thing, its value and the way out.

    The command line prints the message alone, without a traceback, and exits with status 1. It is
    one line that prints, whatever the name of a tensor or the output of a tool that is part of it.
    """

    def __init__(self, message: str) -> None:
        super().__init__(_printable(" ".join(message.splitlines()), MAX_MESSAGE))


class UsageError(SsmHdlError):
    """Wrong usage, such as a name that is not known: the command line exits with status 2."""


def brief(value: object, limit: int = 60) -> str:
    """A value as a message shows it: on one line, what does not print escaped,
    cut after ``limit`` characters.

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
    r", (unable to|got a number).*| after validation.*": "",
    r" or (an )?(instance of \w+|object to extract fields from)": "",
    r"^(Input|String|Tuple|List) should (be )?": r"must \2",
    r"a valid boolean": "true or false",
    r"a valid |an instance of ": "a ",
    r"\ba (?=[aeiou])": "an ",
    r"greater than or equal to": "at least",
    r"less than or equal to": "at most",
    r"greater than": "more than",
    r"\bdictionary\b": "mapping",
    r"\btuple\b": "list",
    r"^(Field|Missing) required.*": "is missing",
    r"^(Extra inputs are not permitted|Unexpected keyword argument)": "is not known",
    r"^Unable to extract tag using discriminator '(\w+)'": r"\1 is missing",
    r"^Input tag ('.*') found using '(\w+)' .* expected tags: ": r"\2 \1 is not known; there are ",
}
"""Our words for those of pydantic, replaced in this order."""


@dataclass(frozen=True)
class Problem:
    """What is wrong with a value that somebody wrote.

    Attributes:
        where: the keys and places that lead to it.
        text: what is wrong, in our words.
        value: the value, or what it is missing from.
    """

    where: tuple[str | int, ...]
    text: str
    value: Any


def problems(error: "ValidationError", given: object) -> list[Problem]:
    """What pydantic found.

    Of a value that may be one thing or another it says what is wrong with it as each of them.
    That is one problem here, and its place is without the names of these things.

    Args:
        error: of pydantic.
        given: what was validated.
    """
    found: dict[tuple[str | int, ...], Problem] = {}
    for raw in error.errors(include_url=False):
        where, text = _place(raw["loc"], raw["type"], given), reason(raw)
        if where in found:
            text = f"{found[where].text} or {text.removeprefix('must be ')}"
        # a list lacks the items that are wrong
        if where in found or not any(one[: len(where)] == where for one in found):
            found[where] = Problem(where, text, raw["input"])
    return [*found.values()]


def _place(loc: tuple[str | int, ...], kind: str, given: Any) -> tuple[str | int, ...]:
    """The part of a place that leads through what was given, and what is missing at its end."""
    where: list[str | int] = []
    for part in loc:
        known = (
            given
            if isinstance(given, Mapping)
            else dict(enumerate(given))
            if isinstance(given, list | tuple)
            else {}
        )
        if part in known:
            given = known[part]
            where.append(part)
    return (*where, loc[-1]) if kind.startswith("missing") else tuple(where)


def reason(problem: Mapping[str, Any]) -> str:
    """What is wrong with a value, in our words.

    Args:
        problem: one of ``errors()`` of pydantic's ``ValidationError``.
    """
    text: str = problem["msg"]
    if problem["type"] == "value_error":  # raised by ourselves
        return text.removeprefix("Value error, ")
    for theirs, ours in _WORDS.items():
        text = re.sub(theirs, ours, text)
    return text
