"""Trunks: who may call, from where, and as whom.

A trunk is a carrier, a PBX or a network of phones: the addresses its requests come from, and, where it has a realm,
the users that must prove themselves by digest. A source that no trunk allows gets no answer at all. Decides only;
the user agent acts.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from offhook.sip.digest import ALGORITHMS
from offhook.sip.offeranswer import LocalMedia, Srtp
from offhook.sip.transaction import Flow

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


ANSWERED = ("OPUS", "PCMU", "PCMA")
"""What an answer takes, by the caller's own order of preference."""
OFFERED = ("PCMU", "PCMA")
"""What telephones are offered: what every one of them has. Opus is there for whoever offers it."""
OFFERED_TO_BROWSERS = ("OPUS", "PCMU", "PCMA")


@dataclass(frozen=True, slots=True)
class Terms:
    """What calls with somebody are made of."""

    srtp: Srtp = Srtp.OFFERED
    codecs: tuple[str, ...] | None = None
    """Of `sdp.CODECS`, best first, for both ways; the above where None."""
    web: bool = False
    """They come by WebSocket: browsers, as a rule."""

    def answer(self, address: str, port: int) -> LocalMedia:
        """What to answer with, for a port that listens there."""
        return LocalMedia(address, port, self.codecs or ANSWERED, srtp=self.srtp)

    def offer(self, address: str, port: int) -> LocalMedia:
        """What to offer."""
        usual = OFFERED_TO_BROWSERS if self.web else OFFERED
        return LocalMedia(address, port, self.codecs or usual, srtp=self.srtp)


@dataclass(frozen=True, slots=True)
class Trunk:
    """One of them. `sources` are addresses or networks ("192.0.2.10", "10.0.0.0/8"); a user's value is its
    password. The most specific network decides where several trunks allow a source; the first named where equal."""

    name: str
    sources: tuple[str, ...]
    realm: str | None = None
    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    max_calls: int | None = None
    srtp: Srtp = Srtp.OFFERED
    codecs: tuple[str, ...] | None = None
    digest: tuple[str, ...] = tuple(ALGORITHMS)
    """The algorithms that users may prove themselves by, best first."""

    def terms(self, flow: Flow) -> Terms:
        """What calls over `flow` are made of."""
        return Terms(self.srtp, self.codecs, flow.web)


class Trunks:
    """All trunks, searched by source address."""

    def __init__(self, trunks: Iterable[Trunk]) -> None:
        """Raises ValueError, naming the trunk, where a source is neither an address nor a network."""
        self._networks: list[tuple[Network, Trunk]] = []
        for trunk in trunks:
            for source in trunk.sources:
                try:
                    network = ipaddress.ip_network(source, strict=False)
                except ValueError:
                    raise ValueError(
                        f"trunk {trunk.name!r}: {source!r} is no address or network; write 192.0.2.10 or 192.0.2.0/24"
                    ) from None
                self._networks.append((network, trunk))
        self._networks.sort(key=lambda pair: -pair[0].prefixlen)
        self._seen: OrderedDict[str, Trunk | None] = OrderedDict()

    def of(self, address: str) -> Trunk | None:
        """The trunk that allows `address`, None where none does."""
        if address in self._seen:
            return self._seen[address]
        trunk = self._search(address)
        self._seen[address] = trunk
        if len(self._seen) > 4096:  # forged sources must not fill the memory
            self._seen.popitem(last=False)
        return trunk

    def _search(self, address: str) -> Trunk | None:
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return None
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        for network, trunk in self._networks:
            if parsed.version == network.version and parsed in network:
                return trunk
        return None


class TokenBuckets:
    """Messages a second a source may send, before a byte of them is read. A bucket holds `burst`, refills at
    `rate_hz`; at most `sources` are remembered, the longest silent forgotten first."""

    def __init__(self, rate_hz: float, burst: float, sources: int = 10_000) -> None:
        self._rate_hz = rate_hz
        self._burst = burst
        self._sources = sources
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, source: str, now: float) -> bool:
        """Whether `source` may have one more message at `now` (seconds)."""
        level, since = self._buckets.pop(source, (self._burst, now))
        level = min(self._burst, level + (now - since) * self._rate_hz)
        allowed = level >= 1.0
        self._buckets[source] = (level - 1.0 if allowed else level, now)
        if len(self._buckets) > self._sources:
            self._buckets.popitem(last=False)
        return allowed
