"""`offhook models`: which weights there are, and having them here."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from offhook import weights
from offhook.cli import fail
from offhook.weights.pull import Outcome, PullError, needed, pull

app = typer.Typer(help="The weights that Offhook runs on.", no_args_is_help=True)


@app.command("list")
def list_() -> None:
    """Show every weight: what for, licence, size, and whether it is here."""
    table = Table("weight", "for", "licence", "MB", "here")
    for weight in _registry().values():
        lacking = weights.missing(weight)
        table.add_row(
            weight.name,
            weight.purpose,
            weight.licence,
            f"{weight.bytes / 1e6:.0f}",
            "yes" if not lacking else "no",
        )
    console = Console()
    console.print(table)
    console.print(f"in {weights.home()}", highlight=False, soft_wrap=True)


@app.command("pull")
def pull_(
    names: Annotated[list[str] | None, typer.Argument(help="Which; without one, all that serving needs.")] = None,
    quiet_if_complete: Annotated[bool, typer.Option(help="Say nothing where nothing is to be fetched.")] = False,
) -> None:
    """Fetch weights and verify them; what is here already is left as it is."""
    known = _registry()
    unknown = [name for name in names or () if name not in known]
    if unknown:
        fail(f"no weight is called {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    console = Console()
    lacking = [known[name] for name in names or needed(known) if weights.missing(known[name])]
    if lacking:
        megabytes = sum(weight.bytes for weight in lacking) / 1e6
        console.print(f"Fetching {megabytes:.0f} MB of model weights, once", style="bold", highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        for name in names or needed(known):
            bar = bars.add_task(name, total=known[name].bytes, visible=known[name] in lacking)

            def show(what: str, done: int, total: int, bar: TaskID = bar) -> None:
                bars.update(bar, description=what, completed=done, total=total, visible=True)

            try:
                outcome = pull(known[name], show)
            except PullError as error:
                bars.stop()
                fail(str(error))
            bars.remove_task(bar)
            if outcome is Outcome.PULLED:
                console.print(f"{name}: pulled and verified", highlight=False)
    if lacking or not quiet_if_complete:
        console.print(f"weights are in {weights.home()}", highlight=False, soft_wrap=True)


@app.command("build")
def build_(
    device: Annotated[str, typer.Option(help="What it is to run on: cpu or cuda.")] = "cpu",
    adapter: Annotated[
        Path | None, typer.Option(help="Folder of what was trained, instead of the weight `duplex`.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Build even what is there already.")] = False,
) -> None:
    """Put the duplex model together from the weights that are here: ear, mind and mouth, for one device."""
    # The graph library is slow to import, and the other commands do without it.
    from offhook.speech.duplex.build import BuildError, Outcome, build
    from offhook.speech.duplex.built import built_folder
    from offhook.speech.mouth.place import split_of

    console = Console()
    started = time.monotonic()
    with console.status("building the duplex model") as status:
        try:
            outcome = build(
                device,
                adapter=adapter,
                force=force,
                progress=lambda what: status.update(f"building the duplex model: {what}"),
            )
            status.update("building the duplex model: the mouth")
            split_of(weights.path("joe"), "joe")
        except (BuildError, weights.WeightsMissing, ValueError, OSError) as error:
            status.stop()
            fail(str(error))
    if outcome is Outcome.BUILT:
        console.print(f"built in {time.monotonic() - started:.0f} s", highlight=False)
    console.print(f"the duplex model for {device} is in {built_folder(device)}", highlight=False, soft_wrap=True)


def _registry() -> dict[str, weights.Weight]:
    try:
        return dict(weights.read_registry())
    except weights.RegistryError as error:
        fail(str(error))
