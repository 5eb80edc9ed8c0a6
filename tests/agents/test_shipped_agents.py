"""The AI agents that ship besides the order desk: their files are clean, and whole conversations with each end well."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

import pytest

from offhook.agents.job import Agent
from offhook.agents.rehearsal import Rehearsal
from offhook.agents.schema import load_agent
from offhook.agents.tools import Toolbox
from offhook.speech.contract import Achieve
from tests.agents.conftest import Rehearse

DIALPLANS = Path(__file__).resolve().parents[2] / "dialplans"
NAMES = ("bank-cards", "clinic", "hotel")


@dataclass(frozen=True, slots=True)
class Talk:
    """What a caller says, turn by turn, and what each answer has to contain; and what has come of it in the end."""

    agent: str
    turns: tuple[tuple[str, str], ...]
    outcomes: tuple[str, ...] = ()
    exit: str | None = None


def working_day(away: int) -> str:
    """The `away`th working day from tomorrow on, as a caller may say it."""
    day = datetime.date.today()
    while away:
        day += datetime.timedelta(1)
        away -= day.weekday() < 5
    return f"{day:%B} {day.day}"


TALKS = {
    "a lost card is blocked only after a yes": Talk(
        "bank-cards",
        (
            ("hello, I lost my card", "last four digits"),
            ("eight two zero one", "Block the card ending in 8 2 0 1 for good, is that right?"),
            ("yes please", "is blocked. A new one is on its way"),
            ("no thanks", "Thank you for calling Harbour Bank"),
        ),
        ("card-blocked",),
        "resolved",
    ),
    "a no keeps the card": Talk(
        "bank-cards",
        (("please block my card", "last four"), ("1156", "is that right?"), ("no", "What should I change?")),
    ),
    "a card that is unknown": Talk(
        "bank-cards", (("my card was stolen", "last four"), ("0000", "Block the card"), ("yes", "I can't find a card"))
    ),
    "a charge is disputed with its amount and day": Talk(
        "bank-cards",
        (
            ("there is a charge I don't recognize", "last four digits"),
            ("four four one seven", "How much was charged?"),
            ("forty two dollars and fifty cents", "On which day was that?"),
            ("yesterday", "Dispute 42.50 dollars, charged yesterday to the card ending in 4 4 1 7, is that right?"),
            ("that's right", "Your dispute is open, number 7 0 0 1"),
        ),
        ("dispute-opened",),
    ),
    "a PIN goes only to whom the card belongs": Talk(
        "bank-cards",
        (
            ("I forgot my PIN", "last four digits"),
            ("9035", "date of birth"),
            ("march 3rd 1980", "That doesn't match what we have."),
            ("february eighth nineteen ninety two", "A new PIN for the card ending in 9 0 3 5"),
        ),
        ("pin-sent",),
    ),
    "a late card": Talk(
        "bank-cards",
        (("my new card hasn't arrived", "six digits"), ("three one zero one six zero", "I've ordered another one")),
        ("arrival-told",),
    ),
    "a limit beyond what the card may have": Talk(
        "bank-cards",
        (
            ("I want to raise my limit", "last four"),
            ("6348", "What should the new limit be"),
            ("three thousand dollars", "Set the limit of the card ending in 6 3 4 8 to 3000.00 dollars"),
            ("yes", "I can go up to 1000 dollars only"),
        ),
    ),
    "a swindle is for people": Talk("bank-cards", (("I think I've been scammed", "put you through"),), (), "human"),
    "an appointment, asked step by step": Talk(
        "clinic",
        (
            ("I need an appointment", "What name is it for?"),
            ("Anna Miller", "On which day"),
            (working_day(1), "in the morning, at midday, or in the afternoon?"),
            ("in the morning please", "An appointment for Anna Miller"),
            ("yes", "at 8 AM. Your appointment has the number 3 1 0 7"),
        ),
        ("appointment-booked",),
    ),
    "an appointment is moved": Talk(
        "clinic",
        (
            ("I have to move my appointment", "number of your appointment"),
            ("three one oh three", "Which day would suit you instead?"),
            (working_day(8), "Move appointment 3 1 0 3 to"),
            ("yes", "Your appointment is now"),
        ),
        ("appointment-moved",),
    ),
    "an appointment is cancelled and gone": Talk(
        "clinic",
        (
            ("I want to cancel my appointment", "number"),
            ("3105", "Cancel appointment 3 1 0 5, is that right?"),
            ("yes", "is cancelled"),
            ("when is my appointment", "I can't find appointment 3 1 0 5"),
        ),
        ("appointment-cancelled",),
    ),
    "a prescription that the doctor must see to": Talk(
        "clinic",
        (
            ("I need a new prescription", "patient number"),
            ("20688", "pharmacy"),
            ("I'll pick it up", "Repeat the prescription of patient 2 0 6 8 8"),
            ("yes", "the doctor has to see you first"),
        ),
    ),
    "a prescription for the pharmacy": Talk(
        "clinic",
        (
            ("my pills are finished", "patient number"),
            ("two oh five three three", "pharmacy"),
            ("send it to the pharmacy", "to be had at the pharmacy, is that right?"),
            ("yes please", "Your prescription will be ready"),
        ),
        ("prescription-ordered",),
    ),
    "an emergency is put through at once": Talk(
        "clinic", (("my chest hurts and I can't breathe", "call the emergency number"),), (), "human"
    ),
    "a room, asked step by step": Talk(
        "hotel",
        (
            ("I'd like to book a room", "When would you like to arrive?"),
            ("tomorrow", "For how many nights?"),
            ("two nights", "A single room, a double room, or a suite?"),
            ("a double please", "what name"),
            (
                "my name is Anna Miller",
                "That's a double room, arriving tomorrow, for 2 nights, under Anna Miller, is that right?",
            ),
            ("yes", "258 dollars in all. Your booking number is 5 1 2 6 2"),
        ),
        ("room-booked",),
    ),
    "a booking is changed and looked up": Talk(
        "hotel",
        (
            ("I need to change my booking", "booking number"),
            ("51203", "On which day will you arrive instead?"),
            ("in three weeks", "Change booking 5 1 2 0 3 to arrive"),
            ("yes", "Booking 5 1 2 0 3 is changed"),
            ("can you confirm my booking", "Booking 5 1 2 0 3 is a double room"),
        ),
        ("booking-changed", "booking-told"),
    ),
    "a booking is cancelled": Talk(
        "hotel",
        (
            ("please cancel my reservation", "five digits"),
            ("5 1 2 4 0", "is that right?"),
            ("yes", "costs you nothing"),
        ),
        ("booking-cancelled",),
    ),
    "what guests ask": Talk(
        "hotel",
        (
            ("is breakfast included", "half past six"),
            ("where can I park", "garage under the house"),
            ("when can I check in", "Check-in is from three"),
            ("can I bring my dog", "Small dogs are welcome"),
        ),
        ("breakfast-told", "parking-told", "arrival-told"),
    ),
    "a wedding is for people": Talk(
        "hotel", (("we're planning our wedding at your place", "put you through"),), (), "human"
    ),
}


@pytest.fixture(scope="module")
def agents() -> dict[str, Agent]:
    return {name: load_agent(DIALPLANS / name / "agent.yaml") for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_each_agent_has_enough_to_do_and_tools_that_load(name: str, agents: dict[str, Agent], tmp_path: Path) -> None:
    agent = agents[name]
    Toolbox(agent, tmp_path)
    assert 5 <= len(agent.skills) <= 8
    assert all(len(skill.examples) >= 5 for skill in agent.skills.values())


@pytest.mark.parametrize("talk", TALKS.values(), ids=TALKS.keys())
async def test_conversation(agents: dict[str, Agent], rehearse: Rehearse, talk: Talk) -> None:
    rehearsal: Rehearsal = rehearse(agents[talk.agent])
    await rehearsal.greet()
    for words, wanted in talk.turns:
        answer = await rehearsal.say(words)
        assert wanted in answer, f"to {words!r} the agent said {answer!r}"
    assert tuple(act.outcome for act in rehearsal.acts if isinstance(act, Achieve)) == talk.outcomes
    assert (rehearsal.finish.exit if rehearsal.finish else None) == talk.exit


@pytest.mark.parametrize(
    "said", ["4539148803438201", "it's 4539 1488 0343 8201", "four five three nine one four eight eight"]
)
async def test_the_bank_never_reads_more_of_a_card_number_aloud_than_four_digits(
    agents: dict[str, Agent], rehearse: Rehearse, said: str
) -> None:
    rehearsal: Rehearsal = rehearse(agents["bank-cards"])
    await rehearsal.say("I lost my card")
    answer = await rehearsal.say(said)
    assert "4 5 3 9" not in answer and "only the last four digits" in answer


async def test_nothing_is_blocked_before_the_caller_has_said_yes(
    agents: dict[str, Agent], rehearse: Rehearse, tmp_path: Path
) -> None:
    rehearsal: Rehearsal = rehearse(agents["bank-cards"])
    await rehearsal.say("block my card, it's 8201")
    assert not (tmp_path / "bank-cards" / "bank.db").exists()
