"""Running an agent's tools, on the edge: arguments checked, a time limit, and always a result, never an exception.

A Python tool is a function beside the agent's file (or importable): awaited where it is a coroutine, else run in a
thread of its own, so that one that hangs holds up nobody; it is left behind when its time is over, and a tool with too
many left behind fails at once. An HTTP tool gets its arguments as JSON. What failed is said in a sentence fit for the
timeline; the caller hears the agent's own words.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import importlib.util
import inspect
import json
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import cast

import httpx
from jsonschema import Draft202012Validator
from referencing import Registry

from offhook.agents.job import Agent, Http, Tool
from offhook.speech.contract import Json, ToolResult, ToolWanted

MOST_ANSWER_BYTES = 64 * 1024
MOST_STUCK = 8
"""Calls of one tool that may be past their time and still running; then it fails without being tried."""

Entry = Callable[..., object]


class ToolMissing(Exception):
    """A tool cannot be loaded; the text says which, from where, and why."""


class _Failed(Exception):
    """A tool did not do what it should; the text is a sentence."""


class Toolbox:
    """The tools of one agent. Made once per agent, used by all its calls at once from one event loop."""

    def __init__(self, agent: Agent, home: Path | None = None) -> None:
        """`home` is the folder handed to Python tools that take a `home`, to keep their data in; $OFFHOOK_HOME or
        `var` where None. Raises ToolMissing with a sentence where a Python entry point cannot be loaded."""
        self._agent = agent
        self._home = home or Path(os.environ.get("OFFHOOK_HOME", "var"))
        self._entries = {name: _entry(agent, tool.python) for name, tool in agent.tools.items() if tool.python}
        self._checks = {
            (name, side): Draft202012Validator(schema, registry=Registry())  # a schema fetches nothing
            for name, tool in agent.tools.items()
            for side, schema in (("input", tool.input), ("output", tool.output))
            if schema is not None
        }
        self._stuck = dict.fromkeys(agent.tools, 0)
        self._client: httpx.AsyncClient | None = None

    async def run(self, tool: str, arguments: Mapping[str, Json], id: str = "") -> ToolResult:
        """The answer of `tool`; `ok` False with a sentence in `error` where it failed. Never raises."""
        try:
            described = self._agent.tools.get(tool)
            if described is None:
                raise _Failed(f"{self._agent.agent} has no tool {tool!r}")
            self._check(tool, "input", dict(arguments))
            try:
                async with asyncio.timeout(described.timeout):
                    value = await self._answer(tool, described, arguments)
            except TimeoutError:
                raise _Failed(f"{tool} did not answer within {described.timeout:g} s") from None
            self._check(tool, "output", value)
        except _Failed as failed:
            return ToolResult(id=id, ok=False, error=str(failed))
        return ToolResult(id=id, ok=True, value=value)

    async def close(self) -> None:
        """Let go of connections. Threads still in a tool end with it."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _answer(self, name: str, tool: Tool, arguments: Mapping[str, Json]) -> Json:
        try:
            if tool.http is not None:
                return await self._ask(name, tool.http, arguments)
            return _as_json(name, await self._call(name, arguments))
        except (_Failed, TimeoutError):
            raise
        except Exception as error:  # a tool is other people's code: whatever it raises, the call goes on
            raise _Failed(f"{name} failed: {type(error).__name__}: {str(error)[:200]}") from error

    async def _call(self, name: str, arguments: Mapping[str, Json]) -> object:
        entry = self._entries[name]
        given: dict[str, object] = dict(arguments)
        if "home" in inspect.signature(entry).parameters and "home" not in given:
            given["home"] = self._home
        if inspect.iscoroutinefunction(entry):
            return await cast(Awaitable[object], entry(**given))
        if self._stuck[name] >= MOST_STUCK:
            raise _Failed(f"{name} hangs in {MOST_STUCK} earlier calls, and is not tried again until one of them ends")
        return await self._in_thread(name, lambda: entry(**given))

    async def _in_thread(self, name: str, work: Callable[[], object]) -> object:
        """`work()` in a daemon thread of its own: a pool would be used up by hung tools, and would hold up the exit."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[object] = loop.create_future()

        def settle(value: object, error: BaseException | None) -> None:
            self._stuck[name] -= 1
            if not done.done():
                if error is None:
                    done.set_result(value)
                else:
                    done.set_exception(error)

        def run() -> None:
            value: object = None
            failure: BaseException | None = None
            try:
                value = work()
            except BaseException as error:
                failure = (
                    RuntimeError(f"it ended the thread ({error!r})") if not isinstance(error, Exception) else error
                )
            try:
                loop.call_soon_threadsafe(settle, value, failure)
            except RuntimeError:
                pass  # the loop is closed: nobody waits any more

        self._stuck[name] += 1
        threading.Thread(target=run, name=f"tool-{name}", daemon=True).start()
        return await done

    async def _ask(self, name: str, http: Http, arguments: Mapping[str, Json]) -> Json:
        if self._client is None:
            self._client = httpx.AsyncClient(follow_redirects=False, timeout=None)  # `run` holds the time
        headers = {"accept": "application/json"}
        if http.key_env is not None:
            if not (key := os.environ.get(http.key_env)):
                raise _Failed(f"{name} needs the environment variable {http.key_env}, which is not set")
            headers["authorization"] = f"Bearer {key}"
        query = {key: str(value) for key, value in arguments.items()} if http.method == "GET" else None
        body = None if http.method == "GET" else dict(arguments)
        try:
            async with self._client.stream(http.method, http.url, params=query, json=body, headers=headers) as answer:
                raw = b""
                async for piece in answer.aiter_bytes():
                    raw += piece
                    if len(raw) > MOST_ANSWER_BYTES:
                        raise _Failed(f"{name} answered with more than {MOST_ANSWER_BYTES // 1024} KiB")
        except httpx.HTTPError as error:
            raise _Failed(f"{name} could not reach {http.url}: {type(error).__name__} {error}".rstrip()) from error
        if not 200 <= answer.status_code < 300:
            raise _Failed(f"{name} answered with HTTP status {answer.status_code}")
        try:
            value: Json = json.loads(raw)
        except (ValueError, RecursionError):
            raise _Failed(f"{name} answered with something that is not JSON") from None
        return value

    def _check(self, name: str, side: str, value: Json) -> None:
        if (validator := self._checks.get((name, side))) is None:
            return
        if (fault := next(iter(validator.iter_errors(value)), None)) is not None:
            where = "/".join(str(part) for part in fault.absolute_path)
            what = "arguments" if side == "input" else "answer"
            raise _Failed(
                f"the {what} of {name} do not fit its schema: {where + ': ' if where else ''}{fault.message[:200]}"
            )


class CallTools:
    """The tools of one call. A tool asked for twice under one id, as after a worker's death, is run once."""

    def __init__(self, toolbox: Toolbox) -> None:
        self._toolbox = toolbox
        self._runs: dict[str, asyncio.Task[ToolResult]] = {}

    async def run(self, wanted: ToolWanted) -> ToolResult:
        """The answer to `wanted`, or the one that its id has had before. Never raises."""
        if wanted.id not in self._runs:
            work = self._toolbox.run(wanted.tool, wanted.arguments, wanted.id)
            self._runs[wanted.id] = asyncio.create_task(work, name=f"tool {wanted.id}")
        return await asyncio.shield(self._runs[wanted.id])  # who stops waiting does not stop the tool


def _as_json(name: str, value: object) -> Json:
    """`value` as plain JSON of bounded size. Raises _Failed."""
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise _Failed(f"{name} gave back something that is not JSON: {error}") from None
    if len(text) > MOST_ANSWER_BYTES:
        raise _Failed(f"{name} gave back more than {MOST_ANSWER_BYTES // 1024} KiB")
    plain: Json = json.loads(text)
    return plain


def _entry(agent: Agent, named: str) -> Entry:
    module_name, _, function = named.partition(":")
    beside = agent.folder / f"{module_name.replace('.', '/')}.py" if agent.folder else None
    try:
        if beside is not None and beside.is_file():
            module = _load_beside(beside)
        else:
            module = importlib.import_module(module_name)
    except Exception as error:  # other people's code runs at import
        where = beside if beside is not None and beside.is_file() else module_name
        raise ToolMissing(f"{agent.agent}: {where} cannot be loaded: {type(error).__name__}: {error}") from error
    entry = getattr(module, function, None)
    if not callable(entry):
        raise ToolMissing(f"{agent.agent}: {module_name} has no function {function!r}")
    return cast(Entry, entry)


def _load_beside(path: Path) -> ModuleType:
    """The module at `path` under a name of its own, so that two agents may each have a `shop.py`."""
    name = f"offhook_agent_tools_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}_{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
