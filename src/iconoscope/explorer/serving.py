"""Where the explorer is listened for, and the server that answers there."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from iconoscope.errors import QuestionError, warn
from iconoscope.explorer.security import LONGEST, AccessRules
from iconoscope.explorer.server import create_app
from iconoscope.explorer.session import Session

__all__ = ["PORT", "Server", "listen", "serving"]

PORT = 8424
_TRIED = 20
_PATIENCE = 2.0  # seconds that an explorer takes at most to end


class Server(uvicorn.Server):
    """The server of a session. When it ends no connection stays, not even one whose browser has stopped reading.

    Parameters
    ----------
    session : Session
        What is explored.
    rules : AccessRules
        Who is answered.
    """

    def __init__(self, session: Session, rules: AccessRules) -> None:
        super().__init__(
            uvicorn.Config(
                create_app(session, rules),
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=2,
                ws_max_size=LONGEST,
                ws_per_message_deflate=False,  # an answer is some kilobytes, and is waited for
            )
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End what is answered, and close every connection."""
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            transport = connection.transport
            if transport is not None:
                transport.abort()
        await asyncio.sleep(0)  # in which they are closed


@contextmanager
def serving(session: Session, *, port: int = 0) -> Iterator[AccessRules]:
    """Answer of a session on this machine, from a thread, for the time of a block; at any free port by default."""
    with listen("127.0.0.1", port) as listener:
        rules = AccessRules("127.0.0.1", listener.getsockname()[1])
        server = Server(session, rules)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield rules
        finally:
            server.should_exit = True
            thread.join()


def listen(host: str, port: int | None) -> socket.socket:
    """Listen at a port, or at the first that is free from the usual one on.

    An explorer that was just ended may still be at the usual one, and saved addresses have that in them: it is waited for.

    Raises
    ------
    QuestionError
        If that cannot be.
    """
    patience = time.monotonic() + _PATIENCE
    while True:
        try:
            return _bound(host, PORT if port is None else port)
        except OSError as error:
            failure = error
        if failure.errno != errno.EADDRINUSE or time.monotonic() >= patience:
            break
        time.sleep(0.05)
    for number in range(PORT + 1, PORT + _TRIED) if port is None else ():
        try:
            listener = _bound(host, number)
        except OSError as error:
            failure = error
        else:
            warn(f"Port {PORT} is taken: addresses that were saved with it are at port {number} now.")
            return listener
    raise QuestionError(
        f"The explorer cannot listen at {host}, port {port or f'{PORT} to {PORT + _TRIED - 1}'}: "
        f"{failure.strerror or failure}.",
        hint="Give another --port, or an address of this machine as --host.",
    )


def _bound(host: str, port: int) -> socket.socket:
    """Give what listens at a port. Raises `OSError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named: only then does asyncio send answers at once. Else each waits 40 ms for one before it.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OverflowError as error:  # of a number that is no port
        listener.close()
        raise OSError(str(error)) from error
    except OSError:
        listener.close()
        raise
    return listener
