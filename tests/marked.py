"""Processes that a test starts, marked by a variable of their environment,
which all that they start inherit."""

import time
import uuid
from pathlib import Path


class Mark:
    """A mark of processes; ``variables`` has it."""

    def __init__(self):
        self.text = uuid.uuid4().hex
        self.variables = {"SSM_HDL_TEST_MARK": self.text}

    def running(self):
        """Command lines of the processes that run, by their numbers;
        a zombie has no environment."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if self.text.encode() in (folder / "environ").read_bytes():
                    found[int(folder.name)] = (
                        (folder / "cmdline")
                        .read_bytes()
                        .replace(b"\0", b" ")
                        .decode(errors="replace")
                    )
            except OSError:  # it has ended, or is another user's
                continue
        return found

    def wait(self, least, seconds=60):
        """Until so many run at least, or none if ``least`` is 0; those that run."""
        end = time.monotonic() + seconds
        while ((now := self.running()) and not least) or len(now) < least:
            assert time.monotonic() < end, now
            time.sleep(0.02)
        return now
