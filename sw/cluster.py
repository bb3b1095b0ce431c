"""Work side by side: in processes of this machine, or on the workers of a Dask cluster."""

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.extras import need
from ssm_hdl.workers import pool

PATIENCE_S = 10
"""Seconds to wait for the scheduler."""


@contextmanager
def workers(cluster: str | None, count: int) -> Iterator[Executor]:
    """What does calls side by side. At the end, calls that have not begun do not begin.

    On a cluster, calls and results are pickled by Dask, and paths have to lead to the same
    files on all machines.

    Args:
        cluster: address of the scheduler, such as ``tcp://host:8786``; processes here if None.
        count: processes here.

    Raises:
        SsmHdlError: there is no cluster, or a worker was lost.
    """
    if cluster is None:
        with pool(count) as executor:
            yield executor
        return
    need("distributed")
    from distributed import Client, KilledWorker

    try:
        client = Client(cluster, timeout=PATIENCE_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise SsmHdlError(
            f"no Dask scheduler answers at {cluster}: {error}; start `dask scheduler` there"
        ) from error
    with client:
        if not client.scheduler_info(n_workers=-1)["workers"]:
            raise SsmHdlError(
                f"the Dask cluster at {cluster} has no workers; "
                f"start `dask worker {cluster}` on each machine"
            )
        executor = client.get_executor(pure=False)
        try:
            yield executor
        except KilledWorker as error:
            raise SsmHdlError(
                f"a worker of the Dask cluster at {cluster} was lost: {error}"
            ) from error
        finally:
            executor.shutdown(wait=False)
