"""The dial plan that the live tests' servers walk, and how such a server is started."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from loadtest.served import LOOPBACK, Served, free_port, served

USER, PASSWORD = "desk-7", "correct horse"

FAR_END = free_port(socket.SOCK_DGRAM, for_good=True)
"""Where the telephone is that the plan's `dial` steps ring; whoever wants it to answer listens there."""

PLAN = """\
dialplan: 1
timezone: UTC
numbers:
  "100": {{flow: talk}}
  "200": {{flow: person}}
  "201": {{flow: impatient}}
  "202": {{flow: short-talk}}
  "300": {{flow: message}}
  "301": {{flow: two-messages}}
  "400": {{flow: line-test}}
flows:
  talk:
    - disclose: [ai, recording]
    - record: {{keep: 1d}}
    - agent:
        use: order-desk@1
        exits:
          resolved: {{go: bye}}
          human: {{go: bye}}
          failed: {{go: bye, tag: failed}}
          busy: {{go: all-busy, tag: busy}}
          timeout: {{go: bye}}
  all-busy:
    - say: all-busy
    - hangup: busy
  person:
    - disclose: recording
    - record: {{keep: 1d}}
    - dial: {{to: "{far_end}", ring: 20s, exits: {exits}}}
    - go: bye
  impatient:
    - disclose: recording
    - record: {{keep: 1d}}
    - dial: {{to: "{far_end}", ring: 2s, exits: {exits}}}
    - go: bye
  short-talk:
    - dial: {{to: "{far_end}", ring: 20s, max: 2s, exits: {exits}}}
    - go: bye
  message: [voicemail: {{say: leave-message, max: 30s, keep: 1d}}]
  two-messages:
    - voicemail: {{say: leave-message, max: 6s, keep: 1d}}
    - voicemail: {{say: leave-message, max: 6s, keep: 1d}}
  line-test:
    - say: line-test
    - hangup: normal
  bye:
    - say: bye
    - hangup: normal
prompts:
  disclose-ai: {{en: "Hello."}}
  disclose-recording: {{en: "Recorded."}}
  leave-message: {{en: "Your message."}}
  all-busy: {{en: "All busy."}}
  bye: {{en: "Goodbye."}}
  line-test: {{en: "One, two, three, four, five, six, seven, eight, nine, ten."}}
"""


def echo_plan() -> str:
    """The plan's text."""
    exits = "{answered: next, no-answer: next, busy: next, failed: next}"
    return PLAN.format(far_end=f"sip:far@127.0.0.1:{FAR_END}", exits=exits)


def settings(home: Path, plan: str, **more: Any) -> Mapping[str, Any]:
    """Settings for a server in `home`; an echoing model with two slots where nothing else is asked for."""
    home.mkdir(parents=True, exist_ok=True)
    file = home / "plan.yaml"
    file.write_text(plan, encoding="utf-8")
    return {"dialplan": str(file), "speech": {"model": "echo", "slots": 2}, **more}


@contextlib.contextmanager
def started(home: Path, host: str = LOOPBACK, **more: Any) -> Iterator[Served]:
    """A running server, whose log is told where a test fails in it."""
    with served(home, host, **more) as server:
        yield server
