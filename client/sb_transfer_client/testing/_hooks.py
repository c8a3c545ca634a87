"""The fake's webhooks and its feed: who is told of what, and deliveries for a backend's own receiver."""

import os
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from sb_transfer_client import errors as e
from sb_transfer_client.models import CloudEvent, EventData, EventEnvironment, TransferState
from sb_transfer_client.testing._rules import Caller, refusal
from sb_transfer_client.testing._world import Environment, Transfer, World
from sb_transfer_client.webhooks import sign

S = TransferState
_STATES = {
    "environment_frozen": S.PREPARING,
    "ticket_issued": S.AWAITING_UPLOAD,
    "upload_accepted": S.SCHEDULED,
    "clone_started": S.CLONING,
    "certificate_issued": S.AWAITING_RELEASE,
    "environment_released": S.RELEASED,
    "undo_begun": S.UNDOING,
    "undo_finished": S.UNDONE,
}
_OLD_ONLY = frozenset({"environment_frozen", "ticket_issued", "ticket_downloaded", "licence_left", "licence_cancelled"})
_BOTH = frozenset(_STATES) - _OLD_ONLY | {"start_rescheduled"}
_NEW_ONLY = frozenset({"upload_corrected"})
_MOST = 20
_BOTH_SECRETS_FOR = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A request that the service would send now."""

    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class Webhook:
    """An endpoint."""

    url: str
    licence: str | None
    types: list[str]
    description: str
    created_at: datetime
    position: int
    webhook_id: UUID = field(default_factory=uuid4)
    secret: str = ""
    before: str = ""
    before_until: datetime | None = None
    disabled_at: datetime | None = None


class Hooks:
    """Endpoints of a world, and its events."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._webhooks: dict[UUID, Webhook] = {}
        self._made: dict[tuple[str, str], UUID] = {}

    # --- the feed -----------------------------------------------------------------------------------------------

    def page(self, licence: str | None, after: int, limit: int, types: list[str]) -> dict[str, Any]:
        """Return a page of the feed."""
        found = [one for one in self._told(licence, types) if int(one.sequence) > after]
        last = self._world.log[-1][1]["event_id"] if self._world.log else 0
        more = len(found) > limit
        read_to = int(found[limit - 1].sequence) if more else max(after, last)
        return {"items": found[:limit], "after": read_to, "more": more}

    def _told(self, licence: str | None, types: list[str]) -> list[CloudEvent]:
        events = [
            _cloud_event(transfer, event, licence)
            for transfer, event in self._world.log
            if licence is None or _is_heard(transfer, event["kind"], licence)
        ]
        return [event for event in events if not types or event.type in types]

    # --- endpoints ----------------------------------------------------------------------------------------------

    def create(self, caller: Caller, key: str, body: dict[str, Any]) -> dict[str, Any]:
        """Register an endpoint."""
        licence = (body.get("licence") or (caller.licence if caller.is_bound else None) or "").strip() or None
        if not caller.may_for_licence("change_webhooks", licence):
            raise refusal(e.WebhookUnknown)
        _require_url(str(body["url"]))
        known = self._webhooks.get(self._made.get((caller.subject, key), UUID(int=0)))
        if known is None:
            if sum(one.licence == licence for one in self._webhooks.values()) >= _MOST:
                raise refusal(e.TooManyWebhooks)
            after = body.get("after")
            last = self._world.log[-1][1]["event_id"] if self._world.log else 0
            known = Webhook(
                url=str(body["url"]),
                licence=licence,
                types=list(body.get("types") or []),
                description=str(body.get("description") or ""),
                created_at=self._world.clock.now,
                position=last if after is None else int(after),
            )
            self._webhooks[known.webhook_id] = known
            self._made[caller.subject, key] = known.webhook_id
        known.secret = _new_secret()
        return {**self._view(known), "secret": known.secret}

    def listed(self, caller: Caller, licence: str, limit: int, cursor: str) -> dict[str, Any]:
        """Return a page of endpoints by id."""
        if caller.is_bound and licence not in ("", caller.licence):
            return {"items": [], "next_cursor": None}
        whose = caller.licence if caller.is_bound else licence or None
        found = [
            one
            for one in sorted(self._webhooks.values(), key=lambda one: one.webhook_id)
            if (whose is None or one.licence == whose) and (not cursor or one.webhook_id > UUID(cursor))
        ]
        following = found[limit - 1].webhook_id if len(found) > limit else None
        return {"items": [self._view(one) for one in found[:limit]], "next_cursor": following}

    def one(self, caller: Caller, action: str, which: UUID | None) -> Webhook:
        """Return an endpoint of the caller's."""
        found = self._webhooks.get(which or UUID(int=0))
        if found is None or not caller.may_for_licence(action, found.licence):
            raise refusal(e.WebhookUnknown)
        return found

    def change(self, webhook: Webhook, body: dict[str, Any]) -> dict[str, Any]:
        """Change what is given."""
        if body.get("url") is not None:
            _require_url(str(body["url"]))
            webhook.url = str(body["url"])
        webhook.types = webhook.types if body.get("types") is None else list(body["types"])
        webhook.description = webhook.description if body.get("description") is None else str(body["description"])
        if body.get("enabled") is not None:
            webhook.disabled_at = None if body["enabled"] else webhook.disabled_at or self._world.clock.now
        return self._view(webhook)

    def delete(self, webhook: Webhook) -> None:
        """Forget an endpoint."""
        del self._webhooks[webhook.webhook_id]

    def rotate(self, webhook: Webhook) -> dict[str, Any]:
        """Give an endpoint another secret."""
        webhook.before, webhook.before_until = webhook.secret, self._world.clock.now + _BOTH_SECRETS_FOR
        webhook.secret = _new_secret()
        return {**self._view(webhook), "secret": webhook.secret}

    def redeliver(self, webhook: Webhook, after: int) -> dict[str, Any]:
        """Let everything behind a position be delivered again."""
        webhook.position = min(webhook.position, after)
        return self._view(webhook)

    def deliveries(self) -> list[Delivery]:
        """Return what would be sent now, in order, and take it for delivered."""
        moment = int(self._world.clock.now.timestamp())
        found: list[Delivery] = []
        for webhook in self._webhooks.values():
            if webhook.disabled_at is not None:
                continue
            for event in self._waiting(webhook):
                body = event.model_dump_json().encode()
                both = (
                    webhook.before_until is not None
                    and bool(webhook.before)
                    and webhook.before_until > self._world.clock.now
                )
                secrets = [webhook.secret, webhook.before] if both else [webhook.secret]
                headers = {
                    "Content-Type": "application/cloudevents+json; charset=utf-8",
                    "webhook-id": event.id,
                    "webhook-timestamp": str(moment),
                    "webhook-signature": " ".join(f"v1,{sign(one, event.id, moment, body)}" for one in secrets),
                }
                found.append(Delivery(webhook.url, headers, body))
                webhook.position = int(event.sequence)
        return found

    def _waiting(self, webhook: Webhook) -> list[CloudEvent]:
        return [one for one in self._told(webhook.licence, webhook.types) if int(one.sequence) > webhook.position]

    def _view(self, webhook: Webhook) -> dict[str, Any]:
        before = webhook.before_until if webhook.before_until and webhook.before_until > self._world.clock.now else None
        return {
            "webhook_id": webhook.webhook_id,
            "url": webhook.url,
            "licence": webhook.licence,
            "types": webhook.types,
            "description": webhook.description,
            "enabled": webhook.disabled_at is None,
            "disabled_because": "by_hand" if webhook.disabled_at else None,
            "disabled_at": webhook.disabled_at,
            **dict.fromkeys(("failing_since", "last_problem", "last_delivered_at", "next_attempt_at")),
            "pending": len(self._waiting(webhook)),
            "previous_secret_until": before,
            "created_at": webhook.created_at,
        }


def _new_secret() -> str:
    return f"whsec_{b64encode(os.urandom(32)).decode()}"


def _require_url(url: str) -> None:
    parts = urlsplit(url)
    near = parts.hostname == "127.0.0.1"  # where a test's own receiver is
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and near)) or parts.username:
        raise refusal(e.WebhookUrlRefused)


def _is_heard(transfer: Transfer, kind: str, licence: str) -> bool:
    as_old = transfer.old.licence == licence and kind in _OLD_ONLY | _BOTH
    return as_old or (transfer.new_licence == licence and kind in _BOTH | _NEW_ONLY)


def _cloud_event(transfer: Transfer, event: dict[str, Any], licence: str | None) -> CloudEvent:
    kind, everything = event["kind"], licence is None
    state = _STATES.get(kind)
    return CloudEvent(
        id=f"evt_{event['event_id']}",
        type=f"nl.sb.transfer.{state or kind}.v1",
        subject=str(transfer.transfer_id),
        time=event["at"],
        sequence=str(event["event_id"]),
        data=EventData(
            transfer_id=transfer.transfer_id,
            kind=kind,
            state=state,
            undo_reason=transfer.undo_reason if state in (S.UNDOING, S.UNDONE) else None,
            old=_environment(transfer.old) if licence in (None, transfer.old.licence) else None,
            new=_environment(transfer.new) if transfer.new and licence in (None, transfer.new_licence) else None,
            starts_at=transfer.starts_at if state is S.SCHEDULED else None,
            actor=event["actor"] if everything else None,
            reason=event["reason"] if everything else None,
            detail=event["detail"] if everything else None,
        ),
    )


def _environment(environment: Environment) -> EventEnvironment:
    return EventEnvironment(
        environment_id=environment.environment_id, name=environment.name, licence_number=environment.licence
    )
