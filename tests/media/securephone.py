"""A telephone that speaks SRTP with another build of the library and other ciphers: `pylibsrtp`."""

from __future__ import annotations

import os
from typing import Self

import pylibsrtp
from pylibsrtp import Policy, Session

from offhook.media import Keys, Port, Remote, Suite
from tests.media.telephone import PATIENCE_S, Rtp, Telephone

SUITES: dict[Suite, tuple[int, int]] = {  # profile, bytes of key and salt
    "AES_CM_128_HMAC_SHA1_80": (Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 30),
    "AES_CM_128_HMAC_SHA1_32": (Policy.SRTP_PROFILE_AES128_CM_SHA1_32, 30),
    "AEAD_AES_128_GCM": (Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 28),
    "AEAD_AES_256_GCM": (Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 44),
}


def new_keys(suite: Suite = "AES_CM_128_HMAC_SHA1_80") -> Keys:
    """Fresh ones, as our side holds them."""
    return Keys(suite, os.urandom(SUITES[suite][1]), os.urandom(SUITES[suite][1]))


class SecureTelephone(Telephone):
    """Seals what it says with our receiving key, and opens what it hears with our sending key."""

    def __init__(self, keys: Keys, host: str = "127.0.0.1", ssrc: int = 0x1234) -> None:
        super().__init__(host, ssrc)
        self.rekey(keys)

    def rekey(self, keys: Keys) -> None:
        self.keys = keys
        self.sealing = session(keys.suite, keys.receive, Policy.SSRC_ANY_OUTBOUND)
        self.opening = session(keys.suite, keys.send, Policy.SSRC_ANY_INBOUND)

    def __enter__(self) -> Self:
        return self

    def packet(self, payload: bytes = b"\xff" * 160, payload_type: int = 0) -> bytes:
        """The next one, sealed."""
        plain = Rtp(payload_type, self.seq, self.timestamp, self.ssrc, False, payload).pack()
        self.seq = (self.seq + 1) % 2**16
        self.timestamp = (self.timestamp + len(payload)) % 2**32
        return bytes(self.sealing.protect(plain))

    def say(self, to: Port, payload: bytes = b"\xff" * 160, payload_type: int = 0, port: int | None = None) -> None:
        self.socket.sendto(self.packet(payload, payload_type), (to.address[0], port or to.address[1]))

    def send(self, to: Port, *packets: bytes) -> None:
        for packet in packets:
            self.socket.sendto(packet, to.address)

    def hear(self, limit_s: float = PATIENCE_S) -> Rtp:
        """The next packet, which must be sealed with our key."""
        self.socket.settimeout(limit_s)
        while True:
            data = self.socket.recv(2048)
            if not 192 <= data[1] <= 223:
                return Rtp.unpack(bytes(self.opening.unprotect(data)))

    def remote(self, **changes: object) -> Remote:
        return super().remote(secure=True, **changes)


def session(suite: Suite, key: bytes, direction: int) -> Session:
    policy = Policy(key=key, ssrc_type=direction, srtp_profile=SUITES[suite][0])
    policy.window_size = 1_024
    return Session(policy)


def opens(phone: SecureTelephone, data: bytes) -> bool:
    """It was sealed with the key that the telephone has now."""
    try:
        phone.opening.unprotect(data)
    except pylibsrtp.Error:
        return False
    return True
