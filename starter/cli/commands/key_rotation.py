"""Key rings: a new key in front seals what is made from now on, and what was sealed before still opens.

A key is 32 random bytes in url-safe base64: a Fernet key, or the seed of an Ed25519 key. No key is ever shown, but for
the one ring that stands in the environment, which nobody but its owner can change.
"""

import base64
import os
import re
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from adapters.private_files import write_private
from adapters.settings import Settings
from domain.errors import Misconfigured
from starter.cli.options import AsJson
from starter.cli.output import ExitCode, Output

_KEY_BYTES = 32
_SUFFIX = "_keys"
_STACK_FOLDER = Path(".sb-transfer")


commands = typer.Typer()
keys = typer.Typer(help="Keys, and how they change.", context_settings={"help_option_names": ["-h", "--help"]})
commands.add_typer(keys, name="keys")


def rings() -> dict[str, str]:
    """Return every ring by name, with the environment variable that holds it: `ticket`, `certificate`, and so on."""
    prefix = Settings.model_config.get("env_prefix", "")
    return {
        name.removesuffix(_SUFFIX): f"{prefix}{name.upper()}"
        for name in Settings.model_fields
        if name.endswith(_SUFFIX)
    }


class Turn(StrEnum):
    """How a ring is turned; the second and the third together are the first, without a moment of disagreement."""

    FRONT = "front"
    """A new key in front: it seals from now on."""

    ANNOUNCE = "announce"
    """A new key at the end: everybody can open what it will seal."""

    PROMOTE = "promote"
    """The key at the end to the front, once everybody has it."""


@keys.command()
def rotate(
    ring: Annotated[str, typer.Argument(metavar="RING", help="ticket, certificate, ...: each SB_TRANSFER_*_KEYS.")],
    file: Annotated[Path | None, typer.Option(metavar="FILE", help="The file that holds the ring.")] = None,
    folder: Annotated[
        Path | None, typer.Option("--dir", metavar="DIR", help="The data of the stack that holds the ring.")
    ] = None,
    how: Annotated[Turn, typer.Option(help="See docs/operations.md, Keys.")] = Turn.FRONT,
    as_json: AsJson = False,
) -> ExitCode:
    """Put a new key in front of a ring; what was made with the older ones stays good.

    The ring is that of --file, else of the environment, else of the stack in this folder.
    """
    # A file is written, mode 0600, whole or not at all; the environment cannot be written, so its new ring is printed.
    output = Output(as_json=as_json)
    variable = rings().get(ring)
    if variable is None:
        raise Misconfigured(f"There is no ring {ring!r}. Choose one of: {', '.join(sorted(rings()))}.")
    if file is None and folder is None and os.environ.get(variable):
        turned = _turned(os.environ[variable], variable, how)
        # Printed because there is nowhere to write it; names alone would be of no use.
        output.answer(
            {"ring": ring, "keys": _names(turned), variable: ",".join(turned)}, *_to_set(variable, turned, how)
        )
        return ExitCode.OK
    target = file or _file_of_stack(folder or _STACK_FOLDER, ring)
    try:
        held = target.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(
            f"{target} cannot be read as a ring of keys. Name another file, or set {variable}."
        ) from error
    turned = _turned(held, str(target), how)
    write_private(target, "\n".join(turned) + "\n")
    output.answer({"ring": ring, "keys": _names(turned), "file": str(target)}, *_written(target, turned, how))
    return ExitCode.OK


def _turned(held: str, where: str, turn: Turn) -> list[str]:
    """Return a ring as it is turned.

    Raises:
        Misconfigured: It holds no key, something else, or nothing to promote; the message shows none of it.
    """
    keys = [key for key in re.split(r"[\s,]+", held) if key]
    if not keys or not all(_is_key(key) for key in keys):
        raise Misconfigured(f"{where} holds no key, or something that is none. Nothing is changed; correct it first.")
    if turn is Turn.PROMOTE:
        if len(keys) == 1:
            raise Misconfigured(f"{where} holds one key only. Announce a new one first: --how announce.")
        return [keys[-1], *keys[:-1]]
    new = base64.urlsafe_b64encode(os.urandom(_KEY_BYTES)).decode()
    return [*keys, new] if turn is Turn.ANNOUNCE else [new, *keys]


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text.translate(str.maketrans("-_", "+/")), validate=True)) == _KEY_BYTES
    except ValueError:
        return False


def _names(keys: list[str]) -> list[str]:
    """Return what tells keys apart and gives nothing away: the start of each one's SHA-256."""
    return [sha256(key.encode()).hexdigest()[:12] for key in keys]


def _file_of_stack(folder: Path, ring: str) -> Path:
    """Return where a stack that does not run keeps a ring.

    Raises:
        Misconfigured: It runs: its worker would not open what is sealed with a key that it does not have.
    """
    from devstack.lock import FolderLock  # noqa: PLC0415 - an extra that production does without

    if not folder.is_dir():
        raise Misconfigured(f"No stack has its data in {folder}. Name a file by --file, or a stack's folder by --dir.")
    if FolderLock(folder).is_held():
        raise Misconfigured(f"The stack in {folder} runs with these keys. Stop it, rotate, and start it again.")
    return folder / f"{ring}-keys"


def _to_set(variable: str, turned: list[str], turn: Turn) -> list[Text]:
    return [
        Text(f"Nothing is changed yet: {variable} is yours to set. The new ring, which is a secret:"),
        Text(f"{variable}={','.join(turned)}", no_wrap=True, overflow="ignore"),
        *_next_steps(turn),
    ]


def _written(target: Path, turned: list[str], turn: Turn) -> list[Text]:
    return [
        Text(f"{target}: {', '.join(_names(turned))}. The first one seals, all of them open.", style="green"),
        *_next_steps(turn),
    ]


def _next_steps(turn: Turn) -> list[Text]:
    if turn is Turn.ANNOUNCE:
        return [Text("Run `sb-transfer setup` with it, restart everything that has this ring, then: --how promote.")]
    return [
        Text("Restart the workers first, then the API and whoever uses the client."),
        Text("Keep the older keys for as long as anything that was made with them may still be shown."),
    ]
