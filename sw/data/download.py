"""Downloads, with a progress bar."""

import http.client
import io
import urllib.request

from rich.progress import DownloadColumn

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.sw.progress import bar, messages


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
    received, console = io.BytesIO(), messages() if progress else None
    try:
        with urllib.request.urlopen(address, timeout=30) as answer:
            size = int(answer.headers.get("Content-Length", 0)) or None
            with bar(name, size, console, counts=DownloadColumn()) as done:
                while block := answer.read(1 << 16):
                    received.write(block)
                    done.advance(len(block))
    except (OSError, http.client.HTTPException) as error:
        raise SsmHdlError(
            f"cannot download {address}: {getattr(error, 'reason', error)}; {instead}"
        ) from error
    return received.getvalue()
