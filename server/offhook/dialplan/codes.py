"""What can be wrong with a dial plan, each with its code: the table behind `offhook dialplan lint`.

Codes beginning with Y are about the file as YAML and stand in `offhook.yamlfile`. A code keeps its meaning for ever and
is never given out twice.
"""

from __future__ import annotations

from enum import Enum

from offhook.faults import Severity
from offhook.yamlfile import Node


class Code(Enum):
    """One kind of fault: its code, how grave it is, and what it means."""

    VERSION = ("DP001", Severity.ERROR, "the file does not say `dialplan: 1`")
    TIMEZONE = ("DP002", Severity.ERROR, "the time zone is not in the IANA database")
    NUMBER = ("DP003", Severity.ERROR, "a number is neither E.164 with its plus nor an extension of 2 to 8 digits")
    NUMBER_TWICE = ("DP004", Severity.ERROR, "a number stands in two places")
    LANGUAGE = ("DP005", Severity.ERROR, "a language is not a tag such as en or en-GB (BCP 47)")
    UNKNOWN_FLOW = ("DP006", Severity.ERROR, "there is no flow of this name")
    UNKNOWN_PROMPT = ("DP007", Severity.ERROR, "there is no prompt of this name")
    PROMPT_LANGUAGE = ("DP008", Severity.ERROR, "a prompt has no text in a language that reaches it")
    UNKNOWN_AGENT = ("DP009", Severity.ERROR, "there is no AI agent of this name and version")
    UNKNOWN_HOURS = ("DP010", Severity.ERROR, "there are no hours of this name")
    UNKNOWN_LIST = ("DP011", Severity.ERROR, "there is no list of this name")
    SYNTAX = ("DP012", Severity.ERROR, "an expression does not parse")
    UNKNOWN_FACT = ("DP013", Severity.ERROR, "an expression names a fact or function that does not exist")
    TYPE = ("DP014", Severity.ERROR, "an expression mixes types, or is not true or false")
    FACT_NOT_SET = ("DP015", Severity.ERROR, "an expression reads a fact that is not set on every way to it")
    OPENING = ("DP016", Severity.ERROR, "opening times are not written as `mon-fri 09:00-18:00`")
    NEVER_OPEN = ("DP017", Severity.ERROR, "hours never open")
    CLOSURE = ("DP018", Severity.ERROR, "a closure is not a date")
    STEP_KIND = ("DP019", Severity.ERROR, "a step has no kind, two kinds, or one that does not exist")
    EXIT_MISSING = ("DP020", Severity.ERROR, "an exit is not handled")
    EXIT_UNKNOWN = ("DP021", Severity.ERROR, "a step has no such exit")
    EXIT_HANDLER = ("DP022", Severity.ERROR, "an exit leads neither to `next` nor to {go, outcome, tag}")
    SIP_ADDRESS = ("DP023", Severity.ERROR, "an address to dial is not a SIP URI")
    FLOW_UNREACHED = ("DP024", Severity.WARNING, "no number, guard or step leads to this flow")
    STEP_UNREACHED = ("DP025", Severity.ERROR, "a step stands where no call can come")
    CYCLE = ("DP026", Severity.ERROR, "steps lead round in a circle in which the caller hears nothing")
    NOT_TOLD_RECORDING = ("DP027", Severity.ERROR, "a recording begins on a way on which the caller was not told")
    NOT_TOLD_AI = (
        "DP028",
        Severity.ERROR,
        "an AI agent speaks on a way on which the caller was not told that it is one",
    )
    NO_KEEP = ("DP029", Severity.ERROR, "it is not said how long a recording is kept")
    NO_PERSON = ("DP030", Severity.WARNING, "a caller who asks for a person reaches neither a telephone nor voicemail")
    GUARD_SHADOWED = ("DP031", Severity.WARNING, "a guard can never hold, because one above it always does first")
    GUARD_ACTION = ("DP032", Severity.ERROR, "a guard does not do exactly one of reject, dial and go")
    ALWAYS_SAME = ("DP033", Severity.WARNING, "an expression reads no facts, so it is the same for every call")
    EMERGENCY = ("DP034", Severity.ERROR, "calls to the emergency list are not dialled by the first guard")
    EMERGENCY_NUMBER = ("DP035", Severity.WARNING, "a number is an emergency number in many countries")
    NO_NUMBERS = ("DP036", Severity.ERROR, "the plan has no numbers, so no call can reach a flow")
    NAME = ("DP037", Severity.ERROR, "a name is not small letters, digits and hyphens")
    DISCLOSE = ("DP038", Severity.ERROR, "a disclosure is of neither `ai` nor `recording`")
    REJECT_STATUS = ("DP039", Severity.ERROR, "a status to reject with is not from 400 to 699")
    EMPTY_FLOW = ("DP040", Severity.ERROR, "a flow has no steps")

    def __init__(self, code: str, severity: Severity, meaning: str) -> None:
        self.code = code
        self.severity = severity
        self.meaning = meaning

    def note(self, node: Node, what: str, mend: str) -> None:
        """Note this fault at `node`."""
        node.fault(self.code, what, mend, self.severity)
