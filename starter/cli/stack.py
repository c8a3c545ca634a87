"""The embedded stack from the command line; needs the extra `devstack`."""

import shlex
from datetime import timedelta
from pathlib import Path

from rich.text import Text

from devstack.info import StackInfo
from devstack.issuer import EmbeddedIssuer
from devstack.stack import Stack, up
from domain.authority import Caller, Role
from domain.errors import Misconfigured
from starter.cli.output import ExitCode, Output
from starter.environment import STACK_FOLDER


async def stay_up(folder: Path, output: Output) -> ExitCode:
    """Run the stack until it is told to stop, after saying where everything is."""

    def announce(stack: Stack) -> None:
        info = stack.info
        output.answer(_addresses(info), *_places(info, stack.folder))

    await up(folder, announce, api=True, codec=True, web=True)
    return ExitCode.OK


def issue_token(folder: Path, holder: Caller, life: timedelta, output: Output) -> ExitCode:
    """Answer with a bearer token that the API of a folder's stack takes.

    Raises:
        Misconfigured: No stack has its data there, or a firm's user has no licence.
    """
    if Role.FIRM in holder.roles and not holder.licence_number:
        raise Misconfigured("A user of a licence needs to say which: add --licence NUMBER.")
    if not folder.is_dir():
        raise Misconfigured(
            f"No stack has its data in {folder}. Run `sb-transfer up` first, or name its folder by --dir."
        )
    made = EmbeddedIssuer(folder).token(holder, life)
    output.answer({"token": made, "expires_in": int(life.total_seconds())}, Text(made, no_wrap=True, overflow="ignore"))
    return ExitCode.OK


def _addresses(info: StackInfo) -> dict[str, object]:
    """Return what may be printed: the addresses with a password in them stand in `stack.json`, mode 0600."""
    return info.model_dump(mode="json", exclude={"database_url", "app_database_url", "smtp_url"})


def _places(info: StackInfo, folder: Path) -> list[Text]:
    rows = {
        "Temporal UI": info.ui_url,
        "Temporal": info.temporal_address,
        "Database": f"{folder / 'stack.json'} (database_url; app_database_url for the application)",
        "Mails": info.mail_dir,
        "Pages": info.web_url,
        "API": info.api_url,
        "Codec server": f"{info.codec_url} (the UI shows plain text by it)" if info.codec_url else None,
        "Metrics": info.metrics_url,
        "Logs": folder,
    }
    here = folder.resolve() == Path(".sb-transfer").resolve()
    hint = "Other commands in this folder use it by themselves."
    if not here:
        hint = f"Other commands find it with: export {STACK_FOLDER}={shlex.quote(str(folder.resolve()))}"
    lines = [Text(f"The stack runs. {hint}", style="green")]
    lines += [Text.assemble((f"{title:<12} ", "bold"), str(place)) for title, place in rows.items() if place]
    lines.append(Text("Ctrl-C stops it; everything is kept.", style="dim"))
    return lines
