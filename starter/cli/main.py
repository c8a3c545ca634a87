"""The `sb-transfer` command line: one module of commands for each thing that people do."""

import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, NoReturn

import typer

from starter.cli.commands import (
    auditfiles,
    certificates,
    follow,
    key_rotation,
    new_side,
    old_side,
    payload_keys,
    portfolios,
    reconcile,
    servers,
    support,
    trial,
)
from starter.cli.output import EXIT_CODES, ExitCode, leave, report, report_usage

app = typer.Typer(
    name="sb-transfer",
    help="Moves a customer environment, with all its administrations, from one licence to another.",
    epilog=EXIT_CODES,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_PANELS = (
    ("Try it", trial.commands),
    ("The old side", old_side.commands),
    ("The new side", new_side.commands),
    ("Anybody", follow.commands),
    ("Anybody", certificates.commands),
    ("Anybody", auditfiles.commands),
    ("Support", support.commands),
    ("Support", portfolios.commands),
    ("Operators", servers.commands),
    ("Operators", reconcile.commands),
    ("Operators", payload_keys.commands),
    ("Operators", key_rotation.commands),
)
for _panel, _commands in _PANELS:
    for _command in _commands.registered_commands:
        _command.rich_help_panel = _panel
    for _group in _commands.registered_groups:
        _group.rich_help_panel = _panel
    app.add_typer(_commands)


def _show_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"sb-transfer {version('sb-transfer')}\n")
        raise typer.Exit


@app.callback()
def sb_transfer(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Tell the version and stop.")
    ] = False,
) -> None:
    """Moves a customer environment, with all its administrations, from one licence to another."""


def execute(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; every error becomes one line, or one document with `--json`."""
    as_json = "--json" in arguments
    try:
        answer = typer.main.get_command(app).main(
            list(arguments) or ["--help"], prog_name="sb-transfer", standalone_mode=False
        )
    except typer.Abort:
        return ExitCode.INTERRUPTED
    except SystemExit as stop:  # whoever read our output has gone
        return stop.code if isinstance(stop.code, int) else ExitCode.FAILED
    except typer.TyperException as error:
        return report_usage(error, as_json=as_json)
    except Exception as error:  # noqa: BLE001 - nobody gets a traceback
        return report(error, as_json=as_json)
    return answer if isinstance(answer, int) else ExitCode.OK


def main() -> NoReturn:
    """Run the command line of this process."""
    leave(execute(sys.argv[1:]))
