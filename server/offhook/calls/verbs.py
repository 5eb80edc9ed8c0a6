"""What can be done with a call: the verbs a dial plan speaks, as the contract between its interpreter and a `Call`.

Each verb returns when it is done, with one exit of a closed set. "Worker gone", "no slot free", "disk full" and "the
far end did not answer" are exits, never exceptions. The one exception is `CallOver`: the caller is gone, and nothing
more can be done with the call. This module decides nothing and knows no telephone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from offhook.calls.timeline import Timeline

AgentExitName = Literal["resolved", "human", "failed", "busy", "timeout"]
DialExitName = Literal["answered", "busy", "no-answer", "failed"]
RecordExit = Literal["recording", "failed"]
VoicemailExit = Literal["left", "empty"]


class CallOver(Exception):
    """The caller hung up, the network dropped the call, or the server ended it. Any verb may raise it."""


@dataclass(frozen=True, slots=True)
class AgentExit:
    """How an AI agent's part ended. `resolved`: it was done; `human`: the caller is to have a person; `failed`: its
    model or worker is gone for good; `busy`: no slot was free, or none that could answer on time; `timeout`: its limit
    ran out. `reason` in a few words."""

    exit: AgentExitName
    reason: str


@dataclass(frozen=True, slots=True)
class DialExit:
    """How a dialled party's part ended. `answered`: they talked, and the far end has hung up or the limit ran
    out; `busy`: it refused for now (486, 600, 603); `no-answer`: it rang and nobody came; `failed`: it could not be
    reached. `cause` in a few words, with the SIP status where there is one."""

    exit: DialExitName
    cause: str


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What a dial plan knows of a call when it comes in. Numbers as `offhook.dialplan.numbers.normal_number` gives
    them: `+E164`, or an extension's digits. `caller` is empty where the caller withholds it."""

    id: str
    caller: str
    dialled: str
    trunk: str
    """The trunk the call came in by, of the settings; empty where it came by none."""


class Verbs(Protocol):
    """A call as a dial plan sees it. Verbs are awaited one at a time. All but `reject` and `ring` raise `CallOver`
    once the call is over."""

    timeline: Timeline

    async def reject(self, status: int, reason: str) -> None:
        """Refuse the call with a SIP status (RFC 3261 section 21, 400-699) before it is answered, and end it."""

    async def ring(self) -> None:
        """Tell the caller that it rings (180). Does nothing once the call is answered or rings already."""

    async def answer(self) -> None:
        """Take the call (200) and wait until the caller can hear us. Does nothing once it is answered."""

    async def say(self, text: str, language: str, voice: str | None) -> None:
        """Speak `text` to the caller; returns when it was heard. `language` is BCP 47; `voice` None: the language's
        own."""

    async def disclose(self, what: Sequence[str], text: str, language: str) -> None:
        """Speak `text`, which tells the caller that an AI speaks (`ai`) or that the call is recorded (`recording`), and
        put it on record as `Disclosed`. Cannot be interrupted."""

    async def record(self, keep: str) -> RecordExit:
        """Begin to record both parties, to be kept for `keep` (`30d`). Returns at once; the call goes on either way."""

    async def agent(self, name: str, limit_s: float, known: Mapping[str, str]) -> AgentExit:
        """Let the AI agent `name` (`order-desk@1`) talk with the caller for at most `limit_s`. `known` is what it is
        told beforehand: `caller`, `dialled`, `now` (ISO 8601 with zone), `language`."""

    async def dial(self, uri: str, ring_s: float, limit_s: float | None) -> DialExit:
        """Ring `uri` for at most `ring_s` and connect it with the caller, for at most `limit_s` from its answer. A
        caller not answered yet hears ringing and is answered when the far end is."""

    async def voicemail(self, text: str, language: str, max_s: float, keep: str) -> VoicemailExit:
        """Speak `text`, a tone, and record what the caller says for at most `max_s`, until a key is pressed or they
        fall silent. A caller who hangs up after speaking has left a message: the call then ends by `CallOver` with the
        message kept."""

    async def hang_up(self, cause: str) -> None:
        """End the call from our side. `cause` is `normal`, `busy`, `unavailable`, `declined`, or a few words. A call
        not answered yet is refused: with 486 for `busy`, 603 for `declined`, else 480."""
