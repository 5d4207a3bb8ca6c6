"""The command line: the same verbs as the Python API.

Exit codes: 0 fine, 1 findings, 2 bad input, 3 internal fault.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from opalesce.cli import laws, npm, runs, theory
from opalesce.cli.audit import audit
from opalesce.cli.compare import compare
from opalesce.cli.depth import depth
from opalesce.cli.explain import explain
from opalesce.cli.figures import figures
from opalesce.cli.loud import LOGGER, loud
from opalesce.cli.opening import AsJson
from opalesce.cli.percolate import percolate
from opalesce.cli.percolate_data import percolate_data
from opalesce.cli.plan import plan
from opalesce.cli.terminal import print_json, say
from opalesce.cli.typed import spread, usage
from opalesce.cli.verify import verify
from opalesce.errors import OpalesceError

app = typer.Typer(
    name="opalesce",
    help="Find, measure and judge transitions in neural networks. "
    "Exit codes: 0 fine, 1 findings, 2 bad input, 3 internal fault. "
    "Anywhere: --verbose says what is done, --log-file FILE keeps it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


BAD_INPUT, FAULT = 2, 3
for _verb in (runs.check, runs.measure, runs.report, runs.demo):
    app.command(_verb.__name__)(_verb)


@app.command()
def observables(as_json: AsJson = False) -> None:
    """List the registered observables: what each is, on what, in which unit, from which source."""
    from opalesce.observables.registry import load

    found = sorted(load().values(), key=lambda o: (o.on, o.name))
    if as_json:
        keys = ("name", "on", "unit", "lineage", "null", "source", "version", "summary")
        rows = [{k: getattr(o, k) for k in keys} | {"symmetries": sorted(o.symmetries)} for o in found]
        print_json({"schema": "opalesce.observables/1", "observables": rows})
        return
    for o in found:
        say(f"{o.name:28} {o.on:16} [{o.unit}]  {o.summary}  ({o.source})")


@app.command()
def cite(name: Annotated[str, typer.Argument(metavar="NAME", help="Observable or BibTeX key.")]) -> None:
    """Print the BibTeX of an observable's source."""
    from opalesce.cite import cite as entry

    say(entry(name))


app.command("audit")(audit)
app.command("depth")(depth)
app.command("fit")(laws.fit)
app.command("forecast")(laws.forecast)
app.command("mirage")(laws.mirage)
app.command("allocate")(laws.allocate)
app.command("percolate")(percolate)
app.command("explain")(explain)
app.command("compare")(compare)
app.command("figures")(figures)
app.command("plan")(plan)
app.command("verify")(verify)
app.command("percolate-data")(percolate_data)
app.add_typer(npm.app, name="npm")
app.add_typer(theory.app, name="theory")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code (the console script passes it on)."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        words = loud(words)
        LOGGER.info("opalesce %s", " ".join(words))
        return int(app(spread(words), standalone_mode=False) or 0)
    except OpalesceError as error:
        LOGGER.debug("stopped", exc_info=True)
        say(f"opalesce: {error}", err=True)
        if "--json" in words:
            print_json({"schema": "opalesce.error/1", "kind": type(error).__name__, **error.parts()})
        return error.exit_code
    except typer.Abort:
        say("opalesce: interrupted; what was measured is kept", err=True)
        return BAD_INPUT
    except OSError as error:  # a disk that is full, a folder that went away: the machine, not the program
        say(f"opalesce: {error.filename or 'a file'} cannot be read or written\n  got: {error}", err=True)
        return BAD_INPUT
    except Exception as error:
        if hasattr(error, "format_message"):
            say(usage(error, words), err=True)
            return BAD_INPUT
        LOGGER.debug("internal fault", exc_info=True)
        traceback.print_exc()
        say("opalesce: internal fault; please report the lines above", err=True)
        return FAULT
