"""The command line ``ssm-hdl COMMAND``, one file per command.

Heavy packages are imported inside the commands. So ``--help`` answers at once, and a missing extra is a message.
"""

import sys

import typer

from ssm_hdl.errors import SsmHdlError, UsageError
from ssm_hdl.processes import ending
from ssm_hdl.sw.cli import (
    bench,
    build,
    calibrate,
    data,
    demo,
    evaluate,
    finetune,
    generate,
    generate_text,
    importing,
    info,
    program,
    quantize,
    reproduce,
    run,
    search,
    sensitivity,
    simulate,
    train,
)

app = typer.Typer(
    help="From a trained diagonal state-space model to a bit-exact FPGA pipeline.",
    epilog="Example: ssm-hdl demo, then ssm-hdl COMMAND --help for the steps that it took.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_COMMANDS = (
    *(demo, data, train, importing, quantize, finetune, sensitivity, search, evaluate),
    *(generate, simulate, build, program, run, generate_text, info, reproduce, bench, calibrate),
)
for module in _COMMANDS:
    app.command(module.NAME, epilog=f"Example: {module.EXAMPLE}")(module.command)


def main() -> None:
    """Run a command: exit status 0 for success, 1 for an error or for differences, 2 for wrong usage."""
    try:
        with ending():
            app()
    except (SsmHdlError, OSError) as error:  # of the system, such as a full disk
        print(f"ssm-hdl: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, UsageError) else 1)


__all__ = ["app", "main"]
