"""Runs a command, and ends it with its parent: ``python -I -S guard.py PIPE COMMAND..``.

The parent holds the other end of the pipe. When it closes, whatever closed it, the command and all
that it started are killed. This file is run by itself, without the package, so that it starts in
some milliseconds.
"""

import contextlib
import os
import signal
import sys
import threading


def main() -> int:
    """The exit status of the command; 128 more than the number of the signal that ended it."""
    pipe, command = int(sys.argv[1]), sys.argv[2:]
    os.set_inheritable(pipe, False)
    try:
        child = os.posix_spawnp(
            command[0], command, os.environ, setpgroup=0, setsigdef=(signal.SIGPIPE, signal.SIGXFSZ)
        )
    except OSError as error:
        print(f"{command[0]} cannot be started: {error.strerror}", flush=True)
        return 127

    def follow() -> None:
        os.read(pipe, 1)
        os.killpg(child, signal.SIGKILL)

    threading.Thread(target=follow, daemon=True).start()
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    with contextlib.suppress(PermissionError):  # macOS, of a group whose last process has ended
        # what it left running; its own number is taken until it is waited for
        os.killpg(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
