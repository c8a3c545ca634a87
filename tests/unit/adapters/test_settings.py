"""What operators write in the settings is understood, or refused by its name."""

from pathlib import Path

import pytest

from adapters.settings import Settings, WorkerRole, settings_of
from domain.errors import Misconfigured
from worker import served_cells, served_roles, watched_queue

NEEDED = {
    "SB_TRANSFER_DATABASE_URL": "postgresql://sb_owner@localhost/sb",
    "SB_TRANSFER_SMTP_URL": "smtp://localhost",
    "SB_TRANSFER_TICKET_KEYS": "a",
    "SB_TRANSFER_CERTIFICATE_KEYS": "b",
    "SB_TRANSFER_PAYLOAD_KEYS": "c",
}


def settings(**variables: str) -> Settings:
    return settings_of({**NEEDED, **{f"SB_TRANSFER_{name}": value for name, value in variables.items()}})


@pytest.mark.parametrize("nothing", ["none", "None ", ""])
def test_no_limit_is_no_limit(nothing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads an empty limit as none."""
    monkeypatch.setenv("SB_TRANSFER_CLONE_MAX_LAG", nothing)
    monkeypatch.setenv("SB_TRANSFER_CLONE_MAX_ACTIVE", nothing)
    assert (settings().clone_max_lag, settings().clone_max_active) == (None, None)


def test_limits_are_read_in_the_operators_units() -> None:
    """Reads limits in their units."""
    assert settings(CLONE_MAX_LAG="64MB").clone_max_lag == 64_000_000
    assert settings(CLONE_MAX_LAG="1 GiB").clone_max_lag == 2**30
    assert settings(CLONE_MAX_ACTIVE="0").clone_max_active == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [("CLONE_MAX_LAG", "0"), ("CLONE_MAX_LAG", "much"), ("CLONE_MAX_ACTIVE", "-1"), ("CLONE_MAX_ACTIVE", "few")],
)
def test_a_limit_that_means_nothing_is_refused_by_name(name: str, value: str) -> None:
    """Refuses a meaningless limit by name."""
    with pytest.raises(Misconfigured, match=f"SB_TRANSFER_{name}"):
        settings(**{name: value})


def test_a_runbook_is_a_page_or_nothing() -> None:
    """Refuses a runbook's address that is no web page."""
    assert settings(RUNBOOK_URL="none").runbook_url is None
    assert settings(RUNBOOK_URL="https://docs.example/operations").runbook_url == "https://docs.example/operations"
    for value in ("javascript:alert(1)", "docs/operations.md", "https://docs.example/x#y", "https://docs.example/> [x"):
        with pytest.raises(Misconfigured, match="SB_TRANSFER_RUNBOOK_URL"):
            settings(RUNBOOK_URL=value)


def test_cells_are_read_with_their_addresses_and_a_worker_serves_all_or_some() -> None:
    """Reads databases with their addresses, and which of them a worker serves."""
    west = '{"west": "postgresql://sb_owner:secret@west/sb"}'
    assert (settings().cells, settings(CELLS="").cells) == ({}, {})
    given = settings(CELLS=west)
    assert given.cells["west"].get_secret_value().endswith("@west/sb")
    assert "secret" not in repr(given)
    assert served_cells(given) == ("home", "west")
    assert served_cells(settings(CELLS=west, SERVE_CELLS="west")) == ("west",)
    with pytest.raises(Misconfigured, match=r"names east, .* There are: home, west"):
        served_cells(settings(CELLS=west, SERVE_CELLS="west,east"))


def test_a_worker_serves_all_roles_or_some() -> None:
    """Clones need not share a process with workflow tasks; a worker is ready when it is heard on a queue of its own."""
    assert served_roles(settings()) == tuple(WorkerRole)
    assert watched_queue(settings()) == "transfers"
    clones = settings(SERVE_ROLES="clones", CELLS='{"west": "postgresql://west/sb"}', SERVE_CELLS="west")
    assert served_roles(clones) == (WorkerRole.CLONES,)
    assert watched_queue(clones) == "clone-west"
    assert watched_queue(settings(SERVE_ROLES="mail, previews")) == "mail"
    with pytest.raises(Misconfigured):
        settings(SERVE_ROLES="cloning")


@pytest.mark.parametrize("value", ["{'west': 'secret'}", '{"home": "secret"}', '{"We st": "secret"}', '["secret"]'])
def test_cells_that_cannot_be_read_are_refused_without_repeating_them(value: str) -> None:
    """Refuses unreadable addresses without repeating them."""
    with pytest.raises(Misconfigured, match="SB_TRANSFER_CELLS") as refused:
        settings(CELLS=value)
    assert "secret" not in str(refused.value)


def test_a_setting_may_stand_in_a_file(tmp_path: Path) -> None:
    """Reads `<setting>_FILE`, as container platforms hand over secrets, without the end of its line."""
    file = tmp_path / "keys"
    file.write_text("new,old\n")
    without = {name: value for name, value in NEEDED.items() if name != "SB_TRANSFER_TICKET_KEYS"}
    given = settings_of({**without, "SB_TRANSFER_TICKET_KEYS_FILE": str(file)})
    assert [key.get_secret_value() for key in given.ticket_keys] == ["new", "old"]


def test_a_setting_that_is_given_twice_or_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    """Refuses a file beside a value, and one that is not there, without repeating what either holds."""
    file = tmp_path / "url"
    file.write_text("smtp://secret@host")
    with pytest.raises(Misconfigured, match="SB_TRANSFER_SMTP_URL and SB_TRANSFER_SMTP_URL_FILE") as refused:
        settings(SMTP_URL_FILE=str(file))
    assert "secret" not in str(refused.value)
    with pytest.raises(Misconfigured, match=r"SB_TRANSFER_RUNBOOK_URL_FILE names .*/missing"):
        settings(RUNBOOK_URL_FILE=str(tmp_path / "missing"))


def test_a_program_asks_for_the_secrets_that_it_needs() -> None:
    """Starts a codec server without mail and signing keys, and nothing without what it uses."""
    codec = {"SB_TRANSFER_DATABASE_URL": "postgresql://x", "SB_TRANSFER_PAYLOAD_KEYS": "c"}
    given = settings_of(codec, needs=("payload_keys",))
    assert (given.ticket_keys, given.certificate_keys, given.smtp_url.get_secret_value()) == ((), (), "")
    with pytest.raises(Misconfigured) as refused:
        settings_of(codec)
    for missing in ("SMTP_URL", "TICKET_KEYS", "CERTIFICATE_KEYS"):
        assert f"SB_TRANSFER_{missing}: Field required" in str(refused.value)
    with pytest.raises(Misconfigured, match="SB_TRANSFER_DATABASE_URL: Field required"):
        settings_of({**NEEDED, "SB_TRANSFER_DATABASE_URL": ""})


def test_a_setting_of_this_process_does_not_leak_into_those_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes what the given variables say and nothing else: half of one system and half of another lose transfers."""
    monkeypatch.setenv("SB_TRANSFER_BASE_DOMAIN", "elsewhere.example")
    assert settings().base_domain == "sb.example"
