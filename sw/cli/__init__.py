"""The command line ``ssm-hdl COMMAND``, one file per command.

Heavy packages are imported inside the commands. So ``--help`` answers at once,
and a missing extra is a message.
"""

import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from inspect import cleandoc
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from ssm_hdl.ending import ending
from ssm_hdl.errors import SsmHdlError, UsageError, reason
from ssm_hdl.files import cannot_write
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
    report,
    reproduce,
    run,
    search,
    sensitivity,
    simulate,
    train,
)

HELP = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    epilog="Example: ssm-hdl demo, then ssm-hdl COMMAND --help for the steps that it took.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=HELP,
)
_COMMANDS = (
    *(demo, data, train, importing, quantize, finetune, sensitivity, search, evaluate),
    *(
        generate,
        simulate,
        build,
        program,
        run,
        generate_text,
        info,
        report,
        reproduce,
        bench,
        calibrate,
    ),
)
for module in _COMMANDS:
    # Typer would break lines where the docstring does, not only where the terminal ends.
    text = re.sub(r"(?<!\n)\n(?!\n)", " ", cleandoc(module.command.__doc__ or ""))
    example = f"Example: {module.EXAMPLE}"
    app.command(module.NAME, help=text, epilog=example, context_settings=HELP)(module.command)


def _version(asked: bool) -> None:
    if asked:
        print(f"ssm-hdl {version('ssm-hdl')}")
        raise typer.Exit


@app.callback()
def _options(
    shown: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """From a trained diagonal state-space model to a bit-exact FPGA pipeline."""


def _refuse_empty(words: Sequence[str]) -> None:
    """Refuse a value that is empty, as of a variable of a shell that is not set:
    a path would mean the current folder.

    A prompt is no path, and its command says what it may be.
    """
    for before, word in pairwise(["", *words]):
        if not word or (word.startswith("--") and word.endswith("=")):
            option = word.removesuffix("=") or before
            if option == "--prompt":
                continue
            what = (
                f"{option} has an empty value" if option.startswith("-") else "an argument is empty"
            )
            raise UsageError(f"{what}; leave it out, or give one")


def main() -> None:
    """Run a command: exit status 0 for success, 1 for an error or for differences,
    2 for wrong usage."""
    try:
        with ending():
            # closed by a shell, `>&-`, or by a service
            if sys.stderr is None:
                # print() would take stdout; it stays open until the end
                sys.stderr = Path(os.devnull).open("w", errors="backslashreplace")  # noqa: SIM115
            if sys.stdout is None:
                raise SsmHdlError("stdout is closed; redirect it to a file, or to /dev/null")
            columns = os.environ.get("COLUMNS", "")
            if not columns.isdecimal() or not int(columns):
                os.environ.pop("COLUMNS", None)  # rich would print nothing in 0 columns
            _refuse_empty(sys.argv[1:])
            status = app(prog_name="ssm-hdl", standalone_mode=False)
    except TyperException as error:
        if error.format_message():  # none where there is no command: the help is shown
            _say(_wrong_usage(error, sys.argv[1:]))
        sys.exit(2)
    except (SsmHdlError, OSError) as error:  # of the system, such as a full disk
        # of stdout, which a page of help goes to
        if isinstance(error, OSError) and not error.filename:
            error = cannot_write("stdout", error)
        _say(f"ssm-hdl: {error}")
        sys.exit(2 if isinstance(error, UsageError) else 1)
    sys.exit(status)


def _say(line: str) -> None:
    """A line on stderr; the exit status is the same where nobody can read it."""
    with suppress(OSError):
        print(line, file=sys.stderr)


def _wrong_usage(error: TyperException, words: Sequence[str]) -> str:
    """The message of Typer in our voice, with the value, which it leaves out, and the way out."""
    message, context = error.format_message().rstrip("."), getattr(error, "ctx", None)
    if (cause := error.__cause__) is not None:
        from pydantic import ValidationError

        if isinstance(cause, ValidationError):
            problem = cause.errors()[0]
            option = message.partition(": ")[0].replace(
                "value for", f"value {problem['input']!r} for", 1
            )
            message = f"{option}: it {reason(problem)}"
    command = "ssm-hdl" if context is None else context.command_path
    # Typer's parser does not say whose option it is
    if context is None and words[0] in {module.NAME for module in _COMMANDS}:
        command += f" {words[0]}"
    return f"ssm-hdl: {message[:1].lower()}{message[1:]}; see `{command} --help`"


__all__ = ["app", "main"]
