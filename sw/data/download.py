"""Downloads, with a progress bar."""

import http.client
import io
import urllib.request

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from ssm_hdl.errors import SsmHdlError


def fetch(address: str, name: str, instead: str, progress: bool) -> bytes:
    """The bytes at an address.

    Args:
        address: http or https.
        name: of the file, beside the bar.
        instead: what to do without a network, for the message.
        progress: show a progress bar.

    Raises:
        SsmHdlError: no network, or no such file.
    """
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    received = io.BytesIO()
    try:
        with (
            urllib.request.urlopen(address, timeout=30) as answer,
            Progress(*columns, disable=not progress) as bar,
        ):
            task = bar.add_task(name, total=int(answer.headers.get("Content-Length", 0)) or None)
            while block := answer.read(1 << 16):
                received.write(block)
                bar.advance(task, len(block))
    except (OSError, http.client.HTTPException) as error:
        raise SsmHdlError(
            f"cannot download {address}: {getattr(error, 'reason', error)}; {instead}"
        ) from error
    return received.getvalue()
