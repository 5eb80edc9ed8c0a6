"""Keys in INFO bodies: application/dtmf-relay and application/dtmf, which no RFC defines and every phone speaks."""

from __future__ import annotations

KEYS = "0123456789*#ABCD"
_NUMBERED = {str(number): key for number, key in enumerate(KEYS)}
"""Some phones send the event number (10 for *, 11 for #) as RFC 4733 has it."""

DEFAULT_MS = 160


def read_digits(content_type: str, body: bytes) -> tuple[str, int] | None:
    """The keys and the duration of one press in ms; None where the body is of another kind or holds no key."""
    text = body[:256].decode("ascii", "replace").strip()
    if content_type == "application/dtmf":
        keys = text.upper()
        known = keys if keys and all(key in KEYS for key in keys) else ""
        return (known, DEFAULT_MS) if known else None
    if content_type != "application/dtmf-relay":
        return None
    fields: dict[str, str] = {}
    for line in text.splitlines():
        name, _, value = line.partition("=")
        fields.setdefault(name.strip().lower(), value.strip())
    signal = fields.get("signal", "").upper()
    key = signal if len(signal) == 1 and signal in KEYS else _NUMBERED.get(signal)
    duration = fields.get("duration", "")
    length_ms = int(duration) if duration.isascii() and duration.isdigit() and len(duration) < 6 else DEFAULT_MS
    return (key, length_ms) if key is not None else None


def write_digit(digit: str, duration_ms: int) -> bytes:
    """An application/dtmf-relay body. Raises ValueError where `digit` is no key."""
    if len(digit) != 1 or digit.upper() not in KEYS:
        raise ValueError(f"{digit!r} is not a key; the keys are {KEYS}")
    return f"Signal={digit.upper()}\r\nDuration={duration_ms}\r\n".encode()
