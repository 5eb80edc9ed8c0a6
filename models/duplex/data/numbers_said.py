"""Numbers, dates, times and amounts as people say them aloud, each beside the way it is written down.

Everything here gives a *marked* text, `<four one / seven three~4173>`: what is spoken, a tilde, what is written. A
slash is a place where a speaker may stop to think. `texts` takes the marks apart. Random only through the generator
that is handed in.
"""

from __future__ import annotations

import random

UNITS = "zero one two three four five six seven eight nine".split()
TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()
ORDINALS = (
    "_ first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
).split()
MONTHS = "January February March April May June July August September October November December".split()
WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()


def marked(spoken: str, written: str) -> str:
    """A stretch of speech with the way it is written down."""
    return f"<{spoken}~{written}>"


def cardinal(value: int, joined: bool = False) -> str:
    """`value` (0 to 999,999,999) in words; `joined` with the British `and`."""
    if value < 20:
        return UNITS[value] if value < 10 else TEENS[value - 10]
    if value < 100:
        return TENS[value // 10] + (f" {UNITS[value % 10]}" if value % 10 else "")
    for size, name in ((1_000_000, "million"), (1000, "thousand"), (100, "hundred")):
        if value >= size:
            rest = value % size
            joint = " and " if joined and rest and (size == 100 or rest < 100) else " "
            return f"{cardinal(value // size, joined)} {name}" + (f"{joint}{cardinal(rest, joined)}" if rest else "")
    raise ValueError(f"{value} is no number that can be said")


def ordinal(value: int) -> str:
    """`value` (1 to 99) as `third`, `twenty first`."""
    if value < len(ORDINALS):
        return ORDINALS[value]
    if value % 10 == 0:
        return TENS[value // 10][:-1] + "ieth"
    return f"{TENS[value // 10]} {ORDINALS[value % 10]}"


def digits(rng: random.Random, number: str) -> str:
    """A string of digits in one of the ways people tell it, possibly in groups."""
    style = rng.random()
    if len(number) == 4 and number[0] != "0" and style < 0.30:
        return marked(_four(rng, number), number)
    if len(number) % 2 == 0 and style < 0.36 and len(number) <= 10:
        return marked(_grouped(rng, [pair(rng, number[i : i + 2]) for i in range(0, len(number), 2)], 2), number)
    if style < 0.50:
        return marked(_grouped(rng, _with_doubles(rng, number), 3), number)
    zero = rng.choice(("zero", "oh", "oh"))
    single = [zero if digit == "0" else UNITS[int(digit)] for digit in number]
    return marked(_grouped(rng, single, rng.choice((2, 3, 4, 4))), number)


def _four(rng: random.Random, number: str) -> str:
    if rng.random() < 0.5:
        return f"{pair(rng, number[:2])}{rng.choice((' ', ' ', ' / '))}{pair(rng, number[2:])}"
    if number[1] != "0" and rng.random() < 0.3:
        rest = int(number[2:])
        joint = rng.choice((" ", " and "))
        return f"{cardinal(int(number[:2]))} hundred" + (f"{joint}{cardinal(rest)}" if rest else "")
    return cardinal(int(number), joined=rng.random() < 0.5)


def pair(rng: random.Random, two: str) -> str:
    """Two digits said together: `forty one`, `oh five`, `double zero`, `one oh`."""
    if two[0] == "0":
        return f"{rng.choice(('oh', 'zero'))} {UNITS[int(two[1])]}" if two[1] != "0" else "double zero"
    return cardinal(int(two))


def _with_doubles(rng: random.Random, number: str) -> list[str]:
    out = []
    at = 0
    while at < len(number):
        same = min(len(number[at:]) - len(number[at:].lstrip(number[at])), 3)
        word = rng.choice(("zero", "oh")) if number[at] == "0" else UNITS[int(number[at])]
        out.append(f"{('', 'double ', 'triple ')[same - 1]}{word}")
        at += same
    return out


def _grouped(rng: random.Random, said: list[str], size: int) -> str:
    """The parts of a number in groups of `size`; between groups the speaker may stop."""
    joint = rng.choice((" ", " ", ", ", " / ", ", / "))
    groups = [" ".join(said[i : i + size]) for i in range(0, len(said), size)]
    text = joint.join(groups)
    if len(said) > 2 and rng.random() < 0.06:
        text = text.replace(" ", f" {rng.choice(('uh', 'um', 'er'))} ", 1)
    return text


def count(rng: random.Random, least: int, most: int) -> str:
    """A number of things."""
    value = rng.randint(least, most)
    return marked(cardinal(value, joined=rng.random() < 0.4), str(value))


def amount(rng: random.Random, most: int = 2000) -> str:
    """An amount of money."""
    whole = rng.choice((rng.randint(1, 40), rng.randint(1, 200), 5 * rng.randint(1, 60), 100 * rng.randint(1, 20)))
    cents = rng.choice((0, 0, 50, 99, 95, 25, 75, rng.randint(1, 99)))
    unit = rng.choice(("dollars", "dollars", "dollars", "pounds", "euros"))
    return said_amount(rng, min(whole, most), cents, unit)


def said_amount(rng: random.Random, whole: int, cents: int, unit: str) -> str:
    """`whole` dollars, pounds or euros (`unit`) and `cents`, in one of the ways they are said."""
    said = cardinal(whole, joined=rng.random() < 0.4)
    one = unit[:-1] if whole == 1 else unit
    if unit == "dollars":
        written = f"${whole}.{cents:02d}" if cents else f"${whole}"
    else:
        written = f"{whole} {one} {cents}" if cents else f"{whole} {one}"
    if not cents:
        return marked(f"{said} {one}", written)
    small = cardinal(cents)
    coins = {"dollars": "cents", "pounds": "pence", "euros": "cents"}[unit]
    if unit == "dollars" and rng.random() < 0.5:
        return marked(f"{said} {one} and {small} {coins if cents > 1 else coins[:-1]}", written)
    return marked(f"{said} {one} {small}", written)


def date(rng: random.Random) -> str:
    """A day: by date, by weekday, or so many days from now."""
    kind = rng.random()
    if kind < 0.42:
        return _calendar(rng)
    if kind < 0.72:
        before = rng.choice(("", "", "", "next ", "this ", "last ", "next "))
        return f"{before}{rng.choice(WEEKDAYS)}"
    if kind < 0.86:
        return rng.choice(("today", "tomorrow", "yesterday", "the day after tomorrow", "tomorrow", "today"))
    value = rng.randint(2, 9)
    number = marked(cardinal(value), str(value))
    return rng.choice(
        (
            f"in {number} days",
            f"in {number} weeks",
            f"{number} days ago",
            f"{number} weeks ago",
            "in a week",
            "a week ago",
        )
    )


def _calendar(rng: random.Random) -> str:
    month, day = rng.choice(MONTHS), rng.randint(1, 28)
    style = rng.random()
    if style < 0.35:
        text = f"the {ordinal(day)} of {month}"
    elif style < 0.7:
        text = f"{month} {rng.choice(('', 'the '))}{ordinal(day)}"
    elif style < 0.85:
        text = f"{month} {marked(cardinal(day), str(day))}"
    else:
        return f"the {ordinal(day)}"
    if rng.random() < 0.15:
        year = rng.choice((2024, 2025, 2026, 2027))
        text += f" {marked(f'twenty {cardinal(year - 2000)}', str(year))}"
    return text


def birth(rng: random.Random) -> str:
    """A date of birth, with its year."""
    year = rng.randint(1935, 2015)
    month, day = rng.choice(MONTHS), rng.randint(1, 28)
    if year < 2000:
        said = f"nineteen {cardinal(year - 1900)}"
    else:
        said = f"two thousand {cardinal(year - 2000)}".removesuffix(" zero")
    said = marked(said, str(year))
    return rng.choice(
        (f"the {ordinal(day)} of {month} {said}", f"{month} {ordinal(day)}, {said}", f"{month} {ordinal(day)}, {said}")
    )


def time(rng: random.Random) -> str:
    """A time of day."""
    hour, minute = rng.randint(1, 12), rng.choice((0, 0, 0, 15, 30, 30, 45, 10, 20, 5, 40))
    style = rng.random()
    number = marked(cardinal(hour), str(hour))
    if minute == 0 and style > 0.6:
        when = rng.choice(("in the morning", "in the afternoon", "in the evening"))
        return rng.choice((f"{number} {when}", "noon", number, f"{number} o'clock", f"{number} o'clock"))
    if minute in (15, 30, 45) and style < 0.35:
        return f"{ {15: 'quarter past', 30: 'half past', 45: 'quarter to'}[minute] } {number}"
    return said_time(rng, hour, minute, rng.choice(("a", "p", "p", "")))


def said_time(rng: random.Random, hour: int, minute: int, half: str | None) -> str:
    """A time by the clock; `half`: `a` for am, `p` for pm, nothing for neither."""
    spoken = cardinal(hour)
    if minute:
        spoken += f" {cardinal(minute)}" if minute >= 10 else f" oh {cardinal(minute)}"
    written = f"{hour}:{minute:02d}" if minute else str(hour)
    if half:
        return marked(f"{spoken} {half.upper()} M", f"{written} {half.lower()}m")
    return marked(spoken if minute else rng.choice((spoken, f"{spoken} o'clock")), written)


def letters(word: str) -> str:
    """`word` spelled, a letter at a time: `A N N A`, written `a n n a`."""
    return marked(", ".join(word.upper()), " ".join(word.lower()))


def phone(rng: random.Random) -> str:
    """A telephone number in its groups."""
    groups = rng.choice(((3, 3, 4), (3, 3, 4), (4, 3, 4), (5, 6), (3, 4), (2, 3, 3, 3)))
    parts = ["".join(rng.choices("0123456789", k=size)) for size in groups]
    return _in_parts(rng, parts)


def card(rng: random.Random) -> str:
    """A card number: four times four digits."""
    return _in_parts(rng, ["".join(rng.choices("0123456789", k=4)) for _ in range(4)])


def _in_parts(rng: random.Random, parts: list[str]) -> str:
    zero = rng.choice(("zero", "oh"))
    joint = rng.choice((" / ", ", / ", ", ", " "))
    said = [" ".join(zero if d == "0" else UNITS[int(d)] for d in part) for part in parts]
    if rng.random() < 0.3:
        said = [" ".join(_with_doubles(rng, part)) for part in parts]
    return marked(joint.join(said), "".join(parts))


def postcode(rng: random.Random) -> str:
    """A British or American postcode, or a short code of letters and digits."""
    kind = rng.random()
    if kind < 0.4:
        return digits(rng, "".join(rng.choices("0123456789", k=5)))
    if kind < 0.75:
        area = rng.choice("AB BS CB E EH G L LS M N NW SE SW W WC B CF EX GL OX RG YO".split())
        first, rest = str(rng.randint(1, 9)), [str(rng.randint(1, 9)), *rng.choices("ABDEFGHJLNPQRSTUWXYZ", k=2)]
        code = [*area, first, *rest]
    else:
        code = [*rng.choices("ABCDEFGHJKLMNPQRSTUVWXYZ", k=2), *rng.choices("0123456789", k=rng.choice((3, 4)))]
    joint = rng.choice((" ", " ", ", "))
    spoken = joint.join(cardinal(int(c)) if c.isdecimal() else c for c in code)
    text = ""
    for before, c in zip(["", *code], code, strict=False):
        text += c if before.isdecimal() and c.isdecimal() else f" {c.lower()}"
    return marked(spoken, text.strip())
