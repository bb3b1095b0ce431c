"""Runs Yosys commands, a JSON list on standard input, on a fresh design.

This file is run by itself, without the package, so that it starts in some milliseconds.
"""

import json
import sys

from pyosys import libyosys


def main() -> None:
    """Run the commands; Yosys itself ends the process when one fails."""
    design = libyosys.Design()
    for command in json.load(sys.stdin):
        if isinstance(command, str):
            libyosys.run_pass(command, design)
        else:
            libyosys.Pass.call(design, command)


if __name__ == "__main__":
    main()
