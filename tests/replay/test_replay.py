"""Transfers wait for weeks: a deploy in between must find their histories playable."""

import json

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from tests.replay.incompatible import IncompatibleWorkflow
from tests.replay.record import HISTORIES, STORIES
from workflows.mailbox import MailboxForwardingWorkflow
from workflows.transfer import TransferWorkflow

RECORDED = sorted(HISTORIES.glob("*.json"))


def history_of(name: str) -> WorkflowHistory:
    text = (HISTORIES / f"{name}.json").read_text()
    started = json.loads(text)["events"][0]["workflowExecutionStartedEventAttributes"]
    return WorkflowHistory.from_json(started["workflowId"], text)


def test_every_ending_has_a_history() -> None:
    """An ending that was never recorded is an ending that a deploy may break unseen."""
    assert {path.stem for path in RECORDED} == set(STORIES) | {"mailbox_closed"}


@pytest.mark.parametrize("name", [path.stem for path in RECORDED])
async def test_recorded_histories_replay(name: str) -> None:
    """A workflow in flight during a deploy must go on, not stop with a non-determinism error."""
    replayer = Replayer(workflows=[TransferWorkflow, MailboxForwardingWorkflow], data_converter=pydantic_data_converter)
    await replayer.replay_workflow(history_of(name))


async def test_an_incompatible_change_is_caught() -> None:
    """The replay test itself must be able to fail: a variant with two steps swapped is rejected."""
    replayer = Replayer(workflows=[IncompatibleWorkflow], data_converter=pydantic_data_converter)
    with pytest.raises(workflow.NondeterminismError):
        await replayer.replay_workflow(history_of("released"))
