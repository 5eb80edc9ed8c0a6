"""What an operator and an inspector see: status, metrics, calls by command, and the measuring caller's report."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from loadtest.served import Served

from offhook.calls.caller import Phone
from offhook.calls.timeline import SpeechStarted
from tests.live.bare import BareCaller
from tests.live.watching import assert_untroubled, live, offhook, over

COUNTED = {
    "offhook_calls_total": "calls",
    "offhook_packets_total": "packets",
    "offhook_hops_total": "hops",
    "offhook_response_seconds_count": "response times",
    "offhook_refusals_total": "refusals by cause",
}
"""What a call and a refusal must move."""

SHOWN = (
    "offhook_calls_live",
    "offhook_hop_lateness_seconds",
    "offhook_step_seconds",
    "offhook_pacing_error_seconds",
    "offhook_packets_late_total",
    "offhook_packets_lost_total",
    "offhook_concealed_seconds_total",
    "offhook_missing_seconds_total",
    "offhook_interruptions_total",
    "offhook_late_hops_total",
    "offhook_slots",
    "offhook_slots_used",
    "offhook_worker_restarts_total",
    "offhook_recording_faults_total",
    "offhook_timeline_faults_total",
)


def total(metrics: dict[str, float], name: str) -> float:
    return sum(value for key, value in metrics.items() if key.partition("{")[0] == name)


async def test_a_call_can_be_followed_and_looked_up(desk: Served, speech: Path) -> None:
    options = ("--settings", desk.home / "offhook.toml")
    before = desk.metrics()
    missing = [name for name in SHOWN if name not in {key.partition("{")[0] for key in before}]
    assert not missing

    report = await asyncio.to_thread(
        offhook, "call", desk.uri("100"), "--say", speech / "rms-3-opening-hours.flac", "--json"
    )
    assert report.returncode == 0, report.stdout + report.stderr
    told = json.loads(report.stdout.strip().splitlines()[-1])
    assert told["ok"] and len(told["turns"]) == 1
    assert 0 < told["turns"][0]["response_ms"] < 12_000 and told["turns"][0]["answer_ms"] > 1000, told
    assert told["packets_received"] > 100 and told["greeting_ms"] > 0

    with BareCaller(desk) as caller:
        await asyncio.to_thread(caller.invite, "999")
    kept = await over(desk, "caller")
    after = desk.metrics()
    still = [what for name, what in COUNTED.items() if total(after, name) <= total(before, name)]
    assert not still, f"not moved: {still}"

    call = kept.folder.name
    listed = await asyncio.to_thread(offhook, "calls", "list", *options)
    assert listed.returncode == 0 and call in listed.stdout
    shown = (await asyncio.to_thread(offhook, "calls", "show", call[:6], *options)).stdout
    assert "caller" in shown and "Monday to Friday" in shown and "after " in shown, shown
    assert "hours-told" in shown and "call.flac" in shown, shown
    why = (await asyncio.to_thread(offhook, "calls", "explain", call, *options)).stdout
    for part in ("plan.yaml:", "order-desk@1", "opening-hours"):
        assert part in why, why
    unknown = await asyncio.to_thread(offhook, "calls", "show", "nosuchcall", *options)
    assert unknown.returncode == 1 and "Traceback" not in unknown.stderr
    assert_untroubled(desk)


async def test_status_tells_of_the_call_that_is_on(desk: Served) -> None:
    options = ("--settings", desk.home / "offhook.toml")
    async with Phone.plugged_in(name="on-the-line") as phone, phone.ring(desk.uri("100")):
        call = await live(desk, "on-the-line")
        await call.until(SpeechStarted)
        status = await asyncio.to_thread(offhook, "status", *options)
        assert status.returncode == 0, status.stderr
        for part in ("ready", "100", "cascade", call.id, "on-the-line", "order-desk@1", f"process {desk.worker_pid}"):
            assert part in status.stdout, status.stdout
        assert desk.metrics()["offhook_calls_live"] == 1
        listed = await asyncio.to_thread(offhook, "calls", "list", *options)
        assert call.id in listed.stdout and "live" in listed.stdout
    await over(desk, "on-the-line")


async def test_status_without_a_server_says_so(tmp_path: Path) -> None:
    done = await asyncio.to_thread(offhook, "status", "--url", "http://127.0.0.1:9")
    assert done.returncode == 1 and "is it running?" in done.stderr


async def test_a_call_that_fails_has_exit_status_1_and_says_why(echo: Served, speech: Path) -> None:
    done = await asyncio.to_thread(offhook, "call", echo.uri("999"), "--json")
    told = json.loads(done.stdout.strip().splitlines()[-1])
    assert done.returncode == 1 and not told["ok"] and "404" in told["failure"]
    done = await asyncio.to_thread(offhook, "call", echo.uri("999"))
    assert done.returncode == 1 and "404" in done.stdout + done.stderr
    # The plan says its words and hangs up: there is nobody left to say the second file to.
    sentence = speech / "slt-3-opening-hours.flac"
    done = await asyncio.to_thread(offhook, "call", echo.uri("400"), "--say", sentence, "--say", sentence, "--json")
    assert done.returncode == 1, done.stdout
    done = await asyncio.to_thread(offhook, "call", "sip:nobody@127.0.0.1:9;transport=tcp", "--json")
    assert done.returncode == 1 and "Traceback" not in done.stderr
