"""All transactions of a user agent: found by message, carried out, dropped when over (RFC 3261 17)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from offhook.sip.message import Request, Response
from offhook.sip.transaction import (
    ClientTransaction,
    Flow,
    InviteClient,
    InviteServer,
    NonInviteClient,
    NonInviteServer,
    Output,
    Received,
    Send,
    ServerTransaction,
    Transaction,
    Trouble,
    server_key,
)
from offhook.sip.usage import Failure

Done = Callable[[Response | Failure], None]

MOST_SERVED = 4_096
"""Requests of others that are remembered at once, each for half a minute after its answer: 128 a second."""


class Owner(Protocol):
    """What the table needs of its user agent."""

    def transmit(self, flow: Flow, data: bytes) -> None: ...
    def watch_transaction(self, transaction: Transaction) -> None: ...
    def ended(self, invite: InviteServer) -> None: ...


class Transactions:
    def __init__(self, owner: Owner, clock: Callable[[], float]) -> None:
        self._owner = owner
        self._clock = clock
        self._servers: dict[tuple[str, ...], ServerTransaction] = {}
        self._clients: dict[tuple[str, str], ClientTransaction] = {}
        self._done: dict[ClientTransaction, Done] = {}

    @property
    def busy(self) -> bool:
        """Whether requests of ours are still unanswered."""
        return any(transaction.unanswered for transaction in self._done)

    @property
    def full(self) -> bool:
        """Whether no more requests of others can be remembered."""
        return len(self._servers) >= MOST_SERVED

    # --- ours

    def request(self, request: Request, flow: Flow, done: Done) -> None:
        """Send a request; `done` hears of every response, or of the failure."""
        kind = InviteClient if request.method == "INVITE" else NonInviteClient
        transaction: ClientTransaction = kind(request, flow)
        self._clients[(request.via.branch or "", request.method)] = transaction
        self._done[transaction] = done
        self.carry_out(transaction, transaction.start(self._clock()))

    def receive_response(self, response: Response) -> None:
        # 18.1.2: a response with another Via below ours was not made for us
        transaction = self._clients.get((response.via.branch or "", response.cseq.method))
        if transaction is not None and len(response.vias) == 1:
            self.carry_out(transaction, transaction.receive(self._clock(), response))

    def fail(self, which: Callable[[Flow], bool], why: str) -> None:
        """Whoever waits for an answer from such a flow gets 503 (8.1.3.1, 18.4)."""
        for transaction in [transaction for transaction in self._done if which(transaction.flow)]:
            done = self._done.get(transaction)
            if done is not None:
                transaction.abandon()
                self.drop(transaction)
                done(Failure(503, why))

    # --- theirs

    def open(self, request: Request, flow: Flow) -> ServerTransaction:
        kind = InviteServer if request.method == "INVITE" else NonInviteServer
        transaction: ServerTransaction = kind(request, flow)
        self._servers[server_key(request)] = transaction
        return transaction

    def find(self, request: Request, method: str = "") -> ServerTransaction | None:
        """The transaction that the request belongs to; `method` "INVITE": the one that a CANCEL means."""
        return self._servers.get(server_key(request, method))

    def receive(self, transaction: ServerTransaction, request: Request) -> None:
        self.carry_out(transaction, transaction.receive(self._clock(), request))

    def respond(self, transaction: ServerTransaction, response: Response) -> None:
        self.carry_out(transaction, transaction.respond(self._clock(), response))

    # --- both

    def carry_out(self, transaction: Transaction, outputs: Iterable[Output]) -> None:
        done = self._done.get(transaction) if isinstance(transaction, ClientTransaction) else None
        for output in outputs:
            if isinstance(output, Send):
                self._owner.transmit(transaction.flow, output.data)
            elif isinstance(output, Received) and done is not None:
                done(output.response)
            elif output is Trouble.TIMEOUT and done is not None:
                self.drop(transaction)
                done(Failure(408, "nobody answered in time"))
        self._owner.watch_transaction(transaction)

    def drop(self, transaction: Transaction) -> None:
        request = transaction.request
        if isinstance(transaction, ClientTransaction):
            self._clients.pop((request.via.branch or "", request.method), None)
            self._done.pop(transaction, None)
            return
        self._servers.pop(server_key(request), None)
        if isinstance(transaction, InviteServer):
            self._owner.ended(transaction)
