"""Answers to the questions an agent asks: numbers, dates, times, amounts, names, yes and no; corrections of them.

Each sort has its questions and the sentences that answer them; `answer` draws one. Nothing here knows an agent's file.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from models.duplex.data import numbers_said
from models.duplex.data.draft import Draft, shared_out
from models.duplex.data.grammar import Fill, expand
from models.duplex.data.people import names_of


@dataclass(frozen=True, slots=True)
class Sort:
    """A sort of question, the patterns that answer it, and how often it is drawn."""

    asks: tuple[str, ...]
    says: tuple[str, ...]
    weight: float


_NUMBERS = (
    "{digits}",
    "it's / {digits}",
    "it is {digits}[ please]",
    "that's {digits}",
    "[my|the] {kind_of_number} is / {digits}",
    "{digits}, {digits}",
    "[okay|yes|sure|right], {digits}",
    "(let me see|one moment|hold on|wait), / [it's|I have it here, it's] {digits}",
    "um / {digits}",
    "I think it's / {digits}",
    "it says {digits} [here|on the (letter|email|box|receipt|screen)]",
    "here it is, / {digits}",
    "[the number is|the {kind_of_number} I have is] {digits}[, is that right]",
    "yes it's {digits}, thank you",
    "so that would be / {digits}",
    "it should be {digits}",
    "number {digits}",
    "[it's] {kind_of_number} {digits}",
    "well / {digits}",
    "it starts with {two} / and then {two}",
    "I've got {digits} here",
    "the (one|number) I was given is {digits}",
    "ok so / {digits}",
    "{digits}, did you get that",
    "{digits} / that's it",
    "that's [going to be] {digits}[ I believe]",
    "yeah, {digits}",
    "[oh] I found it, / {digits}",
    "my {kind_of_number}, / let me look, / {digits}",
    "try {digits}",
    "can you try {digits}",
    "ready? / {digits}",
    "it's the one ending in {two}",
    "it ends in {two}",
    "that {kind_of_number} is {digits}, I hope",
    "{digits} I think",
)
_CORRECTIONS = (
    "no, I said {digits}",
    "no, not {digits}, I meant {digits}",
    "no, it's {digits}",
    "sorry, {digits}",
    "I meant {digits}",
    "no / {digits}",
    "{digits}, no wait, / {digits}",
    "{digits}, sorry, {digits}",
    "that's wrong, it's {digits}",
    "actually it's {digits}",
    "not {one}, {one}",
    "no, {one} at the end",
    "no, I said {one}",
    "the last (digit|one|number) is {one}",
    "it should be {digits}",
    "no, {two} at the end",
    "the first (digit|one) is {one}, not {one}",
    "it's {digits}, not {digits}",
    "no no, {digits}",
    "{digits}, I mean {digits}",
    "no sorry / it's {digits}",
    "scratch that, it's {digits}",
    "hang on, / that was wrong, / {digits}",
    "not {digits} but {digits}",
    "you got that wrong, it's {digits}",
    "almost, it's {digits}",
    "my mistake, {digits}",
    "no it ends in {two}",
    "it starts with {two}, not {two}",
    "wait, I read it wrong, / {digits}",
    "{one}, not {one}",
)
_DATES = (
    "{date}",
    "[on] {date}[ please]",
    "it was {date}",
    "maybe {date}",
    "how about {date}",
    "for {date}",
    "{date} would be (great|good|best|fine)",
    "{date} if (possible|you can)",
    "I think it was {date}",
    "(it happened|I noticed it|I bought it|it came) {date}",
    "{date} at {time}",
    "{date}, {time}",
    "could I (come|have it|do it) {date}",
    "let me think, / {date}",
    "um / {date}",
    "sometime {date}",
    "do you have anything {date}",
    "{date} or {date}",
    "not {date}, {date}",
    "no, {date}",
    "actually, / make that {date}",
    "{date} in the (morning|afternoon|evening)",
    "any time {date}",
    "the earliest would be {date}",
    "we arrive {date}",
    "from {date}",
    "{date} works for me",
    "what about {date}",
    "I can do {date}",
    "{date} / no sorry, {date}",
    "(let's say|say) {date}",
    "my birthday is {date}",
    "I was born on {birth}",
    "{birth}",
    "that would be {date}",
    "until {date}",
    "it has to be {date}",
    "could you do {date}",
)
_TIMES = (
    "{time}",
    "at {time}",
    "[around|about|before|after] {time}",
    "{time} please",
    "{time} would be (perfect|great|good|fine)",
    "say / {time}",
    "can we do {time}",
    "between {time} and {time}",
    "no later than {time}",
    "{time} or {time}",
    "I'd prefer {time}",
    "how about {time}",
    "is {time} possible",
    "{time} if that's okay",
    "um / {time}",
    "any time after {time}",
    "no, {time}",
    "{date} at {time}",
    "from {time} on",
    "as early as possible, {time}",
    "I get off work at {time}",
    "make it {time}",
    "not {time}, {time}",
)
_AMOUNTS = (
    "{amount}",
    "it was {amount}",
    "[about|around|exactly|roughly] {amount}",
    "they charged me {amount}",
    "I paid {amount}",
    "it says {amount}",
    "the amount is / {amount}",
    "{amount} I think",
    "{amount}, not {amount}",
    "um / {amount}",
    "it should have been {amount}",
    "a little over {amount}",
    "the bill was {amount}",
    "I was billed {amount} on {date}",
    "no, it was {amount}",
    "{amount} in total",
    "they took {amount} out of my account",
    "up to {amount}",
    "I want to (send|transfer|pay) {amount}",
    "raise it to {amount}",
)
_COUNTS = (
    "{few}",
    "{few} please",
    "just {few}",
    "for {few} nights",
    "{few} nights",
    "{few} of us",
    "{few} adults and {few} children",
    "we are {few}",
    "I need {few} [of them]",
    "only {few}",
    "{few} or {few}",
    "maybe {few}",
    "{few} weeks",
    "it's {few} people",
    "{few} rooms",
    "two, / no, {few}",
    "let's say {few}",
    "a dozen",
    "a couple",
    "{few} [pieces|items|bags|boxes|tickets]",
)
_NAMES = (
    "[it's|this is] {full}",
    "my name is / {full}",
    "{full}",
    "{first}",
    "{last}",
    "the name is {full}",
    "(I'm|I am) {full}",
    "my name's {full}",
    "{last}, {first} {last}",
    "it's under {last}",
    "{full}, that's {spelled}",
    "{spelled}",
    "that's spelled {spelled}",
    "first name {first}, last name {last}",
    "yes, {full} here",
    "{full} speaking",
    "call me {first}",
    "[it's on|it's in] my (wife's|husband's) name, {full}",
    "the last name is {last}",
    "[um] / {full}",
    "(the booking|the account|it) is under {full}",
    "no, it's {last}",
    "{spelledas}",
    "you can call me {first}",
    "hi, this is {full} again",
    "{first} with a {letter}",
    "my surname is {last}, / {spelled}",
)
_CODES = (
    "{postcode}",
    "my (postcode|zip code) is / {postcode}",
    "it's {postcode}",
    "the (code|reference) is {postcode}",
    "um / {postcode}",
    "that would be {postcode}",
    "{postcode} I think",
    "no, {postcode}",
    "yes it's {postcode}",
    "the postcode here is {postcode}",
)
_YES = (
    "yes",
    "yeah",
    "yep",
    "yes please",
    "yes, that's (right|correct)",
    "correct",
    "that's right",
    "sure",
    "okay",
    "ok",
    "absolutely",
    "exactly",
    "yup",
    "uh-huh",
    "mm-hmm",
    "of course",
    "please do",
    "go ahead",
    "that is correct",
    "right",
    "definitely",
    "fine",
    "sounds good",
    "yes it is",
    "yes I do",
    "I do",
    "yes, do it",
    "sure, why not",
    "I think so",
    "perfect",
    "that works",
    "yes, go ahead please",
    "yes thank you",
    "alright",
    "yes yes",
    "I would, yes",
    "yeah that's fine",
    "um / yes",
    "well yes",
    "yes / of course",
    "certainly",
    "yeah sure",
    "you got it",
    "indeed",
    "please",
    "yes I did",
    "that's it",
    "yeah, that's the one",
    "I believe so",
    "good",
    "great",
    "yes, {digits} is right",
    "of course yes",
)
_NO = (
    "no",
    "nope",
    "no thanks",
    "no thank you",
    "not really",
    "no, that's wrong",
    "no that's not right",
    "no that's all",
    "nah",
    "never mind",
    "no I don't",
    "I don't think so",
    "not now",
    "not today",
    "no, that's it",
    "no, I'm good",
    "that's not (right|correct)",
    "that's incorrect",
    "no, leave it",
    "nothing else",
    "no, nothing",
    "no, it isn't",
    "no way",
    "absolutely not",
    "no, sorry",
    "um / no",
    "well no",
    "not quite",
    "no, don't",
    "definitely not",
    "no, cancel that",
    "no, that is everything, thank you",
    "negative",
    "no, forget it",
    "no I didn't",
    "wrong",
    "I'm not",
    "no, don't do that",
    "I'd rather not",
    "no no no",
    "that isn't it",
    "not yet",
    "no, that will be all",
    "I wouldn't",
    "I don't know",
    "I'm not sure",
    "maybe",
    "I have no idea",
    "I can't remember",
    "not sure",
    "hmm, I don't really know",
)

SORTS: Mapping[str, Sort] = {
    "digits": Sort(
        (
            "What's your order number?",
            "Which order is it? The number, please.",
            "Please tell me the four digits.",
            "What is your account number?",
            "Can you give me your customer number?",
            "The last four digits of your card, please.",
            "What's the booking number?",
            "And your PIN?",
            "Could you tell me the reference?",
            "I have 4 1 so far. What comes next?",
            "What's the number on the letter?",
        ),
        _NUMBERS,
        3.0,
    ),
    "correction": Sort(
        (
            "Order 4 1 7 3, is that right?",
            "I can't find order 4 1 7 9.",
            "That's 5 5 0 1, correct?",
            "What should I change?",
            "Card ending in 8 2 0 1, is that right?",
        ),
        _CORRECTIONS,
        1.4,
    ),
    "phone": Sort(
        ("What's your phone number?", "Where can we reach you?", "Which number should we call?"),
        (
            "{phone}",
            "my number is / {phone}",
            "it's {phone}",
            "you can (reach|call) me (at|on) / {phone}",
            "call me back on {phone}",
            "{phone}, that's my cell",
            "the best number is {phone}",
            "area code {three} / {seven}",
            "sure, it's {phone}",
            "it's the number I'm calling from, {phone}",
        ),
        0.6,
    ),
    "card": Sort(
        ("What's the card number?", "Please read me the long number on the card."),
        (
            "{card}",
            "it's {card}",
            "the card number is / {card}",
            "okay, {card}",
            "um / {card}",
            "the long number is {card}",
        ),
        0.35,
    ),
    "date": Sort(
        (
            "Which day suits you?",
            "When would you like to come?",
            "What's your date of birth?",
            "When did that happen?",
            "When do you arrive?",
            "On what date?",
            "When was the payment?",
        ),
        _DATES,
        1.8,
    ),
    "time": Sort(
        ("What time would you like?", "Morning or afternoon?", "When is good for you?", "At what time?"), _TIMES, 1.2
    ),
    "amount": Sort(
        ("How much was it?", "What's the amount?", "How much would you like to send?", "What is the new limit?"),
        _AMOUNTS,
        1.0,
    ),
    "count": Sort(
        ("How many nights?", "For how many people?", "How many do you need?", "How many would you like?"), _COUNTS, 0.8
    ),
    "name": Sort(
        (
            "What's your name?",
            "May I have your name?",
            "Under what name?",
            "Who am I speaking to?",
            "Could you spell that?",
            "What's the last name?",
        ),
        _NAMES,
        1.9,
    ),
    "code": Sort(
        (
            "What's your postcode?",
            "And the zip code?",
            "What's the reference?",
            "Please tell me the confirmation code.",
        ),
        _CODES,
        0.6,
    ),
    "yes": Sort(
        (
            "Is that right?",
            "Order 4 1 7 3, is that right?",
            "Shall I go ahead?",
            "Would you like me to do that?",
            "Do you want to go on?",
            "Is there anything else?",
            "Shall I put you through?",
            "Should I block the card now?",
            "Are you sure?",
            "Did you make this payment?",
        ),
        _YES,
        1.6,
    ),
    "no": Sort(
        (
            "Is that right?",
            "Is there anything else?",
            "Anything else I can do for you?",
            "Shall I go ahead?",
            "Would you like me to do that?",
            "Is the card still with you?",
            "Do you have the number with you?",
        ),
        _NO,
        1.6,
    ),
}
_FREE = frozenset(("yes", "no"))
"""Sorts so common that every split hears all of them."""


def fills(split: str) -> dict[str, Fill]:
    """What fills the places of patterns, with the names that `split` may use."""
    first, last = names_of(split), names_of(split, last=True)

    def name(rng: random.Random) -> str:
        return rng.choice(first).capitalize()

    def surname(rng: random.Random) -> str:
        return rng.choice(last).capitalize()

    def spelled(rng: random.Random) -> str:
        return numbers_said.letters(rng.choice(rng.choice((first, last))))

    def spelled_as(rng: random.Random) -> str:
        word = rng.choice(rng.choice((first, last)))[:5]
        return ", ".join(f"{c.upper()} {rng.choice(('as in', 'for', 'like'))} {_ALPHABET[ord(c) - 97]}" for c in word)

    return {
        "digits": _digits,
        "one": lambda rng: _of_length(rng, 1),
        "two": lambda rng: _of_length(rng, rng.choice((2, 2, 3))),
        "three": lambda rng: _of_length(rng, 3),
        "seven": lambda rng: _of_length(rng, 7),
        "four": lambda rng: _of_length(rng, 4),
        "phone": numbers_said.phone,
        "card": numbers_said.card,
        "postcode": numbers_said.postcode,
        "amount": numbers_said.amount,
        "few": lambda rng: numbers_said.count(rng, 1, rng.choice((4, 9, 30))),
        "many": lambda rng: numbers_said.count(rng, 10, 999),
        "date": numbers_said.date,
        "time": numbers_said.time,
        "birth": numbers_said.birth,
        "first": name,
        "last": surname,
        "full": lambda rng: f"{name(rng)} {surname(rng)}",
        "spelled": spelled,
        "spelledas": spelled_as,
        "letter": lambda rng: numbers_said.letters(rng.choice("abcdefghjkmnpqrstuvwxyz")),
        "kind_of_number": lambda rng: rng.choice(_NUMBERED),
    }


_NUMBERED = (
    "order number",
    "account number",
    "customer number",
    "reference",
    "reference number",
    "booking number",
    "number",
    "case number",
    "tracking number",
    "policy number",
    "confirmation number",
    "invoice number",
    "PIN",
    "ticket number",
    "membership number",
    "code",
)
_ALPHABET = (
    "apple bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mother november orange papa queen "
    "romeo sugar tango "
    "umbrella victor water xray yellow zebra"
).split()


def _digits(rng: random.Random) -> str:
    return _of_length(rng, rng.choice((3, 4, 4, 4, 4, 4, 5, 5, 6, 6, 7, 8, 8, 9, 10, 12)))


def _of_length(rng: random.Random, length: int) -> str:
    return numbers_said.digits(rng, "".join(rng.choices("0123456789", k=length)))


def answer(rng: random.Random, split: str, places: Mapping[str, Fill], sort: str = "") -> Draft:
    """One answer, of `sort` or of any."""
    sort = sort or rng.choices(list(SORTS), [one.weight for one in SORTS.values()])[0]
    known = SORTS[sort]
    pattern = rng.choice(known.says if sort in _FREE else shared_out(known.says, split))
    text = expand(pattern, rng, places)
    if not text.strip(" ,/"):
        text = "yes"
    return Draft(text, "answer", f"answer {sort}: {pattern}", rng.choice(known.asks), dress=False)
