"""Words to Gemma's tokens and back, in plain Python, over its whole vocabulary or the part of it that is kept.

SentencePiece's byte-pair encoding: a text's characters are joined pair by pair, always the pair whose joint token has
the highest score, until no pair makes a token (Kudo and Richardson 2018, arXiv 1808.06226). Every text begins with a
blank; a blank is `▁`; what no token covers becomes its UTF-8 bytes' tokens, or nothing where those are not kept.
Does not normalise text: what comes in is lower case, with digits and single blanks, already.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

BLANK = "▁"
EOS = 1
"""The end of a text in Gemma's own numbering; row 0 of any vocabulary kept."""
_NORMAL, _BYTE = 1, 6
_BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>\Z")
_LONGEST_WORD = 64
_CACHED = 50_000


class Tokenizer:
    """Encodes and decodes over one list of tokens. Safe to share between threads."""

    def __init__(self, tokens: Sequence[str], scores: Sequence[float], types: Sequence[int]) -> None:
        """The three lists of `gemma.vocabulary`, or those rows of them that are kept (see `kept`).

        Raises ValueError where they are not of one length."""
        if not len(tokens) == len(scores) == len(types):
            raise ValueError(
                f"a vocabulary of {len(tokens)} tokens, {len(scores)} scores and {len(types)} types does not fit"
            )
        self.tokens = tuple(tokens)
        self._scores = tuple(scores)
        self._types = tuple(types)
        self._ids = {token: i for i, token in enumerate(tokens) if types[i] == _NORMAL}
        self._bytes = {
            int(found[1], 16): i
            for i, token in enumerate(tokens)
            if types[i] == _BYTE and (found := _BYTE_TOKEN.match(token))
        }
        self._byte_of = {i: byte for byte, i in self._bytes.items()}
        self._words: dict[str, tuple[int, ...]] = {}

    def __len__(self) -> int:
        return len(self.tokens)

    def encode(self, text: str) -> list[int]:
        """The tokens of `text`, a blank put before it; no begin and no end token. An empty text has none."""
        return [token for word in text.split() for token in self._word(word)]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`; control tokens say nothing, bytes that are no UTF-8 become U+FFFD."""
        out = bytearray()
        for i in ids:
            if i in self._byte_of:
                out.append(self._byte_of[i])
            elif 0 <= i < len(self.tokens) and self._types[i] == _NORMAL:
                out += self.tokens[i].replace(BLANK, " ").encode()
        return out.decode("utf-8", "replace").strip()

    def needed(self, texts: Iterable[str]) -> set[int]:
        """Every token that encoding `texts` goes through, those joined further on too: a vocabulary that keeps them
        encodes these texts exactly as this one does."""
        seen: set[int] = set()
        for word in {word for text in texts for word in text.split()}:
            self._join(BLANK + word[:_LONGEST_WORD], seen)
        return seen

    def kept(self, ids: Sequence[int]) -> Tokenizer:
        """The tokenizer of a vocabulary of these rows only; its ids are indices into `ids`."""
        return Tokenizer([self.tokens[i] for i in ids], [self._scores[i] for i in ids], [self._types[i] for i in ids])

    def beginning(self, text: str) -> list[int]:
        """The tokens that begin with `text` after their blank, if they have one: to allow or to forbid."""
        return [i for i, token in enumerate(self.tokens) if token.removeprefix(BLANK).startswith(text)]

    def _word(self, word: str) -> tuple[int, ...]:
        known = self._words.get(word)
        if known is None:
            parts = [BLANK + word[:_LONGEST_WORD]]
            parts += [word[at : at + _LONGEST_WORD] for at in range(_LONGEST_WORD, len(word), _LONGEST_WORD)]
            known = tuple(token for part in parts for token in self._join(part, None))
            if len(self._words) < _CACHED:
                self._words[word] = known
        return known

    def _join(self, word: str, seen: set[int] | None) -> list[int]:
        """The tokens of one word; every token made on the way is added to `seen`."""
        pieces = list(word)
        if seen is not None:
            seen.update(self._ids[piece] for piece in pieces if piece in self._ids)
        while len(pieces) > 1:
            best, at = None, -1
            for i in range(len(pieces) - 1):
                joined = self._ids.get(pieces[i] + pieces[i + 1])
                if joined is not None and (best is None or self._scores[joined] > self._scores[best]):
                    best, at = joined, i
            if best is None:
                break
            if seen is not None:
                seen.add(best)
            pieces[at : at + 2] = [pieces[at] + pieces[at + 1]]
        out: list[int] = []
        for piece in pieces:
            if piece in self._ids:
                out.append(self._ids[piece])
            else:
                out += [self._bytes[byte] for byte in piece.encode("utf-8", "replace") if byte in self._bytes]
        return out
