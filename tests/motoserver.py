"""moto on loopback, a fast S3 server, with conditional puts that are atomic.

Those of stores are; moto's own threads look first and write then, so that two racers may both be told that they won.

    python -m tests.motoserver      # prints its address, and ends with its input
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any
from unittest import mock


@contextlib.contextmanager
def running() -> Iterator[str]:
    """Address of a server that lives as long as the block."""
    # They cost a second, which only tests that need them pay.
    from moto.s3.responses import S3Response
    from moto.server import ThreadedMotoServer

    # It would log each request, to whatever was standard error when the first of them came.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    lock, put = threading.Lock(), S3Response.put_object

    def alone(response: S3Response) -> Any:
        with lock:
            return put(response)

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    with mock.patch.object(S3Response, "put_object", alone):
        server.start()
        try:
            yield "http://{}:{}".format(*server.get_host_and_port())
        finally:
            server.stop()


if __name__ == "__main__":
    with running() as address:
        print(address, flush=True)
        sys.stdin.read()
