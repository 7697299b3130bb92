"""A browser that has been given the address of an explorer, or has not."""

import json

from starlette.testclient import TestClient

from iconoscope.explorer.server import create_app

PORT = 8424


def browse(session, rules, *, known=True):
    """Give a client of an explorer; the one that was given its address unless it is not to be known."""
    client = TestClient(
        create_app(session, rules), base_url=f"http://127.0.0.1:{rules.port}", raise_server_exceptions=False
    )
    if known:
        client.get("/", params={"token": rules.token})
    return client


def events(answer):
    """Give the messages of a stream of events."""
    return [json.loads(line.partition(": ")[2]) for line in answer.text.splitlines() if line.startswith("data")]
