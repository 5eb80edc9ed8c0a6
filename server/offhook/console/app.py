"""The server's web side: health, metrics, status, and calls as JSON. Later the console's pages grow here.

Knows the server only through a function that says how it is doing, and calls only through the store and their
timelines. It decides nothing and changes nothing.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

import uvicorn
from fastapi import FastAPI, HTTPException, Query, Response
from fastapi.responses import PlainTextResponse

from offhook.calls import archive, folds
from offhook.calls.explain import explain
from offhook.calls.timeline import Entry
from offhook.console import callfiles, callpage
from offhook.console.listening import Server
from offhook.console.status import NodeState, NodeStatus
from offhook.store import AmbiguousCall, CallRecord, NoSuchCall, Store, StoreError
from offhook.telemetry.metrics import CONTENT_TYPE, Metrics


@dataclass(frozen=True, slots=True)
class CallDetail:
    """A call as the API gives it: its row, and what its timeline says."""

    call: CallRecord
    summary: folds.Summary
    turns: list[folds.Turn]
    recordings: list[folds.RecordingMark]


class ConsoleError(Exception):
    """The console cannot be served; the text says why and what to do."""


def make_app(
    status: Callable[[], NodeStatus],
    store: Store,
    metrics: Metrics | None = None,
    door: callpage.Door | None = None,
    origins: Sequence[str] = (),
) -> FastAPI:
    """The application: `/healthz`, `/metrics`, `/status`, `/api/calls`, `/api/calls/{id}` and
    `/api/calls/{id}/explain`. `status` is called on the event loop and must be quick. With a `door`, web pages can
    call, those of `origins` too: `/call`, `/call/ws` and `/call/config`.

    It asks nobody who they are: bind it to loopback, or stand it behind something that asks."""
    app = FastAPI(title="Offhook", docs_url="/api/docs", openapi_url="/api/openapi.json", redoc_url=None)
    figures = metrics or Metrics()

    @app.get("/healthz", response_class=PlainTextResponse)
    def healthz() -> Response:
        """200 while new calls are taken, 503 otherwise; the state in a word."""
        state = status().state
        return PlainTextResponse(f"{state.value}\n", status_code=200 if state is NodeState.READY else 503)

    @app.get("/metrics")
    async def exposition() -> Response:
        return Response(figures.exposition(), media_type=CONTENT_TYPE)

    @app.get("/status")
    async def node_status() -> NodeStatus:
        return status()

    @app.get("/api/calls")
    def calls(
        limit: Annotated[int, Query(ge=1, le=1000)] = 50,
        since: datetime | None = None,
        before: datetime | None = None,
    ) -> list[CallRecord]:
        """The newest calls, newest first. `since` and `before` are ISO 8601 with a zone."""
        for name, moment in (("since", since), ("before", before)):
            if moment is not None and moment.tzinfo is None:
                raise HTTPException(422, f"{name} has no time zone: write it as 2026-05-01T09:00:00Z")
        with _as_http():
            return list(store.list(limit, since=since, before=before))

    @app.get("/api/calls/{call_id}")
    def call(call_id: str) -> CallDetail:
        """A call with its turns. An ID's beginning is enough where it is the only one."""
        record, entries = _found(store, call_id)
        return CallDetail(record, folds.summary(entries), folds.turns(entries), folds.recording_marks(entries))

    @app.get("/api/calls/{call_id}/explain")
    def explained(call_id: str) -> list[str]:
        """Why the call went as it did, a sentence a line."""
        return explain(_found(store, call_id)[1])

    if door is not None:
        app.include_router(callfiles.routes())
        app.include_router(callpage.routes(door, origins))
    return app


@asynccontextmanager
async def serving(app: FastAPI, host: str, port: int, tls: tuple[Path, Path] | None = None) -> AsyncIterator[str]:
    """Serve `app` inside the running loop while the block runs; gives its address, `http://127.0.0.1:8080`.

    Port 0 takes a free one. With `tls`, the files of a certificate and its key, it is https. Signals stay with whoever
    runs the loop. Raises ConsoleError where the address cannot be had or the files cannot be used. On leaving, open
    requests are given a second."""
    if tls is not None:
        _check_certificate(*tls)
    with _listening(host, port) as listener:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
            ws="websockets-sansio",
            ws_max_size=callpage.MOST_TEXT,
            ws_ping_interval=10.0,  # a page whose network went away is to be noticed
            ws_ping_timeout=10.0,
            ws_per_message_deflate=False,
            ssl_certfile=tls[0] if tls else None,
            ssl_keyfile=tls[1] if tls else None,
        )
        server = Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]), name="console")
        try:
            bound = listener.getsockname()
            scheme = "https" if tls else "http"
            yield f"{scheme}://[{bound[0]}]:{bound[1]}" if ":" in bound[0] else f"{scheme}://{bound[0]}:{bound[1]}"
        finally:
            server.should_exit = True
            await task


def _check_certificate(certificate: Path, key: Path) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except OSError as error:  # ssl.SSLError is one
        raise ConsoleError(
            f"the console cannot serve https with {certificate} and {key} ({error.strerror or error}); "
            "give a certificate and its key as PEM files in `console.certificate` and `console.key`"
        ) from error


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(128)
            yield listener
    except OSError as error:
        raise ConsoleError(
            f"the console cannot listen on {host} port {port} ({error.strerror}); choose another with `console.port`"
        ) from error


@contextmanager
def _as_http() -> Iterator[None]:
    try:
        yield
    except NoSuchCall as error:
        raise HTTPException(404, str(error)) from error
    except AmbiguousCall as error:
        raise HTTPException(409, str(error)) from error
    except StoreError as error:
        raise HTTPException(503, str(error)) from error


def _found(store: Store, call_id: str) -> tuple[CallRecord, list[Entry]]:
    with _as_http():
        record = store.get(call_id)
    return record, archive.CallFolder(record.folder).entries()
