"""The one exception that a user's input can cause."""

from collections.abc import Sequence

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
