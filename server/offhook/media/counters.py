"""What the media core counts, as plain figures. The fields stand in the order in which the core hands them over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class PortCounters:
    """One port since it opened."""

    packets_in: int
    """RTP packets taken from the far end (audio, digits, comfort noise)."""
    bytes_in: int
    """Their bytes as they came, RTP headers and SRTP tags included."""
    packets_out: int
    bytes_out: int
    late: int
    """Packets that came after their place had been concealed; still put into the caller's track."""
    lost: int
    """Packets that were due and had not come when their gap was concealed."""
    duplicate: int
    reordered: int
    concealed_ms: float
    """Made up behind gaps."""
    missing_ms: float
    """Filled because no packets came at all; not the caller's silence."""
    bad: int
    """Packets that are not RTP, not of a negotiated payload type, or more than a telephone sends (a flood)."""
    wrong_source: int
    """Packets from an address that is not the far end's; dropped."""
    wrong_ssrc: int
    """Packets of another stream than the one that is locked on; dropped."""
    send_errors: int
    jitter_ms: float
    """Interarrival jitter (RFC 3550 6.4.1)."""
    rtt_ms: float
    """Round trip from the far end's latest RTCP report; 0.0 where it sent none."""
    remote_lost_fraction: float
    """0..1, what the far end's latest RTCP report says it lost of ours."""
    record_dropped_ms: float
    """Of the tracks, what never reached the disk because it was too slow."""
    unauthentic: int
    """SRTP and SRTCP packets that were not sealed with the key, or plain where that is not allowed; dropped before
    anything is believed of them."""
    replayed: int
    """SRTP and SRTCP packets that were seen before, or are too old to tell; dropped."""
    handed_up: int
    """Datagrams handed up to the ICE and DTLS agents."""
    handed_up_dropped: int
    """Likewise, but dropped: more than these agents need (a flood), or nobody took them."""
    rtcp_in: int
    """RTCP packets read."""
    rtcp_dropped: int
    """RTCP packets dropped unread, because more came than a telephone sends."""
    mos_lq: float
    """Listening quality of all that was heard, 1 to 4.5 by the E-model (ITU-T G.107); 0.0 where nothing was."""
    mos_cq: float
    """Conversational quality of it, the delay counted; 0.0 where no round trip is known."""
    waited_ms: float
    """Sum over the packets of how long each waited behind a gap before it was heard: divided by `packets_in`, the delay
    that listening adds."""
    bridged_ms: float
    """Given to others of a bridge or room, through the adaptive playout buffer; silence counts."""
    bridged_concealed_ms: float
    """Of that: made up for packets that were not there."""
    bridged_delay_ms: float
    """How long a packet's sound waited in that buffer, on average; 0.0 where nothing was bridged."""


@dataclass(frozen=True, slots=True)
class CoreCounters:
    """The whole core since it started."""

    ports: int
    """Ports open now."""
    packets_in: int
    packets_out: int
    pacing_p50_us: float
    """How late packets left, measured on the clock when each was sent; upper bound of the bucket (about 6 % wide)."""
    pacing_p99_us: float
    pacing_max_us: float
    ticks_overrun: int
    """Ticks of ports that were more than 60 ms late, for which no packet was sent."""
    kernel_drops: int
    """Datagrams the kernel dropped because a socket's buffer was full (SO_RXQ_OVFL)."""
    disk_drops: int
    """Blocks of tracks dropped because the disk was too slow."""
    events_dropped: int
    """Events dropped because nobody read them."""
    amiss: int
    """Faults of the program itself that the core found and mended, in this process: to be reported to its makers."""
    amiss_where: str
    """The last of them: file, line, what was found; empty where there was none."""


def together(threads: Sequence[CoreCounters]) -> CoreCounters:
    """Several threads' as one: sums, and of the pacing that of the worst; what is the process's is told by each."""
    if len(threads) == 1:
        return threads[0]
    figures = {
        each.name: (max if each.name.startswith(("pacing", "amiss")) else sum)(
            getattr(thread, each.name) for thread in threads
        )
        for each in fields(CoreCounters)
    }
    return CoreCounters(**figures)
