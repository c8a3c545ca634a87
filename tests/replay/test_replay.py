"""Transfers wait for weeks: a deploy in between must find their histories playable."""

import base64
import json

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from domain import messages as m
from domain.vocabulary import Scenario, UndoReason
from tests.replay.incompatible import IncompatibleWorkflow
from tests.replay.record import HISTORIES, STORIES
from workflows.mailbox import MailboxForwardingWorkflow
from workflows.transfer import TransferWorkflow

# The newest code's at the top; those of earlier releases, which running transfers may stem from, in a folder for each.
NEWEST = sorted(HISTORIES.glob("*.json"))
RECORDED = sorted(str(path.relative_to(HISTORIES).with_suffix("")) for path in HISTORIES.rglob("*.json"))
RECORDED_TRANSFERS = [name for name in RECORDED if not name.endswith("mailbox_closed")]


def history_of(name: str) -> WorkflowHistory:
    """Return a recorded history by its name, such as `released` or `0.1.0/released`."""
    text = (HISTORIES / f"{name}.json").read_text()
    started = json.loads(text)["events"][0]["workflowExecutionStartedEventAttributes"]
    return WorkflowHistory.from_json(started["workflowId"], text)


def test_every_ending_has_a_history() -> None:
    """An ending that was never recorded is an ending that a deploy may break unseen."""
    assert {path.stem for path in NEWEST} == set(STORIES) | {"mailbox_closed"}


@pytest.mark.parametrize("name", RECORDED)
async def test_recorded_histories_replay(name: str) -> None:
    """A workflow in flight during a deploy must go on, not stop with a non-determinism error."""
    replayer = Replayer(workflows=[TransferWorkflow, MailboxForwardingWorkflow], data_converter=pydantic_data_converter)
    await replayer.replay_workflow(history_of(name))


def test_every_scenario_and_ending_has_a_history() -> None:
    """A scenario or a reason to undo without a story would be replayed by nobody."""
    results = [
        m.TransferResult.model_validate_json(base64.b64decode(payload["data"]))
        for path in NEWEST
        for event in json.loads(path.read_text())["events"]
        if path.stem != "mailbox_closed"
        for payload in event.get("workflowExecutionCompletedEventAttributes", {}).get("result", {}).get("payloads", [])
    ]
    assert {result.scenario for result in results} >= set(Scenario)
    assert {result.undo_reason for result in results} == {None, *UndoReason}


async def test_an_incompatible_change_is_caught() -> None:
    """The replay test itself must be able to fail: a variant with two steps swapped is rejected."""
    replayer = Replayer(workflows=[IncompatibleWorkflow], data_converter=pydantic_data_converter)
    with pytest.raises(workflow.NondeterminismError):
        await replayer.replay_workflow(history_of("released"))
