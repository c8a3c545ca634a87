"""The dashboard and the alerts: valid, explained, and about metrics that are really there."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.observability.conftest import Night
from tests.tools import debian
from tests.tools.paths import ROOT

PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = [
    rule
    for file in ("rules.yml", "alerts.yml")
    for group in yaml.safe_load((PROMETHEUS / file).read_text())["groups"]
    for rule in group["rules"]
]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy/grafana/dashboards/sb-transfer.json").read_text())
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
# What Prometheus itself has to say of a target.
BUILT_IN = {"up"}
NAME = re.compile(r"(?<![\w:\"])(?:sb_transfer[_:]|temporal_)[\w:]+|\bup\b")


def promtool(*words: str) -> None:
    """Run promtool: this machine's, or Debian's, fetched."""
    program = shutil.which("promtool")
    if program is None:
        program = str(debian.fetch("prometheus", ROOT / ".tools" / "prometheus") / "usr/bin/promtool")
    done = subprocess.run([program, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("check", "config", str(PROMETHEUS / "prometheus.yml")),
        ("check", "rules", "--lint=all", "--lint-fatal", str(PROMETHEUS / "rules.yml"), str(PROMETHEUS / "alerts.yml")),
        ("test", "rules", str(Path(__file__).with_name("alerts.test.yml"))),
    ],
    ids=["config", "rules", "alerts"],
)
def test_prometheus_takes_them_and_they_do_what_they_say(words: tuple[str, ...]) -> None:
    """Loads the rules into Prometheus, and fires each as its test says."""
    promtool(*words)


def test_every_alert_is_tried() -> None:
    """Has a test for each alert."""
    tried = yaml.safe_load(Path(__file__).with_name("alerts.test.yml").read_text())["tests"]
    fired = {each["alertname"] for test in tried for each in test["alert_rule_test"] if each["exp_alerts"]}
    assert fired == ALERTS.keys()


def test_every_alert_leads_to_its_section() -> None:
    """Links each alert to a heading that exists."""
    text = (ROOT / "docs/operations.md").read_text()
    section = text.partition("\n## Alerts\n")[2].partition("\n## ")[0]
    assert re.findall(r"^### (\S+)$", section, re.MULTILINE) == list(ALERTS)
    for name, rule in ALERTS.items():
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{name.lower()}"
        assert rule["labels"]["severity"] in {"critical", "warning"}


def test_every_query_is_one_that_prometheus_understands(tmp_path: Path) -> None:
    """Parses each query of the dashboard."""
    rules = [{"record": f"panel:query:{number}", "expr": query} for number, query in enumerate(QUERIES)]
    file = tmp_path / "dashboard.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", str(file))


def test_every_metric_that_is_named_is_there(night: Night) -> None:
    """Finds each named metric among those that programs make."""
    shown = {
        sample.name
        for text in night.metrics().values()
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    recorded = {rule["record"] for rule in RULES if "record" in rule}
    named = {query: set(NAME.findall(query)) for query in [*QUERIES, *(rule["expr"] for rule in RULES)]}
    assert all(named.values()), [query for query, names in named.items() if not names]
    assert set().union(*named.values()) - shown - recorded == BUILT_IN


def test_prometheus_asks_where_the_programs_answer() -> None:
    """Scrapes the ports at which the programs answer."""
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    for job in config["scrape_configs"]:
        (found,) = job["dns_sd_configs"]
        (service,) = found["names"]
        assert job["job_name"] == f"sb-transfer-{service}"
        assert COMPOSE[service]["environment"]["SB_TRANSFER_METRICS_BIND"] == f"0.0.0.0:{found['port']}"
        assert all(f":{found['port']}" not in port for port in COMPOSE[service].get("ports", []))


def test_grafana_finds_its_dashboard_and_its_source() -> None:
    """Provisions dashboard and source in the folders that Grafana reads."""
    provisioning = ROOT / "deploy/grafana/provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((provisioning / "dashboards/dashboards.yml").read_text())["providers"]
    assert f"./deploy/grafana/dashboards:{provider['options']['path']}:ro" in COMPOSE["grafana"]["volumes"]
    assert COMPOSE["prometheus"]["ports"][0].endswith(source["url"].rpartition(":")[2])
    assert {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]} == {source["uid"]}
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in DASHBOARD["panels"]]
    assert len(set(places)) == len(places)
