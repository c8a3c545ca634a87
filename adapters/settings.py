"""Every setting of this service, read once, in the composition roots only.

Long, for each has its bounds here and the sentence that says what to write instead.
"""

import json
import os
import re
from collections.abc import Collection, Mapping
from datetime import time, timedelta
from enum import StrEnum
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, ByteSize, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from adapters.observability.logs import LogFormat
from domain.errors import Misconfigured
from domain.vocabulary import HOME
from domain.window import SHORTEST_WINDOW, Window, length_of

# The issuer that every embedded stack has; its key lies in a folder, so no server in earnest may trust it.
EMBEDDED_ISSUER = "urn:sb-transfer:embedded"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
# What has no default and not every program needs: a codec server sends no mail and signs nothing.
SECRETS = ("smtp_url", "ticket_keys", "certificate_keys", "payload_keys")
_FILE_SUFFIX = "_FILE"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _duration(value: Any) -> Any:
    """Read `30d`, `12h`, `90m` or `45s`; anything else is left to pydantic (ISO 8601, seconds)."""
    if isinstance(value, str) and (match := re.fullmatch(r"\s*(\d+)\s*([smhd])\s*", value)):
        return timedelta(seconds=int(match[1]) * _UNITS[match[2]])
    return value


def _key_ring(value: Any) -> Any:
    """Read keys separated by commas or white space, newest first."""
    return tuple(re.split(r"[\s,]+", value.strip())) if isinstance(value, str) and value.strip() else value


def _durations(value: Any) -> Any:
    """Read durations separated by commas or white space; `none` and an empty text are none."""
    if not isinstance(value, str):
        return value
    return tuple(_duration(part) for part in re.split(r"[\s,]+", value.strip()) if part and part.lower() != "none")


def _words(value: Any) -> Any:
    """Read words separated by commas or white space."""
    return tuple(part for part in re.split(r"[\s,]+", value) if part) if isinstance(value, str) else value


def _given(value: Any) -> Any:
    """Read an empty text and `none` as nothing: Compose cannot leave a variable out."""
    return None if isinstance(value, str) and value.strip().lower() in {"", "none"} else value


def _addresses(value: Any) -> Any:
    """Read a JSON object; an empty text is none. What cannot be read is not repeated: there are passwords in it."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value) if value.strip() else {}
    except json.JSONDecodeError:
        raise ValueError('give a JSON object such as {"west": "postgresql://user:password@host:port/db"}') from None


def _names(value: Any) -> Any:
    """Read names separated by commas or white space; `all` and an empty text are no choice."""
    if not isinstance(value, str):
        return value
    return None if value.strip().lower() in {"", "all"} else tuple(re.split(r"[\s,]+", value.strip()))


Duration = Annotated[timedelta, BeforeValidator(_duration)]


class WorkerRole(StrEnum):
    """What a worker may be there for: each has task queues of its own."""

    TRANSFERS = "transfers"
    """The workflows and their short transactions."""

    CLONES = "clones"
    """Clones, proofs and hashes of the cells that it serves."""

    CHECKS = "checks"
    """The last look before a release, in the cells that it serves: a person waits for it."""

    MAIL = "mail"
    PREVIEWS = "previews"
    WEBHOOKS = "webhooks"


class Inviter(StrEnum):
    """Who invites the users of a released environment."""

    MAIL = "mail"
    """A letter of this service to each."""

    PLATFORM = "platform"
    """The platform, which is told whom: no letter goes out."""


# What a transfer takes while it waits; docs/scale.md has where this is from.
CACHED_WORKFLOW_BYTES = 200_000


class Settings(BaseSettings):
    """The service's settings: environment variables with the prefix `SB_TRANSFER_`, or files that such variables name.

    `SB_TRANSFER_DATABASE_URL_FILE=/run/secrets/database-url` is read from that file, and so is every other setting. No
    secret has a default; those that a program does without are empty (`settings_of`).
    Where Temporal is comes from Temporal's own configuration (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, profiles, TLS).
    """

    model_config = SettingsConfigDict(env_prefix="SB_TRANSFER_", frozen=True, extra="ignore")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let nothing come by itself: `settings_of` knows which variables are meant, and which are files."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    database_url: SecretStr = Field(
        default=SecretStr(""), description="postgresql://user:password@host:port/database; the pages do without"
    )
    cells: Annotated[dict[str, SecretStr], NoDecode, BeforeValidator(_addresses)] = Field(
        default={}, description='addresses of other databases that environments live in: {"west": "postgresql://…"}'
    )
    serve_cells: Annotated[tuple[str, ...] | None, NoDecode, BeforeValidator(_names)] = Field(
        default=None, description="the cells whose heavy work this worker does, e.g. home,west; or all"
    )
    serve_roles: Annotated[tuple[WorkerRole, ...] | None, NoDecode, BeforeValidator(_names)] = Field(
        default=None, description="what this worker does: transfers, clones, checks, mail, previews, webhooks; or all"
    )
    smtp_url: SecretStr = Field(
        default=SecretStr(""), description="smtp://, smtps:// or smtp+starttls://, with user:password@ for a login"
    )
    ticket_keys: Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_key_ring)] = Field(
        default=(), description="Fernet keys, newest first; older ones still open tickets"
    )
    certificate_keys: Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_key_ring)] = Field(
        default=(), description="Ed25519 keys that sign certificates, newest first; older ones still vouch"
    )
    payload_keys: Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_key_ring)] = Field(
        default=(), description="AES-256 keys that encrypt histories, newest first; older ones still decrypt"
    )
    mail_from: str = "SB <noreply@sb.example>"
    mail_reply_to: str = Field(default="", description="who gets what people answer; the sender, if left out")
    support_contact: str = Field(default="", description="shown in mails: an address, a url or a telephone number")
    operators_to: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)] = Field(
        default=(), description="who gets a mail each morning about the evening: addresses"
    )
    base_domain: str = Field(default="sb.example", description="an environment lives at https://<host>.<base_domain>/")
    window_opens: time = time(22, 0)
    window_closes: time = Field(
        default=time(6, 0), description="a move that is not done by then is dropped and planned for the next evening"
    )
    window_grace: Duration = Field(
        default=timedelta(minutes=15),
        ge=timedelta(0),
        le=timedelta(hours=1),
        description="how much longer a move may take that is nearly done when the window closes",
    )
    timezone: str = "Europe/Amsterdam"
    ticket_ttl: Duration = Field(default=timedelta(days=30), gt=timedelta(0))
    ticket_reminders: Annotated[tuple[timedelta, ...], NoDecode, BeforeValidator(_durations)] = Field(
        default=(timedelta(days=7), timedelta(days=1)), description="how long before a ticket expires, or none"
    )
    release_reminder_every: Duration = Field(
        default=timedelta(days=7),
        # More often is nagging, and every reminder makes the workflow's history longer.
        ge=timedelta(days=1),
        description="how often the new side is reminded of a release that it has not made",
    )
    retirement_wait: Duration = Field(
        default=timedelta(days=14),
        ge=timedelta(0),
        description="how long the removal of an old environment can be called back",
    )
    inviter: Inviter = Field(
        default=Inviter.MAIL,
        description="who invites users after a release: a mail of ours to each, or the platform, which is told whom",
    )
    cancel_licence_url: str = Field(
        default="",
        description="where a licence is cancelled, shown in mail after an outsourcing; {licence} stands for its number",
    )
    reconcile_heals: bool = Field(
        # What is found at night is the trace of something that a person has done: that person is asked first.
        default=False,
        description="whether the nightly inspection heals what it finds, or only reports it; `setup` takes it over",
    )
    runbook_url: Annotated[str | None, BeforeValidator(_given)] = Field(
        default=None, description="where operators find docs/operations.md; the Temporal UI links to it"
    )
    question_timeout: Duration = Field(
        default=timedelta(seconds=5),
        gt=timedelta(0),
        description="how long a preview may look at an environment's rows",
    )
    clone_parallelism: int = Field(default=2, ge=1, le=32, description="database connections one clone may keep busy")
    clone_max_lag: Annotated[ByteSize | None, BeforeValidator(_given)] = Field(
        default=None, gt=0, description="a clone pauses while a standby is further behind than this: 64MB, 1GB, or none"
    )
    clone_max_active: Annotated[int | None, BeforeValidator(_given)] = Field(
        default=None,
        ge=0,
        description="a clone pauses while more sessions of other roles than this are at work, or none",
    )
    slots_transfers: int = Field(default=16, ge=1, le=200, description="short transactions that a worker runs at once")
    slots_clone: int = Field(default=2, ge=1, le=32, description="clones and proofs that a worker runs at once")
    slots_mail: int = Field(default=4, ge=1, le=100, description="mails that a worker sends at once")
    workflow_cache: ByteSize = Field(
        # One that is not cached costs a replay of its history when needed, and on an evening of a thousand all are
        # needed at once.
        default=ByteSize(200_000_000),
        ge=10 * CACHED_WORKFLOW_BYTES,
        description="memory for transfers that a worker keeps between two steps: 200MB for a thousand",
    )
    drain: Duration = Field(
        default=timedelta(minutes=2),
        gt=timedelta(0),
        description="how long a worker that is stopped waits for what its clones and proofs are at",
    )
    deployment: Annotated[str | None, BeforeValidator(_given)] = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_-]+$",
        description="the name of the worker deployment whose versions these workers are, or none",
    )
    build_id: Annotated[str | None, BeforeValidator(_given)] = Field(
        default=None, description="the version within the deployment; that of the code, if left out"
    )
    health_host: str = Field(default="127.0.0.1", description="the address on which a worker tells how it is")
    health_port: Annotated[int | None, BeforeValidator(_given)] = Field(
        default=None, ge=1, le=65535, description="the port on which a worker tells how it is, or none"
    )
    api_host: str = Field(default="127.0.0.1", description="the address on which the API listens")
    api_port: int = Field(default=8080, ge=1, le=65535, description="the port on which the API listens")
    api_uploads_per_minute: int = Field(
        default=10, ge=1, le=100_000, description="how often one licence, and one address, may try to upload a ticket"
    )
    api_changes_per_minute: int = Field(
        default=60,
        ge=1,
        le=100_000,
        description="how often one licence, one transfer, and one address, may ask for a change",
    )
    api_reschedules_per_day: int = Field(
        default=10,
        ge=1,
        le=100_000,
        description="how often a day one transfer may be given another evening, and its upload be corrected",
    )
    api_trusted_proxies: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)] = Field(
        default=(), description="addresses or networks of the proxies whose X-Forwarded-For is believed"
    )
    webhook_networks: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)] = Field(
        default=(), description="networks inside which webhooks may go, over plain HTTP too; none, if left out"
    )
    embedded: bool = Field(default=False, description="set by the embedded stack, which is its own token issuer")
    codec_host: str = Field(default="127.0.0.1", description="the address on which the codec server listens")
    codec_port: int = Field(default=8082, ge=1, le=65535, description="the port on which the codec server listens")
    codec_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)] = Field(
        default=(), description="where the Temporal UI is, such as https://temporal.example; no other page may decode"
    )
    oidc_issuer: str | None = Field(default=None, description="who makes the tokens that the API takes")
    oidc_audience: str = Field(default="sb-transfer", description="whom those tokens must be for")
    oidc_jwks_url: str | None = Field(default=None, description="where the issuer publishes its keys; https")
    web_host: str = Field(default="127.0.0.1", description="the address on which the pages are served")
    web_port: int = Field(default=8083, ge=1, le=65535, description="the port on which the pages are served")
    web_url: Annotated[str | None, BeforeValidator(_given)] = Field(
        default=None, description="where people find the pages, such as https://overdracht.example; https"
    )
    web_api_url: Annotated[str | None, BeforeValidator(_given)] = Field(
        default=None, description="where the pages find the API, such as http://api:8081"
    )
    web_session_keys: Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_key_ring)] = Field(
        default=(), description="Fernet keys that encrypt sessions, newest first; older ones still open sessions"
    )
    oidc_client_id: str = Field(default="sb-transfer-web", description="what the issuer calls the pages")
    oidc_client_secret: SecretStr = Field(
        default=SecretStr(""), repr=False, description="of a confidential client; empty: PKCE alone"
    )
    oidc_metadata_url: Annotated[str | None, BeforeValidator(_given)] = Field(
        default=None, description="the issuer's discovery document; its /.well-known/openid-configuration, if left out"
    )
    temporal_ui_url: Annotated[str | None, BeforeValidator(_given)] = Field(
        default=None, description="where operators find the Temporal UI, or none: the pages link to it"
    )
    metrics_bind: Annotated[str | None, BeforeValidator(_given)] = Field(
        default=None,
        pattern=r"^(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-fA-F:]+\]):\d{1,5}$",
        description="address:port on which this process shows its metrics, or none",
    )
    log_format: LogFormat = Field(default=LogFormat.AUTO, description="json, text, or auto: text on a terminal")
    mail_dir: Path | None = Field(default=None, description="where the embedded stack keeps mail; unused otherwise")

    @field_validator("runbook_url")
    @classmethod
    def _a_page_to_open(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"https?://[^\s<>#]+", value):
            raise ValueError("give the address of a page, such as https://docs.example/operations, or none")
        return value

    @field_validator("api_trusted_proxies", "webhook_networks")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for part in value:
            try:
                ip_network(part)
            except ValueError as error:
                raise ValueError(f"{part!r} is no address and no network such as 10.0.0.0/8") from error
        return value

    @field_validator("cells")
    @classmethod
    def _names_of_cells(cls, value: dict[str, SecretStr]) -> dict[str, SecretStr]:
        if HOME in value or not all(re.fullmatch("[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", name) for name in value):
            raise ValueError("name each cell with small letters, digits and hyphens; home is SB_TRANSFER_DATABASE_URL")
        return value

    @field_validator("oidc_issuer")
    @classmethod
    def _no_tokens_of_a_toy(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value == EMBEDDED_ISSUER and not info.data.get("embedded"):
            raise ValueError("this is the embedded stack's own issuer; name the platform's")
        return value

    @field_validator("oidc_jwks_url")
    @classmethod
    def _keys_that_cannot_be_forged(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value and not value.startswith("https://") and not info.data.get("embedded"):
            raise ValueError("give an address that begins with https://; keys that come otherwise can be forged")
        return value

    @field_validator("web_url", "oidc_metadata_url")
    @classmethod
    def _not_to_be_listened_to(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value and not value.startswith("https://") and not info.data.get("embedded"):
            raise ValueError("give an address that begins with https://; people log in there")
        return value.rstrip("/") if value else None

    @field_validator("codec_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if not re.fullmatch(r"https?://[^/*\s]+", origin):
                raise ValueError("give origins such as https://temporal.example, without a path and without a wildcard")
        return value

    @field_validator("codec_host")
    @classmethod
    def _nobody_else_s(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("embedded") and value not in _LOOPBACK:
            raise ValueError("the embedded stack's codec server shows plain text to this machine only; use 127.0.0.1")
        return value

    @field_validator("window_opens", "window_closes")
    @classmethod
    def _naive(cls, value: time) -> time:
        if value.tzinfo is not None:
            raise ValueError("give a wall-clock time such as 22:00; the zone is SB_TRANSFER_TIMEZONE")
        return value

    @field_validator("window_closes")
    @classmethod
    def _long_enough(cls, value: time, info: ValidationInfo) -> time:
        opens = info.data.get("window_opens")
        if opens is not None and length_of(opens, value) < SHORTEST_WINDOW:
            raise ValueError(
                f"the window would be shorter than two hours; it opens at {opens:%H:%M} (SB_TRANSFER_WINDOW_OPENS)"
            )
        return value

    @field_validator("ticket_reminders")
    @classmethod
    def _before_the_end(cls, value: tuple[timedelta, ...]) -> tuple[timedelta, ...]:
        if any(lead <= timedelta(0) for lead in value):
            raise ValueError("give times before the ticket expires, longest first, such as 7d,1d")
        return tuple(sorted(set(value), reverse=True))

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(
                f"{value!r} is no time zone of the IANA database; use a name such as Europe/Amsterdam"
            ) from error
        return value

    @property
    def window(self) -> Window:
        """Return the evening window."""
        return Window(self.window_opens, self.window_closes, self.zone, self.window_grace)

    @property
    def zone(self) -> ZoneInfo:
        """Return the zone whose wall clock rules the evening window."""
        return ZoneInfo(self.timezone)


def load_settings(needs: Collection[str] = SECRETS) -> Settings:
    """Read the settings from this process's environment; see `settings_of`."""
    return settings_of(os.environ, needs)


def settings_of(variables: Mapping[str, str], needs: Collection[str] = SECRETS, *, database: bool = True) -> Settings:
    """Return the settings in these variables, whatever the process's own say.

    Args:
        variables: Environment variables; an empty one counts as one that is not there.
        needs: What has no default and the program cannot do without.
        database: Whether it needs one.

    Raises:
        Misconfigured: One line per setting that is missing or unusable, without its value: a value may be a secret.
    """
    given: dict[str, Any] = {
        name: value for name in Settings.model_fields if (value := _value(variables, _variable(name)))
    }
    wanted = [*(["database_url"] if database else []), *needs]
    problems = [(name, "Field required") for name in wanted if name not in given]
    try:
        settings = Settings(**given)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)
        problems += [(str(problem["loc"][0]), problem["msg"]) for problem in found]
    if problems:
        lines = [f"{_variable(name)}: {words}" for name, words in problems]
        raise Misconfigured("Unusable settings. Set these and start again:\n  " + "\n  ".join(lines))
    return settings


def _variable(name: str) -> str:
    return f"{Settings.model_config['env_prefix']}{name.upper()}"


def _value(variables: Mapping[str, str], variable: str) -> str | None:
    """Return what a variable says, or the file that `<variable>_FILE` names, without the line's end.

    Raises:
        Misconfigured: Both are given, or the file cannot be read; the message does not repeat what either holds.
    """
    value, file = variables.get(variable), variables.get(f"{variable}{_FILE_SUFFIX}")
    if not file:
        return value
    if value:
        raise Misconfigured(f"{variable} and {variable}{_FILE_SUFFIX} are both set. Set one of them.")
    try:
        return Path(file).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{variable}{_FILE_SUFFIX} names {file}, which cannot be read as text.") from error
