"""Inputs that are near to being right: seeds, changed a little or a lot, the same way for the same dice."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

NUMBERS = [b"0", b"-1", b"1", b"65535", b"65536", b"2147483648", b"4294967295", b"99999999999", b"9" * 40, b"1e9", b""]
PIECES = [
    *(b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b";", b",", b"=", b"/", b"|", b'"', b"\\", b"<", b">", b"%", b"@"),
    *(b"[", b"]", b"{", b"}", b"\x00", b"\x7f", b"\xff\xfe", b"\xc3\x28", b"\xed\xa0\x80", b"\xe2\x80\xa8"),
    *(b"\\u0000", b"\\ud800", b"null", b"true", b"[]", b"{}", b"::1%x", b"0.0.0.0", b"255.255.255.255", b"\xc2\xa0"),
]  # fmt: skip
SHORT, LONG_ONES = 1_000, 0.05
"""Bytes that an input is longer than its seed at most, but for this share of them."""
_DIGITS = re.compile(rb"[0-9]+")
_WORDS = re.compile(rb"[^\s:;,=/\"<>]+")


class Mutator:
    """Makes inputs of others. `pieces`: what the grammar under test is made of."""

    def __init__(self, dice: random.Random, pieces: Sequence[bytes] = (), longest: int = 4096) -> None:
        self._dice = dice
        self._pieces = [*PIECES, *pieces, *pieces]
        self._longest = longest
        self._changes: list[Callable[[bytearray, bytes], None]] = [
            self._flip,
            self._overwrite,
            self._insert,
            self._insert,
            self._delete,
            self._repeat,
            self._renumber,
            self._swap_words,
            self._splice,
            self._line_away,
            self._line_again,
            self._stretch,
        ]

    def mutated(self, seed: bytes, other: bytes) -> bytes:
        """`seed` with one to some changes, some of which take from `other`."""
        data = bytearray(seed)
        for _ in range(1 + min(int(self._dice.expovariate(0.5)), 12)):
            self._dice.choice(self._changes)(data, other)
        # Long ones take as much time as many short ones, and say no more.
        longest = self._longest if self._dice.random() < LONG_ONES else len(seed) + SHORT
        return bytes(data[: min(longest, self._longest)])

    def _at(self, data: bytearray) -> int:
        return self._dice.randrange(len(data) + 1)

    def _span(self, data: bytearray) -> tuple[int, int]:
        start = self._at(data)
        return start, min(len(data), start + 1 + int(self._dice.expovariate(0.05)))

    def _flip(self, data: bytearray, other: bytes) -> None:
        if data:
            data[self._dice.randrange(len(data))] ^= 1 << self._dice.randrange(8)

    def _overwrite(self, data: bytearray, other: bytes) -> None:
        start, end = self._span(data)
        data[start:end] = self._dice.randbytes(end - start)

    def _insert(self, data: bytearray, other: bytes) -> None:
        at = self._at(data)
        data[at:at] = self._dice.choice(self._pieces)

    def _delete(self, data: bytearray, other: bytes) -> None:
        start, end = self._span(data)
        del data[start:end]

    def _repeat(self, data: bytearray, other: bytes) -> None:
        start, end = self._span(data)
        data[start:start] = data[start:end] * self._dice.choice((1, 1, 2, 8, 70))

    def _renumber(self, data: bytearray, other: bytes) -> None:
        found = list(_DIGITS.finditer(data))
        if found:
            one = self._dice.choice(found)
            data[one.start() : one.end()] = self._dice.choice(NUMBERS)

    def _swap_words(self, data: bytearray, other: bytes) -> None:
        ours, theirs = list(_WORDS.finditer(data)), _WORDS.findall(other)
        if ours and theirs:
            one = self._dice.choice(ours)
            data[one.start() : one.end()] = self._dice.choice(theirs)

    def _splice(self, data: bytearray, other: bytes) -> None:
        start, end = self._span(bytearray(other))
        at = self._at(data)
        data[at : at + self._dice.choice((0, end - start))] = other[start:end]

    def _line_away(self, data: bytearray, other: bytes) -> None:
        lines = data.splitlines(keepends=True)
        if lines:
            del lines[self._dice.randrange(len(lines))]
            data[:] = b"".join(lines)

    def _line_again(self, data: bytearray, other: bytes) -> None:
        lines = data.splitlines(keepends=True)
        if lines:
            line = self._dice.choice(lines)
            at = self._dice.randrange(len(lines) + 1)
            lines[at:at] = [line] * self._dice.choice((1, 1, 3, 20, 400))
            data[:] = b"".join(lines)

    def _stretch(self, data: bytearray, other: bytes) -> None:
        at = self._at(data)
        data[at:at] = self._dice.choice(self._pieces) * self._dice.choice((10, 100, 3000))
