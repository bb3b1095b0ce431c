"""The one exception that a user's input can cause."""


class SsmHdlError(Exception):
    """A request that cannot be met; the message names the thing, its value and the way out.

    The command line prints the message alone, without a traceback, and exits with status 1.
    """
