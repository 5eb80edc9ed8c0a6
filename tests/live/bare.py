"""A SIP caller of a few lines over bare UDP, for what our telephone would not do: see refusals whole, prove itself
with one digest algorithm or a wrong password, call from another address of loopback. Shares no code with the server."""

from __future__ import annotations

import hashlib
import re
import socket
from dataclasses import dataclass, field
from types import TracebackType
from uuid import uuid4

from loadtest.served import Served

HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}


@dataclass(frozen=True)
class Answer:
    """A response: its status, its headers by lower-case name (all values of one), and the whole of it."""

    status: int
    headers: dict[str, list[str]]
    text: str


@dataclass
class BareCaller:
    """One call. Sends each message once: loopback loses nothing."""

    server: Served
    host: str = "127.0.0.1"
    name: str = "bare"
    call: str = field(default_factory=lambda: uuid4().hex)
    cseq: int = 0

    def __enter__(self) -> BareCaller:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((self.host, 0))
        self.media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.media.bind((self.host, 0))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.socket.close()
        self.media.close()

    def invite(self, number: str, proof: str = "", limit_s: float = 10.0, acknowledge: bool = True) -> Answer | None:
        """Call; the final answer, acknowledged unless told otherwise, or None where none came within `limit_s`."""
        self.cseq += 1
        self.uri = self.server.uri(number)
        self.branch = f"z9hG4bK{uuid4().hex}"
        media = (
            f"v=0\r\no=- 1 1 IN IP4 {self.host}\r\ns=-\r\nc=IN IP4 {self.host}\r\nt=0 0\r\n"
            f"m=audio {self.media.getsockname()[1]} RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"
        )
        self._send("INVITE", self.branch, proof + "Content-Type: application/sdp\r\n", media)
        self.socket.settimeout(limit_s)
        while True:
            try:
                answer = _read(self.socket.recv(65536))
            except TimeoutError:
                return None
            if answer.status < 200:
                continue
            self.to = answer.headers["to"][0]
            if acknowledge:
                self.acknowledge(answer)
            return answer

    def acknowledge(self, answer: Answer) -> None:
        """RFC 3261 17.1.1.3: the ACK of a refusal has the INVITE's branch, that of a 200 one of its own."""
        self._send("ACK", self.branch if answer.status >= 300 else f"z9hG4bK{uuid4().hex}", to=self.to)

    def bye(self) -> Answer:
        """Hang up."""
        self.cseq += 1
        self._send("BYE", f"z9hG4bK{uuid4().hex}", to=self.to)
        while (answer := _read(self.socket.recv(65536))).headers["cseq"][0].split()[1] != "BYE":
            pass
        return answer

    def _send(self, method: str, branch: str, headers: str = "", body: str = "", to: str = "") -> None:
        host, port = self.socket.getsockname()
        message = (
            f"{method} {self.uri} SIP/2.0\r\nVia: SIP/2.0/UDP {host}:{port};branch={branch};rport\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:{self.name}@{host}:{port}>;tag={self.call[:8]}\r\n"
            f"To: {to or f'<{self.uri}>'}\r\nCall-ID: {self.call}\r\nCSeq: {self.cseq} {method}\r\n"
            f"Contact: <sip:{self.name}@{host}:{port}>\r\n{headers}Content-Length: {len(body)}\r\n\r\n{body}"
        )
        self.socket.sendto(message.encode(), ("127.0.0.1", self.server.sip_port))


def proof(answer: Answer, algorithm: str, user: str, password: str, uri: str) -> str:
    """The Authorization header that answers a 401 by `algorithm` (RFC 7616 section 3.4.1, qop auth)."""
    for challenge in answer.headers["www-authenticate"]:
        parts = dict(re.findall(r'(\w+)="?([^",]+)"?', challenge))
        if parts.get("algorithm", "MD5") == algorithm:
            break
    else:
        raise AssertionError(f"{algorithm} is not offered: {answer.text}")

    def hashed(text: str) -> str:
        return HASHES[algorithm](text.encode()).hexdigest()

    secret = hashed(f"{user}:{parts['realm']}:{password}")
    response = hashed(f"{secret}:{parts['nonce']}:00000001:c0ffee:auth:{hashed(f'INVITE:{uri}')}")
    return (
        f'Authorization: Digest username="{user}", realm="{parts["realm"]}", nonce="{parts["nonce"]}", uri="{uri}", '
        f'response="{response}", algorithm={algorithm}, cnonce="c0ffee", qop=auth, nc=00000001\r\n'
    )


def _read(datagram: bytes) -> Answer:
    text = datagram.decode()
    first, *lines = text.split("\r\n\r\n")[0].split("\r\n")
    headers: dict[str, list[str]] = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers.setdefault(name.strip().lower(), []).append(value.strip())
    return Answer(int(first.split()[1]), headers, text)
