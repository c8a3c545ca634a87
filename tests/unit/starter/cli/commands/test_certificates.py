"""Certificates on the command line of somebody who has no server at all."""

import json
from pathlib import Path

import pytest

from starter.cli.main import execute
from starter.cli.output import ExitCode
from tests.unit.domain.test_certificate import FILE, SIGNER, certificate, new_key


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a certificate and its issuer's public keys, and no settings around."""
    for name in ("SB_TRANSFER_DATABASE_URL", "SB_TRANSFER_CERTIFICATE_KEYS", "TEMPORAL_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "certificate.json").write_bytes(FILE)
    (tmp_path / "keys.pem").write_text(SIGNER.reader.pem())
    monkeypatch.chdir(tmp_path)
    return tmp_path


VERIFY = ["verify-certificate", "certificate.json", "--public-key", "keys.pem"]


def test_a_receiver_checks_a_certificate_offline(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Checks a certificate without any server, and says what it proves."""
    assert folder
    assert execute(VERIFY) == ExitCode.OK
    told = capsys.readouterr().out
    assert f"Genuine: signed with key {SIGNER.key_id}" in told
    assert "2 tables with 4 rows arrived as they were frozen." in told
    assert "1 of them were then changed on purpose" in told
    assert execute([*VERIFY, "--json"]) == ExitCode.OK
    found = json.loads(capsys.readouterr().out)
    assert found["certificate"] == certificate(SIGNER.key_id).model_dump(mode="json")
    assert found["sides"] == []


def test_an_altered_certificate_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Refuses an altered certificate with an exit code of its own."""
    (folder / "certificate.json").write_bytes(FILE.replace(b'"rows": 3', b'"rows": 4'))
    assert execute(VERIFY) == ExitCode.REFUSED
    assert "Dit bestand is geen ongewijzigd certificaat." in capsys.readouterr().err
    assert execute([*VERIFY, "--json"]) == ExitCode.REFUSED
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "CertificateAltered"


def test_a_strangers_certificate_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Refuses a strange signature and names the key it needs."""
    for name in ("SB_TRANSFER_DATABASE_URL", "SB_TRANSFER_SMTP_URL"):
        monkeypatch.setenv(name, "smtp://nowhere:25" if "SMTP" in name else "postgresql://nobody@nowhere/none")
    for name in ("SB_TRANSFER_TICKET_KEYS", "SB_TRANSFER_CERTIFICATE_KEYS", "SB_TRANSFER_PAYLOAD_KEYS"):
        monkeypatch.setenv(name, new_key().get_secret_value())
    assert execute(["certificate-keys"]) == ExitCode.OK
    (folder / "others.pem").write_text(capsys.readouterr().out)
    for words in (["--public-key", "others.pem"], []):  # the second: this service's own keys, which are the same
        assert execute(["verify-certificate", "certificate.json", *words]) == ExitCode.REFUSED
        assert SIGNER.key_id in capsys.readouterr().err


def test_without_keys_nothing_is_believed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Refuses to check without trusted keys."""
    assert folder
    assert execute(["verify-certificate", "certificate.json"]) == ExitCode.MISCONFIGURED
    assert "--public-key FILE" in capsys.readouterr().err
    assert execute(["verify-certificate", "missing.json", "--public-key", "keys.pem"]) == ExitCode.MISCONFIGURED
