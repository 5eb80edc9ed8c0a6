"""Writes the fuzz targets' seeds: inputs that are whole, or wrong in one way that has a name. Run after a change here:

python native/fuzz/corpus/write.py

Each file is one input; what it is, its name says. Fuzzing starts from these and changes them.
"""

from __future__ import annotations

import struct
from pathlib import Path

HERE = Path(__file__).resolve().parent


def rtp(
    first: int = 0x80, second: int = 0, seq: int = 1, ts: int = 160, ssrc: int = 7, rest: bytes = b"\xff" * 20
) -> bytes:
    return struct.pack("!BBHII", first, second, seq, ts, ssrc) + rest


def rtcp(kind: int, body: bytes, count: int = 0, flags: int = 0x80, words: int | None = None) -> bytes:
    return struct.pack("!BBH", flags | count, kind, len(body) // 4 if words is None else words) + body


def block(ssrc: int = 9, lost: int = 3, fraction: int = 64) -> bytes:
    return struct.pack("!IIIIII", ssrc, fraction << 24 | lost & 0xFFFFFF, 0x10005, 12, 0x11112222, 65536)


def xr(*blocks: bytes, ssrc: int = 5) -> bytes:
    return rtcp(207, struct.pack("!I", ssrc) + b"".join(blocks))


SSRC = struct.pack("!I", 5)
SENDER = SSRC + struct.pack("!QIII", 0x123456789ABCDEF0, 160, 3, 480)
SDES = rtcp(202, SSRC + b"\x01\x05quiet\0", 1)
BYE = rtcp(203, SSRC + b"\x08call end\0\0\0", 1)
REFERENCE = struct.pack("!BBHQ", 4, 0, 2, 0x0102030405060708)
DLRR = struct.pack("!BBHIIIIII", 5, 0, 6, 1, 0x11112222, 65536, 2, 0, 0)
VOIP = struct.pack("!BBHIBBBB", 7, 0, 8, 9, 20, 3, 128, 2) + struct.pack(
    "!HHHHbbBBBBBBBBHHH", 340, 12000, 80, 60, -20, -70, 55, 16, 88, 127, 42, 41, 128, 0, 20, 40, 40
)

RTP = {
    "ulaw_20_ms": rtp(rest=b"\xff" * 160),
    "alaw_marker": rtp(second=0x88, rest=b"\xd5" * 80),
    "no_payload": rtp(rest=b""),
    "padding": rtp(first=0xA0, rest=b"\xff" * 8 + b"\0\0\0\x04"),
    "padding_of_all": rtp(first=0xA0, rest=b"\0\0\0\x04"),
    "padding_of_none": rtp(first=0xA0, rest=b"\0\0\0\0"),
    "padding_too_long": rtp(first=0xA0, rest=b"\xff" * 3 + b"\xff"),
    "sources_two": rtp(first=0x82, rest=b"\0\0\0\1\0\0\0\2" + b"\xff" * 8),
    "sources_missing": rtp(first=0x8F, rest=b"\0\0\0\1"),
    "extension": rtp(first=0x90, rest=b"\xbe\xde\0\1\x10\x55\0\0" + b"\xff" * 8),
    "extension_empty": rtp(first=0x90, rest=b"\xbe\xde\0\0" + b"\xff" * 8),
    "extension_too_long": rtp(first=0x90, rest=b"\xbe\xde\xff\xff" + b"\xff" * 8),
    "all_at_once": rtp(first=0xB1, second=0x80, rest=b"\0\0\0\2\xbe\xde\0\1\1\2\3\4\5\1"),
    "telephone_event": rtp(second=0xE5, rest=b"\x05\x8a\x03\x20"),
    "comfort_noise": rtp(second=13, rest=b"\x40"),
    "rtcp_multiplexed": rtcp(200, SENDER),
    "version_1": rtp(first=0x40),
    "stun": b"\0\1\0\0\x21\x12\xa4\x42" + b"\0" * 12,
    "dtls": b"\x16\xfe\xfd\0\0\0\0\0\0\0\0\0\x10" + b"\0" * 16,
    "header_cut": rtp()[:11],
    "longest": rtp(rest=b"\x55" * 1488),
}

RTCP = {
    "sr_sdes": rtcp(200, SENDER + block(), 1) + SDES,
    "rr_sdes_bye": rtcp(201, SSRC + block(lost=-2), 1) + SDES + BYE,
    "rr_empty": rtcp(201, SSRC),
    "rr_31_blocks": rtcp(201, SSRC + block() * 31, 31),
    "rr_blocks_missing": rtcp(201, SSRC + block(), 2),
    "sr_cut": rtcp(200, SENDER)[:20],
    "bye_nobody": rtcp(203, b""),
    "bye_many": rtcp(201, SSRC) + rtcp(203, SSRC * 31, 31),
    "bye_reason_too_long": rtcp(201, SSRC) + rtcp(203, SSRC + b"\xffno\0", 1),
    "sdes_without_end": rtcp(201, SSRC) + rtcp(202, SSRC + b"\x01\x02ab", 1),
    "sdes_two_chunks": rtcp(201, SSRC) + rtcp(202, SSRC + b"\x01\x01a\0" + b"\0\0\0\6\x02\x01b\0", 2),
    "xr_reference": rtcp(201, SSRC) + SDES + xr(REFERENCE),
    "xr_dlrr": rtcp(201, SSRC) + SDES + xr(DLRR),
    "xr_voip": rtcp(201, SSRC) + SDES + xr(VOIP),
    "xr_all": rtcp(200, SENDER + block(), 1) + SDES + xr(REFERENCE, DLRR, VOIP) + BYE,
    "xr_many_voip": rtcp(201, SSRC) + xr(*[VOIP] * 6),
    "xr_unknown_block": rtcp(201, SSRC) + xr(b"\x63\0\0\1abcd", REFERENCE),
    "xr_block_too_long": rtcp(201, SSRC) + xr(b"\x07\0\xff\xff" + b"\0" * 32),
    "xr_voip_too_short": rtcp(201, SSRC) + xr(b"\x07\0\0\1abcd"),
    "xr_of_another": rtcp(201, SSRC) + xr(REFERENCE, ssrc=6),
    "reduced_xr": xr(REFERENCE),
    "reduced_nack": rtcp(205, SSRC + b"\0\0\0\x09\0\1\0\5", 1),
    "reduced_pli_bye": rtcp(206, SSRC + b"\0\0\0\x09", 1) + BYE,
    "remb": rtcp(201, SSRC) + rtcp(206, SSRC + b"\0\0\0\0REMB\1\0\xc8\0\0\0\0\x09", 15),
    "transport_cc_padded": rtcp(205, SSRC + b"\0\0\0\x09\0\1\0\3\1\2\3\4\x20\3\0\2", 15, 0xA0),
    "padding_amid": rtcp(201, SSRC + b"\0\0\0\4", flags=0xA0) + SDES,
    "padding_last": rtcp(201, SSRC) + rtcp(203, SSRC + b"\0\0\0\4", 1, 0xA0),
    "length_lies": rtcp(201, SSRC, words=99),
    "application_defined": rtcp(201, SSRC) + rtcp(204, SSRC + b"name" + b"data"),
}


def steps(*parts: tuple[int, int, int, int] | list[tuple[int, int, int, int]]) -> bytes:
    """A script of fuzz_listen.c: what, and three numbers; the last is milliseconds that pass before it."""
    flat: list[tuple[int, int, int, int]] = []
    for part in parts:
        flat += part if isinstance(part, list) else [part]
    return b"".join(bytes(step) for step in flat)


PACKET = (9, 0, 0, 20)
LISTEN = {
    "on_time": steps([PACKET] * 60),
    "one_lost": steps([PACKET] * 20, (7, 1, 0, 20), [PACKET] * 20),
    "seven_lost": steps([PACKET] * 20, (7, 7, 0, 20), [PACKET] * 20),
    "out_of_order": steps([PACKET] * 10, [(1, 2, 0, 20), (1, 1, 0, 0), PACKET] * 10),
    "again_and_again": steps([PACKET] * 10, [(1, 255, 0, 0)] * 20),
    "stall": steps([PACKET] * 10, [(8, 200, 0, 0)] * 5, [PACKET] * 20),
    "burst_after_stall": steps([PACKET] * 10, (8, 250, 0, 0), [(9, 0, 0, 0)] * 14, [PACKET] * 10),
    "comfort_noise": steps([PACKET] * 10, (3, 1, 0, 20), [(8, 100, 0, 0)] * 10, (5, 32, 0, 20), [PACKET] * 5),
    "key_pressed": steps([PACKET] * 10, [(4, 4, 5, 20)] * 8, [PACKET] * 10),
    "another_source": steps([PACKET] * 10, (6, 2, 0, 20), [PACKET] * 10),
    "timestamp_jumps": steps([PACKET] * 10, (5, 127, 255, 20), [PACKET] * 5, (5, 128, 0, 20), [PACKET] * 5),
    "from_anywhere": steps([(2, n, n * 7 % 256, 20) for n in range(60)]),
    "lengths": steps([(0, n % 4, n * 37 % 256, 20) for n in range(60)]),
    "nothing": b"",
}

VOIP_ROWS = {
    "all_come": bytes([6, 255] * 4),
    "bursts": bytes([6, 20, 0, 196, 0, 193, 6, 40] * 4),
    "lone_losses": bytes([6, 30, 0, 193] * 8),
    "long_hole": bytes([6, 40] + [0, 255] * 8 + [6, 40]),
    "out_of_order": bytes([6, 40] + [2, 3, 2, 40, 2, 130, 0, 0] * 8),
    "late": bytes([6, 40] + [0, 195, 2, 129, 2, 130, 6, 20] * 5),
    "from_anywhere": bytes(part for n in range(30) for part in (3, n * 9 % 256)),
    "another_source": bytes([6, 40, 4, 2, 6, 40, 4, 1, 6, 40]),
    "looked_at_amid_a_burst": bytes([6, 20, 0, 200, 5, 0, 0, 200, 5, 0, 6, 60]),
}


def datagrams(*parts: tuple[int, int, bytes]) -> bytes:
    """A script of fuzz_demux.c: what each does (SELECT or not) and from which address, tenths of ms, bytes."""
    return b"".join(bytes([who | len(data) << 4, tenths]) + data for who, tenths, data in parts)


SELECT, FAR, OTHER = 0x80, 0b0101, 0b1010
MEDIA, REPORT = b"\x80\0\0\1\0\0\0", b"\x80\xc8\0\1\0\0\0"
STUN, DTLS, NEITHER = b"\0\1\0\0", b"\x16\xfe\xfd\0", b"\x50\0\0\0"

DEMUX = {
    "media_from_the_selected": datagrams((SELECT | FAR, 1, b""), *[(FAR, 200, MEDIA)] * 20),
    "media_from_another": datagrams((SELECT | FAR, 1, b""), *[(OTHER, 200, MEDIA)] * 20),
    "media_before_any_is_selected": datagrams(*[(FAR, 200, MEDIA)] * 10, (SELECT | FAR, 1, b""), (FAR, 200, MEDIA)),
    "reports": datagrams((SELECT | FAR, 1, b""), *[(FAR, 200, REPORT)] * 10),
    "stun_flood": datagrams(*[(OTHER, 0, STUN)] * 100),
    "stun_at_a_telephones_pace": datagrams(*[(FAR, 255, STUN)] * 40),
    "dtls_flood": datagrams((SELECT | FAR, 1, b""), *[(FAR, 0, DTLS)] * 100),
    "dtls_from_another": datagrams((SELECT | FAR, 1, b""), *[(OTHER, 50, DTLS)] * 10),
    "selected_anew_with_stragglers": datagrams(
        (SELECT | FAR, 1, b""),
        (FAR, 200, MEDIA),
        (SELECT | OTHER, 1, b""),
        *[(FAR, 100, MEDIA), (OTHER, 100, MEDIA)] * 10,
    ),
    "nobody_is_selected_any_more": datagrams(
        (SELECT | FAR, 1, b""), (FAR, 200, MEDIA), (SELECT, 1, b""), (FAR, 1, MEDIA)
    ),
    "neither": datagrams((SELECT | FAR, 1, b""), *[(FAR, 10, NEITHER)] * 10, (FAR, 10, b"")),
}

SRTP = {
    **{f"plain_rtp_suite_{suite}": bytes([suite]) + rtp(rest=b"\xff" * 40) for suite in range(4)},
    **{
        f"plain_rtcp_suite_{suite}": bytes([suite]) + rtcp(200, SENDER) + b"\x80\0\0\1" + b"\0" * 10
        for suite in range(4)
    },
    **{f"untouched_suite_{suite}": bytes([suite, 0, 1, 2, 3]) for suite in range(4)},
    **{f"keys_changed_to_suite_{suite}": bytes([suite << 4 | 4, 255, 255, 2, 3, 20, 1]) for suite in range(4)},
    "one_bit_of_the_tag": bytes([0, 0, 1, 2, 3, 61, 1]),
    "one_bit_of_the_header": bytes([0, 0, 1, 2, 3, 1, 128]),
    "sequence_number_of_another": bytes([2, 0, 1, 2, 3, 2, 255, 3, 255]),
}

CORPORA = {"rtp": RTP, "rtcp": RTCP, "listen": LISTEN, "voip": VOIP_ROWS, "demux": DEMUX, "srtp": SRTP}


def main() -> None:
    for name, seeds in CORPORA.items():
        folder = HERE / name
        folder.mkdir(exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        for seed, data in seeds.items():
            (folder / seed).write_bytes(data)


if __name__ == "__main__":
    main()
