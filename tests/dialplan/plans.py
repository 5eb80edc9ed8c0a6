"""A small plan in which nothing is wrong, for tests to break in one place at a time."""

from __future__ import annotations

AGENTS = {"reception@3": None, "order-desk@1": None}

SOUND = """\
dialplan: 1
timezone: Europe/London
numbers:
  "+442079460000": {flow: front, lang: en}
  "100": {flow: front, lang: en-GB}
hours:
  office:
    open: [mon-fri 09:00-18:00, sat 10:00-14:00]
    closures: [12-25, 2026-08-31]
lists:
  blocked: ["+442079461111"]
guards:
  - if: call.from in lists.blocked
    reject: 603
flows:
  front:
    - disclose: [ai, recording]
    - record: {keep: 30d}
    - agent:
        use: reception@3
        max: 10m
        exits:
          resolved: {outcome: self-served, go: bye}
          human: {go: people}
          failed: {go: people, tag: no-model}
          busy: {go: people}
          timeout: {go: people}
  people:
    - if: closed("office")
      go: message
    - dial:
        to: sip:support@192.0.2.10
        ring: 20s
        exits: {answered: {go: bye}, busy: {go: message}, no-answer: next, failed: next}
    - go: message
  message:
    - voicemail: {say: leave-it, max: 1m, keep: 30d}
  bye:
    - say: thanks
    - hangup: normal
prompts:
  thanks: {en: Thank you.}
  leave-it: {en: Please speak after the tone.}
"""

HERE = "▶"


def broken(old: str, new: str) -> tuple[bytes, int, int]:
    """The sound plan with `old` replaced by `new`, and the line and column of the `▶` in it, which is taken out."""
    assert SOUND.count(old) == 1, f"{old!r} must stand in the plan once"
    return marked(SOUND.replace(old, new))


def marked(text: str) -> tuple[bytes, int, int]:
    """`text` without its `▶`, and where that stood."""
    assert text.count(HERE) == 1
    before, after = text.split(HERE)
    return (before + after).encode(), before.count("\n") + 1, len(before) - before.rfind("\n")
