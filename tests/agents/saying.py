"""Saying digits as people do, for tests: every usual style as words, from a string of digits."""

from __future__ import annotations

from collections.abc import Iterator

UNITS = "zero one two three four five six seven eight nine".split()
TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()
HOMOPHONES = {"for": "4", "to": "2", "too": "2", "ate": "8", "won": "1"}


def below_hundred(value: int, joint: str = " ") -> str:
    if value < 10:
        return UNITS[value]
    if value < 20:
        return TEENS[value - 10]
    return TENS[value // 10] + (joint + UNITS[value % 10] if value % 10 else "")


def below_thousand(value: int, joined: bool = False) -> str:
    if value < 100:
        return below_hundred(value)
    rest = value % 100
    return f"{UNITS[value // 100]} hundred" + (f"{' and' if joined else ''} {below_hundred(rest)}" if rest else "")


def one_by_one(digits: str) -> str:
    return " ".join(UNITS[int(d)] for d in digits)


def with_oh(digits: str) -> str:
    return one_by_one(digits).replace("zero", "oh")


def with_doubles(digits: str) -> str:
    out, i = [], 0
    while i < len(digits):
        run = len(digits[i:]) - len(digits[i:].lstrip(digits[i]))
        run = min(run, 3)
        out.append({1: "", 2: "double ", 3: "triple "}[run] + UNITS[int(digits[i])])
        i += run
    return " ".join(out)


def in_pairs(digits: str, joint: str = "-") -> str:
    """`41 72` as forty-one seventy-two; `05` as oh five; an odd last digit alone."""
    out = []
    for i in range(0, len(digits), 2):
        pair = digits[i : i + 2]
        if len(pair) == 1:
            out.append(UNITS[int(pair)])
        elif pair[0] == "0":
            out.append(f"oh {UNITS[int(pair[1])]}")
        else:
            out.append(below_hundred(int(pair), joint))
    return " ".join(out)


def styles(digits: str) -> Iterator[tuple[str, str]]:
    """Every style that can say `digits`, by name."""
    yield "one by one", one_by_one(digits)
    yield "oh", with_oh(digits)
    yield "commas", ", ".join(one_by_one(digits).split())
    yield "doubles", with_doubles(digits)
    yield "pairs", in_pairs(digits)
    yield "pairs without hyphens", in_pairs(digits, " ")
    yield "numeral", digits
    yield "spaced", " ".join(digits)
    yield "hyphens", "-".join(digits)
    yield "numeral pairs", " ".join(digits[i : i + 2] for i in range(0, len(digits), 2))
    yield "hesitating", one_by_one(digits).replace(" ", " uh ", 1)
    yield "in a sentence", f"it's {one_by_one(digits)} please"
    yield (
        "homophones",
        " ".join(
            {"4": "for", "2": "to", "8": "ate", "1": "won"}.get(d, UNITS[int(d)]) if 0 < i < 3 else UNITS[int(d)]
            for i, d in enumerate(digits)
        ),
    )
    if len(digits) == 4 and digits[0] != "0":
        value = int(digits)
        high, low = divmod(value, 1000)
        yield "cardinal", f"{UNITS[high]} thousand" + (f" {below_thousand(low)}" if low else "")
        yield (
            "cardinal with and",
            f"{UNITS[high]} thousand" + (f" {'and ' if low < 100 else ''}{below_thousand(low, True)}" if low else ""),
        )
        if digits[1] != "0":
            rest = value % 100
            yield "hundreds", f"{below_hundred(value // 100)} hundred" + (f" {below_hundred(rest)}" if rest else "")
