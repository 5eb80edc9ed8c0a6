"""What matters in a caller's words for an agent's facts: numbers, dates, times, names, yes and no, negations, "
"repairs.

`gist` is a pure rule over normalised words (see `written`). It drops everything else, so that what remains is short
enough to be generated while the caller is still drawing breath; and it keeps what `offhook.agents.facts` and
`offhook.agents.answers` would find in the whole. It looks only at what stands in the words: a name is known by how it
is announced or by being in `people`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection
from functools import lru_cache

from models.duplex.data.people import ALSO_WORDS, NAMES
from offhook.agents.answers import PHRASES
from offhook.agents.dates import MONTHS, WEEKDAYS
from offhook.agents.numbers import FILLERS, HOMOPHONES

_UNITS = frozenset(
    "am pm o'clock dollar dollars buck bucks cent cents pound pounds pence quid euro euros percent franc francs "
    "hundred thousand million half quarter dozen day days week weeks fortnight month months year years hour hours "
    "minute minutes night nights people persons adults adult children rooms room guests times".split()
)
"""Kept behind a number."""
_SPANS = frozenset("day days week weeks fortnight month months year years night weekend".split())
_MOMENTS = frozenset("today tomorrow yesterday tonight noon midnight midday".split())
_MONTHS = frozenset((*MONTHS, *"jan feb apr jun jul aug sep sept oct nov dec".split()))
_PARTS = frozenset("morning afternoon evening".split())
_ORDINAL = re.compile(
    r"(?:(?:twenty|thirty) )?(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth)|tenth|eleventh|twelfth|"
    r"(?:thir|four|fif|six|seven|eigh|nine)teenth|twentieth|thirtieth"
)
_REPAIRS = (
    "no nope not sorry i_said i_meant i_mean actually wrong correction rather scratch_that make_that instead "
    "my_mistake hang_on should_be incorrect isn't isnt wasn't instead_of rather_than change_it change_that"
).split()
_PLACES = (
    "at_the_end in_the_end at_the_start at_the_beginning at_the_front the_last the_first last_digit last_one "
    "last_two "
    "last_three ends_in ends_with ending_in starts_with begins_with starting_with last_number first_digit"
).split()
_WEAK = frozenset(
    "it is|i do|i would|i did|i am|it was|right|good|great|fine|ok|okay|alright|all right|please|true|do it|do that|"
    "go on|go ahead|sure|thats it|that is it|indeed|perfect|never|nothing|cancel|stop|false|it is not|that works|"
    "looks good|why not|certainly|by all means|leave it|know what|i guess so|i think so|i believe so|not now|"
    "not today|thats all|that is all|thats everything|im good|i am good|please do".split("|")
)
"""Yes and no only at the beginning of a turn or where little else is said."""
_ECHOES = frozenset(("it is", "i do", "i would", "i did", "i am", "it was", "true", "do that", "do it", "go on"))
"""Yes only where little else is said."""
_LIGHT = frozenset(
    "um uh er well so oh ah the a an it i that this is to my me you thanks thank then just and hi hello now we he "
    "one very much do be for there here that's it's i'm its thats im".split()
)
_BEFORE_ONE = frozenset(("", "just", "only", "for", "or", "and", "maybe", "is", "it's", "not", "said", "no", "yes"))
_IDIOMS = re.compile(r"\b(?:if you don't mind|i don't mind|don't worry|first of all|good to go|no problem with)\b")
"""Phrases whose words are no answer."""
_GREETED = frozenset("morning afternoon evening day night bye".split())
_JOINTS = frozenset(
    "at to and or until till from past minus plus point dash slash o'clock by before after between".split()
)
_ANNOUNCED = re.compile(
    r"\b(?:(?:my |the |our |his |her |last |first |sur)?name(?: on (?:it|the \w+))? is(?: under)?|\w*name's|call me|"
    r"under the name(?: of)?|(?:last|first) name)\s(?!is\b)"
)
_POINTED = re.compile(r"\b(?:this is|it's|it is|that's|i'm|i am|under|for|speaking to|called)\s")
_NOT_NAMES = frozenset(
    "the a an and is it my name yes no uh um er please thanks thank you for calling here speaking that with i "
    "am about "
    "from in at of on to so well okay ok sure just looking wondering not sorry what where when how spelled wrong "
    "missing different correct under".split()
)


def gist(words: str, phrases: Collection[str] = ()) -> str:
    """The words of `words` that matter, in their order; '' where none do. `phrases`: texts that are kept besides, as
    the names that a choice's options go by."""
    words = _IDIOMS.sub(lambda match: " ".join("_" * len(match[0].split())), words)
    said = words.split()
    values = (_values(said) | _letters(said) | _names(words, said)) - _examples(said)
    for phrase in phrases:
        values |= _places(said, phrase.split())
    kept = values | _answers(said)
    if values:
        for phrase in (*_REPAIRS, *_PLACES):
            kept |= _places(said, phrase.split("_"))
    kept |= {
        i for i in range(1, len(said) - 1) if said[i] in _JOINTS and {i - 1, i + 1} <= values and not _letter(said[i])
    }
    kept |= _separators(said, kept)
    return " ".join(said[i] for i in sorted(kept))


def _values(said: list[str]) -> set[int]:
    """Numbers with their units, dates, times, ordinals."""
    kept: set[int] = set()
    for i, word in enumerate(said):
        before = said[i - 1] if i else ""
        after = said[i + 1] if i + 1 < len(said) else ""
        digits = any(c.isdigit() for c in word)
        ordinal = _ordinal(said, i)
        if (
            digits
            or ordinal
            or (word in _MONTHS and (word != "may" or _day_beside(said, i)))
            or word.removesuffix("s") in WEEKDAYS
            or word in _MOMENTS
        ):
            kept.add(i)
        elif word in _UNITS and i - 1 in kept and any(c.isdigit() for c in before):
            kept.add(i)
        elif word in _PARTS and before != "good":
            kept.add(i)
        elif (
            word == "one" and before in _BEFORE_ONE and after in ("", "please", "or", "and", "thanks", "only", "maybe")
        ):
            kept.add(i)
        elif word in ("next", "last", "this", "coming") and (
            after in WEEKDAYS or after in _SPANS or after in _MONTHS or after in _PARTS
        ):
            kept |= {i, i + 1}
        elif (
            word in _SPANS
            and before in ("a", "one", "of")
            and (after in ("ago", "from") or "in" in said[max(0, i - 4) : i])
        ):
            start = i - 1 if before != "of" else max(0, i - 3)
            kept |= set(range(max(0, start - (said[start - 1] == "in" if start else 0)), i + 1))
        if digits and before == "in" and after in _SPANS:
            kept.add(i - 1)
        if word in ("ago", "from") and i - 1 in kept and before in _SPANS:
            kept.add(i)
        if word in ("half", "quarter") and after in ("past", "to"):
            kept |= {i, i + 1}
        if word in ("tomorrow", "yesterday") and said[max(0, i - 2) : i] in (["day", "after"], ["day", "before"]):
            kept |= {i - 2, i - 1}
        if word == "couple" and before == "a":
            kept |= {i - 1, i}
        if word == "dozen":
            kept.add(i)
    return {i for i in kept if i < len(said)}


def _ordinal(said: list[str], i: int) -> bool:
    """Whether the word at `i` is (part of) an ordinal that may be a day, and not `a second` or `the first time`."""
    word, after = said[i], said[i + 1] if i + 1 < len(said) else ""
    if word in ("twenty", "thirty"):
        return bool(after and _ORDINAL.fullmatch(after))
    if not _ORDINAL.fullmatch(word):
        return False
    before = said[i - 1] if i else ""
    if word == "second" and (before in ("a", "one", "1", "per", "just", "every") or after in ("please", "hand")):
        return False
    return after not in ("time", "place", "name", "class", "thing", "floor", "hand")


def _day_beside(said: list[str], i: int) -> bool:
    near = said[max(0, i - 2) : i] + said[i + 1 : i + 3]
    return any(any(c.isdigit() for c in word) or _ORDINAL.fullmatch(word) for word in near)


def _letter(word: str) -> bool:
    return len(word) == 1 and word.isalpha()


def _letters(said: list[str]) -> set[int]:
    """Letters spelled out: two or more together, each followed by `as in sugar` or not, or one beside a number."""
    kept: set[int] = set()
    spelled = [i for i, word in enumerate(said) if _letter(word)]
    for i in spelled:
        near = said[max(0, i - 1) : i] + said[i + 1 : i + 2]
        if said[i] not in ("a", "i", "o") and any(c.isdigit() for word in near for c in word):
            kept.add(i)
        following = {i + 1, i + 3, i + 4}  # `s m`, `s for sugar m`, `s as in sugar m`
        told = i + 3 in spelled and said[i + 1] in ("for", "like")
        told = told or (i + 4 in spelled and said[i + 1 : i + 3] == ["as", "in"])
        if (i + 1 in spelled and not {said[i], said[i + 1]} <= {"a", "i", "o"}) or told:
            kept |= {i} | (following & set(spelled))
    return kept


def _examples(said: list[str]) -> set[int]:
    """The words that stand for a letter: `sugar` in `s as in sugar`, `s for sugar`."""
    led = {i + 3 for i in range(len(said) - 3) if _letter(said[i]) and said[i + 1 : i + 3] == ["as", "in"]}
    led |= {
        i + 2 for i in range(len(said) - 2) if _letter(said[i]) and said[i + 1] in ("for", "like") and said[i] != "i"
    }
    return {i for i in led if said[i].isalpha()}


def _names(words: str, said: list[str]) -> set[int]:
    """Names, and the words that announce them."""
    kept: set[int] = set()
    starts = [0]
    for word in said:
        starts.append(starts[-1] + len(word) + 1)
    for match in _ANNOUNCED.finditer(words + " "):
        first = next((i for i, at in enumerate(starts[:-1]) if at >= match.end()), len(said))
        last = first
        while last < len(said) and last < first + 4 and said[last] not in _NOT_NAMES and not said[last][0].isdigit():
            last += 1
        if last > first and not _letter(said[first]):
            intro = [i for i, at in enumerate(starts[:-1]) if match.start() <= at < match.end()]
            kept |= set(intro[-2:]) | set(range(first, last))
    sure = {i for i, word in enumerate(said) if _bare(word) in NAMES and _bare(word) not in ALSO_WORDS}
    spare = [i for i, word in enumerate(said) if word not in _LIGHT and word not in _NOT_NAMES]
    if len(spare) <= 2:  # hardly anything but a name
        sure |= {i for i in spare if _bare(said[i]) in NAMES and said[i] not in _MONTHS}
    for i in range(len(said)):
        beside = i - 1 in sure or i + 1 in sure
        if i in sure or (_bare(said[i]) in NAMES and beside and said[i] not in _MONTHS):
            kept.add(i)
    for match in _POINTED.finditer(words + " "):  # both names are words, too: `under bob fleming`
        first = next((i for i, at in enumerate(starts[:-1]) if at >= match.end()), len(said))
        if len(said) > first + 1 and {_bare(word) for word in said[first : first + 2]} <= NAMES:
            kept |= {first, first + 1}
    for match in _POINTED.finditer(words + " "):
        first = next((i for i, at in enumerate(starts[:-1]) if at >= match.end()), len(said))
        if first in kept and not said[first][0].isdigit() and match[0].strip() not in ("for", "speaking to", "that's"):
            kept |= {i for i, at in enumerate(starts[:-1]) if match.start() <= at < match.end()}
    return kept


def _bare(word: str) -> str:
    return word.replace("'", "")


@lru_cache(maxsize=1)
def _by_length() -> tuple[tuple[int, frozenset[tuple[str, ...]]], ...]:
    phrases = [tuple(phrase.replace("-", " ").split()) for phrase in PHRASES]
    longest = max(map(len, phrases))
    return tuple((n, frozenset(p for p in phrases if len(p) == n)) for n in range(longest, 0, -1))


def _answers(said: list[str]) -> set[int]:
    """Yes and no in all their words; the weak ones only where the turn begins with them or says little else."""
    bare = [_bare(word) for word in said]
    found: list[tuple[int, int]] = []
    i = 0
    while i < len(bare):
        n = next((n for n, phrases in _by_length() if tuple(bare[i : i + n]) in phrases), 0)
        if n:
            found.append((i, i + n))
        i += max(n, 1)
    covered = {at for start, end in found for at in range(start, end)}
    rest = [word for at, word in enumerate(said) if at not in covered and word not in _LIGHT]
    begun = next((at for at, word in enumerate(said) if at not in covered and word not in FILLERS), len(said))
    kept: set[int] = set()
    for start, end in found:
        phrase = " ".join(bare[start:end])
        greeting = phrase == "good" and end < len(said) and said[end] in _GREETED
        early = start < begun and phrase not in _ECHOES
        if not greeting and (phrase not in _WEAK or len(rest) <= 1 or early):
            kept |= set(range(start, end))
    polite = {start for start, end in found if said[start:end] == ["please"]}
    if len(kept) > len(polite) or rest:
        kept -= polite
    return kept


def _places(said: list[str], phrase: list[str]) -> set[int]:
    n = len(phrase)
    if not n:
        return set()
    return {i + j for i in range(len(said) - n + 1) if said[i : i + n] == phrase for j in range(n)}


def _separators(said: list[str], kept: set[int]) -> set[int]:
    """A word between two numbers that would run together without the words that stood between them."""
    out: set[int] = set()
    order = sorted(kept)
    for left, right in itertools.pairwise(order):
        between = range(left + 1, right)
        if not between:
            continue
        if said[left] in ("not", "isn't", "wasn't", "don't") and right - left > 2 and said[right][:1].isdigit():
            out.add(left + 1)  # what is not so is something else than the number
        if said[left][-1:].isdigit() and said[right][:1].isdigit():
            words = [i for i in between if said[i] not in FILLERS]
            plain = [i for i in words if said[i] not in HOMOPHONES and said[i] not in _LIGHT]
            if words:
                out.add((plain or words)[-1])
    return out
