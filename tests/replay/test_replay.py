"""Transfers wait for weeks: a deploy in between must find their histories playable."""

import json

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory

from adapters.crypto.payload_codec import ENCODING
from domain import messages as m
from domain.vocabulary import Scenario, UndoReason
from tests.replay.converting import CONVERTER
from tests.replay.incompatible import IncompatibleWorkflow
from tests.replay.record import HISTORIES, REPAIRS, STORIES
from tests.workflows.playback import replayer
from workflows.mailbox import MailboxForwardingWorkflow
from workflows.reconcile import ReconcileWorkflow
from workflows.recovery import RecoveryWorkflow
from workflows.retirement import RetirementWorkflow
from workflows.transfer import TransferWorkflow

# The newest code's at the top; those of earlier releases, which running transfers may stem from, in a folder for each.
NEWEST = sorted(HISTORIES.glob("*.json"))
RECORDED = sorted(str(path.relative_to(HISTORIES).with_suffix("")) for path in HISTORIES.rglob("*.json"))
OTHERS = {"mailbox_closed", "retired", *REPAIRS}
RECORDED_TRANSFERS = [name for name in RECORDED if name.rpartition("/")[2] not in OTHERS]


def history_of(name: str) -> WorkflowHistory:
    """Return a recorded history by its name, such as `released` or `0.1.0/released`."""
    text = (HISTORIES / f"{name}.json").read_text()
    started = json.loads(text)["events"][0]["workflowExecutionStartedEventAttributes"]
    return WorkflowHistory.from_json(started["workflowId"], text)


def test_every_ending_has_a_history() -> None:
    """Has a recorded history for every ending."""
    assert {path.stem for path in NEWEST} == set(STORIES) | OTHERS


@pytest.mark.parametrize("name", RECORDED)
async def test_recorded_histories_replay(name: str) -> None:
    """Replays every recorded history."""
    player = replayer(
        TransferWorkflow,
        MailboxForwardingWorkflow,
        RecoveryWorkflow,
        ReconcileWorkflow,
        RetirementWorkflow,
        data_converter=CONVERTER,
    )
    await player.replay_workflow(history_of(name))


async def test_every_scenario_and_ending_has_a_history() -> None:
    """Has a recorded history for every scenario and reason to undo."""
    results = []
    for path in NEWEST:
        last = history_of(path.stem).events[-1]
        payloads = last.workflow_execution_completed_event_attributes.result.payloads
        if path.stem not in OTHERS:
            if last.HasField("workflow_execution_failed_event_attributes"):
                failure = last.workflow_execution_failed_event_attributes.failure
                payloads = failure.application_failure_info.details.payloads
            results += await CONVERTER.decode(payloads, [m.TransferResult])
    assert {result.scenario for result in results} >= set(Scenario)
    assert {result.undo_reason for result in results} == {None, *UndoReason}


def test_one_history_is_encrypted() -> None:
    """Replays an encrypted history among the others."""
    encodings = {
        path.stem: {
            payload.metadata["encoding"]
            for event in history_of(path.stem).events
            for payload in event.workflow_execution_started_event_attributes.input.payloads
        }
        for path in NEWEST
    }
    encrypted = {name for name, found in encodings.items() if found == {ENCODING}}
    assert encrypted == {"released_encrypted"}
    assert b"new side" not in (HISTORIES / "released_encrypted.json").read_bytes()


async def test_an_incompatible_change_is_caught() -> None:
    """Rejects a variant with two steps swapped."""
    player = replayer(IncompatibleWorkflow, data_converter=CONVERTER)
    with pytest.raises(workflow.NondeterminismError):
        await player.replay_workflow(history_of("released"))
