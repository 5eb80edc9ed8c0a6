"""An OpenAI-compatible chat endpoint as the mind: the job description as its instructions, the agent's tools as its.

Sentences are spoken as they stream in; a tool the model calls becomes a `UseTool`, and two tools are always there:
`hand_over` and `end_call`. When the endpoint fails or is slow the agent says so truthfully, and after a second failure
hands over. The key comes from the environment variable that the file names, and is never written anywhere.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import httpx

from offhook.agents import sentences
from offhook.agents.job import Agent, Chat
from offhook.agents.numbers import runs, tokens
from offhook.speech.contract import Act, Decide, Finish, Json, Persona, Reading, Say, ToolResult, UseTool

MOST_MESSAGES = 60
"""Older ones are forgotten by the endpoint, not by the timeline."""
MOST_CHARACTERS = 2_000
"""An answer longer than this is cut off: nobody listens that long."""
MOST_LINE = 64 * 1024
ROUNDS = 4
"""Times a tool's answer may lead to the next tool before the agent gives up."""

_SENTENCE = re.compile(r"(.+?[.!?…])(?:[\"')\]]*)(?=\s)", re.DOTALL)
_MARKUP = re.compile(r"[*_`#>]+|\[([^\]]*)\]\([^)]*\)")


class EndpointFailed(Exception):
    """The endpoint did not answer as it should; the text says how, without the key."""


def chat_mind(persona: Persona) -> ChatMind:
    """The mind of an agent whose file names a chat endpoint, going on from `persona.memo` where there is one.

    Raises ValueError with a sentence where the document is no such agent or its key is not in the environment."""
    agent = Agent.from_document(persona.document)
    if agent.mind is None:
        raise ValueError(f"{agent.agent} names no chat endpoint; add `mind: {{chat: {{base-url, model}}}}` to its file")
    chat = agent.mind.chat
    if chat.key_env is not None and not os.environ.get(chat.key_env):
        raise ValueError(f"{agent.agent} needs the environment variable {chat.key_env}, which is not set")
    return ChatMind(agent, chat, persona.known, persona.memo)


@dataclass(slots=True)
class _Call:
    """A tool call as it streams in."""

    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(slots=True)
class _Reply:
    """An answer of the endpoint, as far as it has come."""

    text: str = ""
    calls: dict[int, _Call] = field(default_factory=dict)


class ChatMind:
    """One conversation. Implements `Mind`."""

    def __init__(
        self, agent: Agent, chat: Chat, known: Mapping[str, str], memo: Mapping[str, Json] | None = None
    ) -> None:
        self._agent = agent
        self._chat = chat
        self._known = known
        self._again = memo is not None
        self._messages: list[dict[str, Json]] = []
        self._waiting: list[str] = []
        self._failures = 0
        self._rounds = 0
        self._end: Finish | None = None
        self._said = ""
        if memo is not None:
            self._restore(memo)

    def greet(self) -> Iterable[Act]:
        if self._again:
            if self._end is not None:
                yield self._end
                return
            yield Say(sentences.BACK_AGAIN)
            if self._said:
                yield Say(self._said)
            return
        greeting = self._agent.greeting
        self._messages.append({"role": "assistant", "content": greeting})
        self._said = greeting
        yield Say(greeting)

    def hear(self, words: str) -> Iterable[Act]:
        if self._end is not None:  # spoken over the last words: nothing after them must be lost
            yield self._end
            return
        for id in self._waiting:  # the endpoint wants an answer to each call before the next turn
            self._messages.append({"role": "tool", "tool_call_id": id, "content": '{"error": "not answered yet"}'})
        self._waiting.clear()
        self._rounds = 0
        self._messages.append({"role": "user", "content": words[:MOST_CHARACTERS]})
        yield from self._ask(words)

    def keys(self, digits: str) -> Iterable[Act]:
        return self.hear(f"(pressed on the keypad: {digits})")

    def tool(self, result: ToolResult) -> Iterable[Act]:
        if self._end is not None or result.id not in self._waiting:
            return
        self._waiting.remove(result.id)
        content: Json = result.value if result.ok else {"error": result.error}
        self._messages.append({"role": "tool", "tool_call_id": result.id, "content": json.dumps(content)})
        if not self._waiting:
            yield from self._ask("")

    def silence(self, times: int) -> Iterable[Act]:
        if times >= 3:
            yield Say(self._agent.goodbye)
            yield self._ended("resolved", "the caller said nothing any more")
        else:
            yield Say(sentences.STILL_THERE)

    def interrupted(self, heard: str, unsaid: str) -> None:
        """Lets the endpoint know how much of its last answer was heard."""
        for message in reversed(self._messages):
            if message["role"] == "assistant" and isinstance(content := message.get("content"), str) and content:
                cut = content.rfind(unsaid) if unsaid else -1
                message["content"] = (content[:cut].rstrip() if cut >= 0 else heard) + " (interrupted here)"
                return

    def read(self, words: str) -> Reading:
        """By the words' ending alone: the endpoint is too far away to be asked while the caller speaks."""
        said = tokens(words)
        if not said:
            return Reading(0.0, None, {})
        if said[-1].text in ("and", "but", "the", "a", "my", "is", "for", "to", "because", "um", "uh", "so", "or"):
            return Reading(0.1, None, {})
        numbers = runs(words)
        if numbers and numbers[-1].end >= len(words.rstrip(" .,!?")):
            return Reading(0.4, None, {})
        return Reading(0.8 if words.rstrip().endswith((".", "?", "!")) else 0.6, None, {})

    def vocabulary(self) -> Sequence[str]:
        return list(self._agent.job.scope)

    def phrases(self) -> Sequence[str]:
        agent = self._agent
        return [agent.greeting, agent.goodbye, agent.hand_over.say, sentences.TOOL_FAILED, sentences.STILL_THERE]

    def memo(self) -> Mapping[str, Json]:
        return {
            "messages": list(self._messages),
            "waiting": list(self._waiting),
            "failures": self._failures,
            "end": None if self._end is None else [self._end.exit, self._end.reason],
            "said": self._said,
        }

    def _restore(self, memo: Mapping[str, Json]) -> None:
        messages, waiting = memo.get("messages"), memo.get("waiting")
        if not isinstance(messages, list) or not isinstance(waiting, list):
            raise ValueError("this memo is not one of a chat mind")
        self._messages = [dict(message) for message in messages if isinstance(message, dict)]
        self._waiting = [str(id) for id in waiting]
        failures = memo.get("failures", 0)
        self._failures = failures if isinstance(failures, int) else 0
        match memo.get("end"):
            case ["human" | "resolved" as exit, str(reason)]:
                self._ended(exit, reason)
        self._said = str(memo.get("said", ""))

    def _ended(self, exit: str, reason: str) -> Finish:
        self._end = Finish(exit, reason)
        return self._end

    # --- the endpoint

    def _ask(self, words: str) -> Iterator[Act]:
        """One round with the endpoint: sentences as they come, then the tools it wants."""
        reply = _Reply()
        spoken = 0
        try:
            for _ in self._stream(reply):
                for sentence, end in _sentences(reply.text, spoken):
                    spoken = end
                    yield Say(sentence)
        except EndpointFailed as failed:
            yield from self._failed(str(failed), reply)
            return
        if rest := _plain(reply.text[spoken:]):
            yield Say(rest)
        self._failures = 0
        self._said = _plain(reply.text) or self._said
        yield from self._act_on(reply)

    def _act_on(self, reply: _Reply) -> Iterator[Act]:
        calls = [call for _, call in sorted(reply.calls.items()) if call.name][:4]
        yield Decide("chat", None, {"tools": [call.name for call in calls]})
        message: dict[str, Json] = {"role": "assistant", "content": reply.text}
        if calls:
            message["tool_calls"] = [
                {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}} for c in calls
            ]
        self._messages.append(message)
        for call in calls:
            arguments = _arguments(call.arguments)
            if call.name in ("hand_over", "end_call"):
                reason = str(arguments.get("reason") or "the agent decided so") if arguments else "the agent decided so"
                if not reply.text.strip():
                    yield Say(self._agent.hand_over.say if call.name == "hand_over" else self._agent.goodbye)
                yield self._ended("human" if call.name == "hand_over" else "resolved", reason[:200])
                return
        for call in calls:
            arguments = _arguments(call.arguments)
            if call.name not in self._agent.tools or arguments is None or self._rounds >= ROUNDS:
                why = "there is no such tool" if call.name not in self._agent.tools else "these arguments are not JSON"
                self._messages.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps({"error": why})})
            else:
                self._waiting.append(call.id)
                yield UseTool(call.id, call.name, arguments)
        self._rounds += bool(calls)
        if calls and not self._waiting:
            if self._rounds > ROUNDS:
                yield from self._failed("it calls tools that are not there, again and again", reply)
            else:
                yield from self._ask("")

    def _failed(self, why: str, reply: _Reply) -> Iterator[Act]:
        """The truth, and after the second time a person."""
        self._failures += 1
        if reply.text.strip():
            self._messages.append({"role": "assistant", "content": reply.text})
        if self._failures >= self._agent.hand_over.tool_failures:
            yield Decide("hand-over", None, {"why": why}, {"failures": float(self._failures)})
            yield Say(sentences.TOOL_FAILED)
            yield Say(self._agent.hand_over.say)
            yield self._ended("human", f"the chat endpoint failed: {why}")
            return
        yield Decide("not-understood", None, {"why": why}, {"failures": float(self._failures)})
        yield Say("I'm sorry, I couldn't work that out just now. Please say it again.")

    def _stream(self, reply: _Reply) -> Iterator[None]:
        """The endpoint's answer into `reply`, piece by piece. Raises EndpointFailed."""
        limit_s = self._chat.timeout
        headers = {"accept": "text/event-stream"}
        if self._chat.key_env is not None:
            headers["authorization"] = f"Bearer {os.environ.get(self._chat.key_env, '')}"
        body: dict[str, Json] = {
            "model": self._chat.model,
            "stream": True,
            "messages": [{"role": "system", "content": self._instructions()}, *self._recent()],
            "tools": self._tools(),
        }
        url = f"{self._chat.base_url.rstrip('/')}/chat/completions"
        try:
            with httpx.stream("POST", url, json=body, headers=headers, timeout=limit_s) as answer:
                if answer.status_code != 200:
                    raise EndpointFailed(f"HTTP status {answer.status_code}")
                for line in answer.iter_lines():
                    if len(line) > MOST_LINE:
                        raise EndpointFailed("a line of its answer is too long")
                    if line.startswith("data:"):
                        if line[5:].strip() == "[DONE]":
                            return
                        _take(reply, line[5:])
                        yield
                    if len(reply.text) > MOST_CHARACTERS:
                        return
        except httpx.TimeoutException:
            raise EndpointFailed(f"no answer within {limit_s:g} s") from None
        except httpx.HTTPError as error:
            raise EndpointFailed(f"{type(error).__name__}: {error}") from None

    def _recent(self) -> list[Json]:
        """The newest messages, beginning with one that stands alone: an orphaned tool answer is refused."""
        recent = self._messages[-MOST_MESSAGES:]
        while recent and recent[0]["role"] == "tool":
            recent.pop(0)
        return list(recent)

    def _instructions(self) -> str:
        agent = self._agent
        lines = [
            f"You are {agent.name}, an AI agent on the telephone. {agent.job.purpose}",
            f"Speak {agent.language}. Your words are spoken aloud: one or two short sentences, no lists, no markup; "
            "digits one by one.",
            "You are an AI and say so when asked. Never invent facts: what no tool told you, you do not know.",
            "Call hand_over when the caller wants a person or you cannot help. Call end_call when the caller is done.",
        ]
        if agent.job.scope:
            lines.append(f"You help with: {'; '.join(agent.job.scope)}.")
        if agent.job.refuses:
            lines.append(f"You do not do: {'; '.join(agent.job.refuses)}.")
        for name, skill in agent.skills.items():
            lines.append(
                f"{name}: {skill.when} Needs: {', '.join(skill.needs) or 'nothing'}. Tool: {skill.tool or 'none'}."
            )
            if skill.tool is None:
                lines.append(f"  Say: {skill.say['other'].say}" if "other" in skill.say else "")
        lines += [f"The {key} is {value}." for key, value in self._known.items()]
        return "\n".join(line for line in lines if line)

    def _tools(self) -> list[Json]:
        def described(name: str, does: str, parameters: Json) -> Json:
            return {"type": "function", "function": {"name": name, "description": does, "parameters": parameters}}

        reason: Json = {"type": "object", "properties": {"reason": {"type": "string"}}}
        own = [
            described(
                name, tool.does or name, json.loads(json.dumps(tool.input or {"type": "object", "properties": {}}))
            )
            for name, tool in self._agent.tools.items()
        ]
        hand = described("hand_over", "Put the caller through to a person.", reason)
        return [*own, hand, described("end_call", "Say goodbye: the caller is done.", reason)]


def _take(reply: _Reply, data: str) -> None:
    """Add one streamed piece to `reply`. Raises EndpointFailed."""
    try:
        piece = json.loads(data)
        if "error" in piece:
            raise EndpointFailed(f"it answered with an error: {str(piece['error'])[:120]}")
        choices = piece.get("choices") or []
        delta = (choices[0].get("delta") or {}) if choices else {}
        reply.text += delta.get("content") or ""
        for part in delta.get("tool_calls") or []:
            call = reply.calls.setdefault(int(part.get("index", 0)), _Call())
            call.id = part.get("id") or call.id or f"call-{len(reply.calls)}"
            function = part.get("function") or {}
            call.name += function.get("name") or ""
            call.arguments += function.get("arguments") or ""
            if len(call.arguments) > MOST_LINE or len(reply.calls) > 16:
                raise EndpointFailed("it calls tools at too great length")
    except (ValueError, TypeError, AttributeError, KeyError, IndexError, RecursionError):
        raise EndpointFailed("its answer is not what an OpenAI-compatible endpoint streams") from None


def _sentences(text: str, start: int) -> Iterator[tuple[str, int]]:
    """The whole sentences of `text` from `start` on, and where each ends."""
    for match in _SENTENCE.finditer(text, start):
        if plain := _plain(match[0]):
            yield plain, match.end()


def _plain(text: str) -> str:
    """`text` without the markup that models like and voices read aloud."""
    return re.sub(r"\s+", " ", _MARKUP.sub(lambda match: match[1] or "", text)).strip()


def _arguments(text: str) -> dict[str, Json] | None:
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
