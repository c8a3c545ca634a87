"""The fake's HTTP: requests in, answers and problems out, by the same paths, fields and headers as the service's.

Long, for every route of the description has its function here.
"""

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from email.message import Message as EmailPart
from email.parser import BytesParser
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

import httpx
from pydantic import TypeAdapter

from sb_transfer_client import errors as e
from sb_transfer_client.models import CheckKind, LicenceKind, MailKind, ProblemDetail, TransferState, UndoReason
from sb_transfer_client.testing._hooks import Hooks, Webhook
from sb_transfer_client.testing._portfolios import Portfolios
from sb_transfer_client.testing._rules import Caller, Refusal, refusal
from sb_transfer_client.testing._world import Environment, Transfer, World

_ANY: TypeAdapter[Any] = TypeAdapter(Any)
_ID = "(?P<id>[0-9a-fA-F-]{36})"
_OF_YEAR = "(?P<administration>[0-9a-fA-F-]{36})/(?P<year>[0-9]{1,4})"
_YEAR = 2025
_DAY = "(?P<evening>[0-9]{4}-[0-9]{2}-[0-9]{2})"
_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_ROWS = ("administration", "check", "after", "limit")
_ITEM = ("kind", "message_id", "raw", "document_id", "name", "content")
_LIST = ("state", "scenario", "licence", "environment_id", "outcome", "search", "limit", "cursor")
_ENVIRONMENTS = ("search", "licence", "limit", "cursor")


@dataclass(frozen=True, slots=True)
class Request:
    """What a route is given."""

    caller: Caller
    transfer: Transfer | None
    which: UUID | None
    words: dict[str, str]
    """What else the path names."""

    query: list[tuple[str, str]]
    body: dict[str, Any]
    accept: str
    heard: str
    key: str

    def one(self, name: str, default: str = "") -> str:
        """Return a query parameter."""
        return dict(self.query).get(name, default)

    @property
    def reason(self) -> str:
        """Return why."""
        return str(self.body.get("reason") or "")

    @property
    def of(self) -> Transfer:
        """Return the transfer that the path names."""
        if self.transfer is None:
            raise refusal(e.TransferUnknown)
        return self.transfer


Handler = Callable[[Request], httpx.Response]


@dataclass(frozen=True, slots=True)
class _Route:
    method: str
    pattern: re.Pattern[str]
    action: str
    handle: Handler
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    query: tuple[str, ...] = ()


class FakeHttp:
    """Answers requests out of a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._answers: dict[tuple[str, str], tuple[bytes, httpx.Response]] = {}
        self.hooks = Hooks(world)
        one, why = f"/v1/transfers/{_ID}", ("reason",)
        self.portfolios = Portfolios(world)
        folio = f"/v1/portfolios/{_ID}"
        hook, hook_fields = f"/v1/webhooks/{_ID}", ("types", "licence", "description", "after")
        rows: list[tuple[str, str, str, Handler, tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = [
            ("GET", f"/v1/environments/{_ID}/preview", "preview", self._preview, (), (), ()),
            ("POST", "/v1/transfers", "prepare", self._start, ("environment_id",), ("for_licence", "reason"), ()),
            ("GET", "/v1/transfers", "see", self._list, (), (), _LIST),
            ("GET", one, "see", lambda request: _json(self._view(request.of, request.caller)), (), (), ()),
            ("GET", f"{one}/progress", "see", self._progress, (), (), ()),
            ("GET", f"{one}/events", "audit", self._events, (), (), ("after", "limit")),
            ("GET", f"{one}/ticket", "ticket", self._ticket, (), (), ()),
            ("POST", f"{one}/ticket", "ticket", self._make_ticket, (), why, ()),
            ("GET", f"{one}/comparison", "compare", self._comparison, (), (), ("after", "limit")),
            ("GET", f"{one}/comparison/rows", "compare", self._rows, (), (), _ROWS),
            ("GET", f"{one}/comparison/file", "compare", self._file, (), (), ("format",)),
            ("GET", f"{one}/auditfiles", "compare", self._years, (), (), ()),
            ("GET", f"{one}/auditfiles/{_OF_YEAR}", "compare", self._auditfile, (), (), ("side",)),
            ("GET", f"{one}/certificate", "certificate", self._certificate, (), (), ()),
            ("GET", f"{one}/checklist", "compare", self._checklist, (), (), ()),
            ("POST", f"{one}/checklist", "tick", self._tick, ("item",), ("done", "reason"), ()),
            ("POST", f"{one}/release", "release", self._release, (), ("note", "reason"), ()),
            ("POST", f"{one}/reject", "reject", self._undo(UndoReason.REJECTED), why, (), ()),
            ("POST", f"{one}/hurry", "hurry", self._hurry, (), why, ()),
            ("POST", f"{one}/start-now", "start_now", self._start_now, (), why, ()),
            ("POST", f"{one}/reschedule", "reschedule", self._reschedule, ("evening",), why, ()),
            ("POST", f"{one}/correct", "correct", self._correct, (), _CORRECTION, ()),
            ("POST", f"{one}/cancel", "cancel", self._undo(UndoReason.CANCELLED), (), why, ()),
            ("GET", f"{one}/held-items", "see_held", self._held, (), (), ("after", "limit")),
            ("POST", f"{one}/mails", "resend_mail", self._mail, ("kind",), ("to", "reason"), ()),
            ("GET", f"/v1/evenings/{_DAY}", "audit", self._evening, (), (), ()),
            ("POST", "/v1/uploads", "upload", self._upload, ("ticket", "name"), ("url_part", "licence", "reason"), ()),
            ("POST", f"/v1/environments/{_ID}/retirement", "retire", self._retire, (), why, ()),
            ("GET", f"/v1/environments/{_ID}/retirement", "see", self._retirement, (), (), ()),
            ("POST", f"/v1/environments/{_ID}/retirement/call-back", "retire", self._call_back, (), why, ()),
            ("POST", "/v1/deliveries", "deliver", self._deliver, ("address", "received_at"), _ITEM, ()),
            ("POST", "/v1/portfolios", "move_portfolio", self._create_portfolio, ("licence",), _PORTFOLIO, ()),
            ("GET", "/v1/portfolios", "see_portfolio", self._portfolios, (), (), ("limit", "cursor")),
            ("GET", folio, "see_portfolio", self._portfolio, (), (), ("after", "limit", "state")),
            ("POST", f"{folio}/begin", "move_portfolio", self._begin_portfolio, (), why, ()),
            ("POST", f"{folio}/release", "move_portfolio", self._release_portfolio, (), why, ()),
            ("POST", f"{folio}/retry", "move_portfolio", self._retry_portfolio, (), ("number", "reason"), ()),
            ("POST", f"{folio}/reject", "move_portfolio", self._reject_item, ("number", "reason"), (), ()),
            ("POST", f"{folio}/cancel", "move_portfolio", self._cancel_portfolio, (), why, ()),
            ("POST", f"{folio}/tickets", "move_portfolio", self._portfolio_tickets, (), why, ()),
            ("GET", "/v1/events", "see", self._feed, (), (), ("after", "limit", "type")),
            ("GET", "/v1/webhooks", "see_webhooks", self._webhooks, (), (), ("licence", "limit", "cursor")),
            ("POST", "/v1/webhooks", "change_webhooks", self._create_webhook, ("url",), hook_fields, ()),
            ("GET", hook, "see_webhooks", self._webhook, (), (), ()),
            ("PATCH", hook, "change_webhooks", self._change_webhook, (), _CHANGES, ()),
            ("DELETE", hook, "change_webhooks", self._delete_webhook, (), (), ()),
            ("POST", f"{hook}/secret", "change_webhooks", self._rotate_secret, (), (), ()),
            ("POST", f"{hook}/redeliver", "change_webhooks", self._redeliver, ("after",), (), ()),
            ("POST", "/v1/uploads/preview", "look", self._preview_upload, ("ticket",), ("licence",), ()),
            ("GET", "/v1/environments", "see", self._environments, (), (), _ENVIRONMENTS),
            ("PUT", "/v1/licences/(?P<number>.+)", "register", self._register_licence, _LICENCE, _MAY, ()),
            ("PUT", f"/v1/environments/{_ID}", "register", self._register, ("licence", "name"), _WHERE, ()),
            ("GET", "/v1/held-items", "see_held", self._all_held, (), (), ("after", "limit")),
            ("GET", "/v1/licences", "see", self._licences, (), (), ("search",)),
            ("GET", "/v1/names", "upload", self._names, (), (), ("name", "url_part", "licence", "transfer_id")),
            ("POST", "/v1/incidents", "incident", self._upload, _INCIDENT, (), ()),
        ]
        self._routes = [_Route(row[0], re.compile(row[1]), *row[2:]) for row in rows]

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer a request whose body has been read."""
        self._world.turn()
        self.portfolios.turn()
        path = request.url.path
        if request.method == "GET" and path in ("/livez", "/readyz"):
            return _json({"status": "ok"} if path == "/livez" else _READY)
        try:
            return self._once(request, self._caller(request))
        except Refusal as refused:
            return _problem(refused.kind, path, refused.fields, request.headers.get("accept-language", "nl"))

    def _once(self, request: httpx.Request, caller: Caller) -> httpx.Response:
        """Answer by the key of a POST: what was answered is answered again, and a refusal is not kept."""
        key = request.headers.get("idempotency-key", "").strip('"')
        if request.method != "POST":
            return self._route(request, caller)
        if not _KEY.fullmatch(key):
            raise refusal(e.RequestInvalid, ("header.Idempotency-Key", "give a new one per new request"))
        body = _body(request)
        digest = sha256(f"{request.url.path}{sorted((k, str(v)) for k, v in body.items())}".encode()).digest()
        before, kept = self._answers.get((caller.subject, key), (digest, None))
        if before != digest:
            raise refusal(e.KeyReused)
        if kept is not None:
            headers = {**kept.headers, "Idempotency-Replayed": "true"}
            return httpx.Response(kept.status_code, headers=headers, content=kept.content)
        answer = self._route(request, caller)
        if answer.headers.get("cache-control") != "no-store":
            self._answers[caller.subject, key] = (digest, answer)
        return answer

    def _route(self, request: httpx.Request, caller: Caller) -> httpx.Response:
        for route in self._routes:
            found = route.pattern.fullmatch(request.url.path)
            if found and route.method == request.method:
                break
        else:
            return httpx.Response(404)
        query = parse_qsl(request.url.query.decode(), keep_blank_values=True)
        wrong = [(f"query.{name}", "is not known here") for name, _ in query if name not in route.query]
        body = _body(request) if route.method in ("POST", "PATCH", "PUT") else {}
        wrong += [(f"body.{name}", "Field required") for name in route.required if body.get(name) in (None, "")]
        wrong += [(f"body.{name}", "is not known here") for name in body if name not in route.required + route.optional]
        if wrong:
            raise refusal(e.RequestInvalid, *wrong)
        caller.require(route.action)
        which = UUID(found["id"]) if "id" in route.pattern.groupindex else None
        transfer = self._transfer(caller, route, which) if which and "transfers" in request.url.path else None
        accept, heard = request.headers.get("accept", ""), request.headers.get("last-event-id", "")
        key = request.headers.get("idempotency-key", "")
        given = Request(caller, transfer, which, found.groupdict(), query, body, accept, heard, key)
        if route.method == "POST":
            if transfer is not None:
                self._world.require_moment(transfer, route.action)
            caller.require_reason(route.action, given.reason)
            if transfer is not None and caller.must_say_why(route.action):
                self._world.tell(transfer, f"support_{route.action}", caller.actor, given.reason)
        return route.handle(given)

    def _transfer(self, caller: Caller, route: _Route, which: UUID) -> Transfer:
        transfer = self._world.transfers.get(which)
        if transfer is None or not caller.may("see", transfer.old.licence, transfer.new_licence):
            raise refusal(e.TransferUnknown)
        if not caller.may(route.action, transfer.old.licence, transfer.new_licence):
            raise refusal(e.NotAllowed)
        if not caller.reads_now(route.action, transfer.state):
            raise refusal(e.WrongMoment)
        return transfer

    def _caller(self, request: httpx.Request) -> Caller:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        try:
            said = json.loads(base64.urlsafe_b64decode(token))
            return Caller(frozenset(said["roles"]), said["licence"], said["name"])
        except (ValueError, KeyError, TypeError):
            raise refusal(e.NotAuthenticated) from None
        finally:
            del scheme

    # --- the routes ---------------------------------------------------------------------------------------------

    def _environment(self, request: Request, action: str, which: UUID) -> Environment:
        found = self._world.environments.get(which)
        if found is None or found.status == "gone":
            raise refusal(e.EnvironmentUnknown)
        own = found.status not in ("building", "awaiting_release") and request.caller.may(action, found.licence, None)
        if not own and not request.caller.may_everywhere(action):
            raise refusal(e.EnvironmentUnknown)
        return found

    def _preview(self, request: Request) -> httpx.Response:
        environment = self._environment(request, "preview", request.which or UUID(int=0))
        licence = self._world.licences[environment.licence]
        lists = ("open_quotes", "app_connections", "banks_carried", "banks_to_reactivate", "users_to_relink")
        return _json(
            {
                **{name: [] for name in (*lists, "unreachable", "obstacles")},
                "administrations": [environment.name],
                "left_out": {},
                "environment": _environment(environment),
                "holder_name": licence.holder,
                "licence_kind": licence.kind,
                "tables": 16,
                "estimate": {"rows": 1_000, "bytes": 1_000_000, "seconds": 1.0},
                "unasked": [],
            }
        )

    def _start(self, request: Request) -> httpx.Response:
        environment = self._environment(request, "prepare", _uuid(request.body["environment_id"], "environment_id"))
        wanted = request.body.get("for_licence")
        transfer = self._world.start(environment, wanted.strip() if wanted else None, request.caller)
        if request.caller.must_say_why("prepare"):
            self._world.tell(transfer, "support_prepare", request.caller.actor, request.reason)
        headers = {"Location": f"/v1/transfers/{transfer.transfer_id}"}
        return _json({"transfer_id": transfer.transfer_id, "state": TransferState.PREPARING}, 202, headers)

    def _list(self, request: Request) -> httpx.Response:
        states = [value for name, value in request.query if name == "state"]
        caller, licence = request.caller, request.one("licence").strip()
        if caller.is_bound:
            if licence not in ("", caller.licence):
                return _json({"items": [], "next_cursor": None})
            licence = caller.licence or ""
        found = [
            transfer
            for transfer in reversed(self._world.transfers.values())
            if (not states or transfer.state in states)
            and (not licence or licence in (transfer.old.licence, transfer.new_licence))
            and request.one("scenario") in ("", transfer.scenario)
            and request.one("outcome") in ("", transfer.undo_reason or ("released" if transfer.state.is_final else ""))
            and (not (which := request.one("environment_id")) or UUID(which) in _environments_of(transfer))
            and _is_found(transfer, request.one("search"), licence if caller.is_bound else "")
        ]
        limit, first = int(request.one("limit", "50")), int(request.one("cursor", "0"))
        lines = [self._line(transfer, caller) for transfer in found[first : first + limit]]
        return _json({"items": lines, "next_cursor": str(first + limit) if len(found) > first + limit else None})

    def _progress(self, request: Request) -> httpx.Response:
        """Send what is new and end: whoever listens connects again, and the clock may have been turned meanwhile."""
        said = _dump(self._view(request.of, request.caller)).decode()
        name = sha256(said.encode()).hexdigest()[:16]
        event = "" if name == request.heard else f"event: status\r\nid: {name}\r\ndata: {said}\r\n\r\n"
        return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, content=f"retry: 10\r\n\r\n{event}")

    def _events(self, request: Request) -> httpx.Response:
        after, limit = int(request.one("after", "0")), int(request.one("limit", "1000"))
        return _json([event for event in request.of.events if event["event_id"] > after][:limit])

    def _ticket(self, request: Request) -> httpx.Response:
        transfer = request.of
        if transfer.ticket_issued_at is None:
            raise refusal(e.WrongMoment)
        revoked = transfer.ended_at if transfer.state is TransferState.UNDONE else None
        return _json(
            {
                "file_name": _file_name(transfer),
                "issued_at": transfer.ticket_issued_at,
                "expires_at": transfer.expires_at,
                "for_licence": transfer.for_licence,
                "made_at": transfer.ticket_made_at,
                "used_at": transfer.uploaded_at,
                "revoked_at": revoked,
            }
        )

    def _make_ticket(self, request: Request) -> httpx.Response:
        content = self._world.make_ticket(request.of, request.caller)
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Disposition": f'attachment; filename="{_file_name(request.of)}"',
            "Cache-Control": "no-store",
        }
        return httpx.Response(200, headers=headers, content=content)

    def _retire(self, request: Request) -> httpx.Response:
        environment = self._environment(request, "retire", request.which or UUID(int=0))
        transfer, due_at = self._world.retire(environment)
        told = {"environment_id": environment.environment_id, "transfer_id": transfer.transfer_id, "due_at": due_at}
        return _json(told, 202)

    def _retirement(self, request: Request) -> httpx.Response:
        environment = self._environment(request, "see", request.which or UUID(int=0))
        state, due_at = self._world.retirement_of(environment)
        retired_at = due_at if state == "removed" else None
        told = {"environment_id": environment.environment_id, "state": state, "due_at": due_at}
        return _json({**told, "retired_at": retired_at})

    def _call_back(self, request: Request) -> httpx.Response:
        environment = self._environment(request, "retire", request.which or UUID(int=0))
        self._world.call_back(environment)
        return _json({"environment_id": environment.environment_id})

    def _deliver(self, request: Request) -> httpx.Response:
        key = str(request.body.get("message_id") or request.body.get("document_id") or request.body.get("raw"))
        return _json({"outcome": self._world.deliver(request.body, key)})

    def _held(self, request: Request) -> httpx.Response:
        transfer, caller = request.of, request.caller
        shows = caller.sees("held", transfer.state, transfer.old.licence, transfer.new_licence)
        waiting = self._world.held_for(transfer)
        after, limit = int(request.one("after", "0")), int(request.one("limit", "100"))
        found = [one for one in waiting if one["item_id"] > after]
        hidden = {} if shows else {"sender": None, "subject": None}
        kinds = [one["kind"] for one in waiting]
        return _json(
            {
                "mails": kinds.count("mail") if found else 0,
                "scans": kinds.count("scan") if found else 0,
                "items": [one | hidden for one in found[:limit]],
                "next_after": found[limit - 1]["item_id"] if len(found) > limit else None,
            },
            headers={"Cache-Control": "no-store"},
        )

    def _all_held(self, request: Request) -> httpx.Response:
        if request.caller.is_bound:
            raise refusal(e.NotAllowed)
        waiting = self._world.held_anywhere()
        after, limit = int(request.one("after", "0")), int(request.one("limit", "100"))
        found = [one for one in waiting if one["item_id"] > after]
        kinds = [one["kind"] for one in waiting]
        counts = {kind: kinds.count(kind) if found else 0 for kind in ("mail", "scan")}
        more = found[limit - 1]["item_id"] if len(found) > limit else None
        shown = {"mails": counts["mail"], "scans": counts["scan"], "items": found[:limit], "next_after": more}
        return _json(shown, headers={"Cache-Control": "no-store"})

    def _upload(self, request: Request) -> httpx.Response:
        body, caller = request.body, request.caller
        licence = str(body.get("licence") or caller.licence or "").strip()
        if not licence or not caller.may("upload", None, licence):
            raise refusal(e.LicenceUnknown)
        kind = self._world.licences[licence].kind if licence in self._world.licences else None
        if "login_email" in body and kind is LicenceKind.FIRM:
            raise refusal(e.NotSelfManaged)
        action = "incident" if "login_email" in body else "upload"
        wanted = (str(body["name"]), body.get("url_part"), body.get("login_email"))
        transfer = self._world.upload(body["ticket"], licence, *wanted)
        if caller.must_say_why(action):
            self._world.tell(transfer, f"support_{action}", caller.actor, request.reason)
        self._world.tell(transfer, "upload_accepted", caller.actor)
        return _json(_taken(transfer), 202, {"Location": f"/v1/transfers/{transfer.transfer_id}"})

    def _preview_upload(self, request: Request) -> httpx.Response:
        licence = self._licence_of(request, str(request.body.get("licence") or ""))
        transfer, scenario = self._world.look(request.body["ticket"], licence)
        return _json(
            {
                "transfer_id": transfer.transfer_id,
                "environment_name": transfer.old.name,
                "holder_name": self._world.licences[transfer.old.licence].holder,
                "new_holder": self._world.licences[licence].holder,
                "scenario": scenario,
                "expires_at": transfer.expires_at,
            },
            headers={"Cache-Control": "no-store"},
        )

    def _licence_of(self, request: Request, wanted: str) -> str:
        licence = (wanted or request.caller.licence or "").strip()
        if not licence or not request.caller.may("upload", None, licence):
            raise refusal(e.LicenceUnknown)
        return licence

    def _environments(self, request: Request) -> httpx.Response:
        caller, licence, search = request.caller, request.one("licence").strip(), request.one("search").lower()
        if caller.is_bound:
            if licence not in ("", caller.licence):
                return _json({"items": [], "next_cursor": None})
            licence = caller.licence or ""
        found = [
            {**(_environment(one) or {}), "holder_name": self._world.licences[one.licence].holder, "status": one.status}
            for one in self._world.environments.values()
            if one.status not in ("building", "awaiting_release", "gone")
            and licence in ("", one.licence)
            and search in f"{one.name} {one.url} {one.licence}".lower()
        ]
        found.sort(key=lambda one: (one["licence_number"], str(one["name"]).lower()))
        limit, first = int(request.one("limit", "50")), int(request.one("cursor", "0"))
        following = str(first + limit) if len(found) > first + limit else None
        return _json({"items": found[first : first + limit], "next_cursor": following})

    def _licences(self, request: Request) -> httpx.Response:
        caller, search = request.caller, request.one("search")
        return _json(
            [
                {
                    "licence_number": one.number,
                    "holder_name": one.holder,
                    "kind": one.kind,
                    "in_use": self._world.is_in_use(one.number),
                    "cancelled_at": one.cancelled_at,
                }
                for one in self._world.licences.values()
                if (not caller.is_bound or one.number == caller.licence)
                and (one.number == search or (search and search.lower() in one.holder.lower()))
            ]
        )

    def _register_licence(self, request: Request) -> httpx.Response:
        number = request.words["number"].strip()
        licence, new = self._world.register_licence(number, request.body)
        shown = {"licence_number": number, "holder_name": licence.holder, "kind": licence.kind, "host": licence.host}
        shown |= {"contact_email": licence.contact_email, "language": licence.language}
        return _json({**shown, "cancelled": licence.cancelled_at is not None}, 201 if new else 200)

    def _register(self, request: Request) -> httpx.Response:
        environment, new = self._world.register(request.which or UUID(int=0), request.body)
        shown = {**(_environment(environment) or {}), "url_part": environment.url.rpartition("/")[2]}
        shown |= {"mailbox_address": environment.mailbox_address, "login_email": environment.login_email}
        return _json({**shown, "status": environment.status}, 201 if new else 200)

    def _names(self, request: Request) -> httpx.Response:
        number = self._licence_of(request, request.one("licence"))
        if number not in self._world.licences:
            raise refusal(e.LicenceUnknown)
        name, part, url, wrong = self._world.would_be(request.one("name"), request.one("url_part"), number)
        problems = [
            {
                "field": "name" if kind in (e.NameInvalid, e.NameTaken) else "url_part",
                "type": kind.type_uri,
                "detail": kind.default_english(),
            }
            for kind in wrong
        ]
        return _json({"name": name, "url_part": part, "url": url, "problems": problems})

    def _checklist(self, request: Request) -> httpx.Response:
        return _json({"items": self._world.checklist(request.of)})

    def _tick(self, request: Request) -> httpx.Response:
        done = bool(request.body.get("done", True))
        self._world.tick(request.of, str(request.body["item"]), request.caller, done=done)
        return _json({"items": self._world.checklist(request.of)})

    def _comparison(self, request: Request) -> httpx.Response:
        if "text/html" in request.accept:
            page = "<!doctype html><title>Vergelijking</title><p>Alles is gelijk.</p>"
            return httpx.Response(200, headers={"Content-Type": "text/html; charset=utf-8"}, content=page)
        transfer = _compared(request)
        figures = {"rows": 1, "totals": {}, "tally": {}}
        check = {
            "administration_id": transfer.old.environment_id,
            "administration": transfer.old.name,
            "check": CheckKind.RELATIONS,
            "old": figures,
            "new": figures,
            "equal": True,
            "differences": [],
        }
        inbox = {"mails_open": 0, "scans_open": 0, "mails_held": 0, "scans_held": 0}
        page_of = {"made_at": self._world.clock.now, "total": 1, "unequal": 0, "inbox": inbox, "next_after": None}
        return _json({**page_of, "checks": [check] if request.one("after", "0") == "0" else []})

    def _rows(self, request: Request) -> httpx.Response:
        transfer, check = _compared(request), request.one("check")
        if check not in {kind.value for kind in CheckKind}:
            raise refusal(e.RequestInvalid, ("query.check", "is no check"))
        ours = request.one("administration") == str(transfer.old.environment_id) and check == CheckKind.RELATIONS
        row = {"item": "1", "old": {"name": "Anna"}, "new": {"name": "Anna"}, "equal": True}
        columns = [{"name": "name", "title": "Naam"}]
        return _json({"check": check, "columns": columns, "rows": [row] if ours else [], "next_after": None})

    def _file(self, request: Request) -> httpx.Response:
        kinds = {"csv": "text/csv; charset=utf-8", "xlsx": "application/octet-stream"}
        kind = kinds.get(request.one("format", "csv"))
        if kind is None:
            raise refusal(e.RequestInvalid, ("query.format", "is no form"))
        content = f"administratie\r\n{_compared(request).old.name}\r\n"
        return httpx.Response(200, headers={"Content-Type": kind}, content=content)

    def _evening(self, request: Request) -> httpx.Response:
        try:
            evening = date.fromisoformat(request.words["evening"])
        except ValueError:
            raise refusal(e.RequestInvalid, ("path.evening", "is no day")) from None
        return _json(self._world.evening(evening))

    def _years(self, request: Request) -> httpx.Response:
        old = _compared(request).old
        year = {"administration_id": old.environment_id, "administration": old.name, "year": _YEAR, "lines": 1}
        return _json([year])

    def _auditfile(self, request: Request) -> httpx.Response:
        old, words = _compared(request).old, request.words
        if request.one("side", "new") not in ("old", "new"):
            raise refusal(e.RequestInvalid, ("query.side", "is neither old nor new"))
        if (UUID(words["administration"]), int(words["year"])) != (old.environment_id, _YEAR):
            raise refusal(e.YearUnknown)
        content = (
            f'<?xml version="1.0" encoding="UTF-8"?><auditfile><header><fiscalYear>{_YEAR}</fiscalYear></header>'
            "<company><transactions/></company></auditfile>"
        )
        return httpx.Response(200, headers={"Content-Type": "application/octet-stream"}, content=content)

    def _certificate(self, request: Request) -> httpx.Response:
        if request.of.state not in (TransferState.AWAITING_RELEASE, TransferState.RELEASED):
            raise refusal(e.CertificateUnknown)
        return _json({"certificate": {"transfer_id": request.of.transfer_id}, "signature": "00"})

    def _release(self, request: Request) -> httpx.Response:
        self._world.release(request.of, request.caller, str(request.body.get("note") or ""))
        return _json(self._view(request.of, request.caller))

    def _hurry(self, request: Request) -> httpx.Response:
        self._world.tell(request.of, "hurried", request.caller.actor, request.reason)
        return _json(self._view(request.of, request.caller))

    def _start_now(self, request: Request) -> httpx.Response:
        self._world.start_now(request.of, request.caller)
        return _json(self._view(request.of, request.caller))

    def _undo(self, why: UndoReason) -> Handler:
        def undo(request: Request) -> httpx.Response:
            self._world.undo(request.of, why, request.caller.actor, request.reason)
            return _json(self._view(request.of, request.caller))

        return undo

    def _reschedule(self, request: Request) -> httpx.Response:
        try:
            evening = date.fromisoformat(str(request.body["evening"]))
        except ValueError:
            raise refusal(e.RequestInvalid, ("body.evening", "Input should be a valid date")) from None
        starts_at, closes_at = self._world.reschedule(request.of, evening, request.caller, request.reason)
        return _json({"transfer_id": request.of.transfer_id, "starts_at": starts_at, "closes_at": closes_at})

    def _correct(self, request: Request) -> httpx.Response:
        wanted = {name: str(request.body[name]) for name in _CORRECTED if request.body.get(name) is not None}
        if not wanted:
            raise refusal(e.RequestInvalid, ("body", "give name, url_part or login_email"))
        transfer = request.of
        self._world.correct(transfer, wanted, request.caller, request.reason)
        return _json(_taken(transfer))

    def _mail(self, request: Request) -> httpx.Response:
        if request.body["kind"] not in {kind.value for kind in MailKind}:
            raise refusal(e.RequestInvalid, ("body.kind", "is no kind of mail"))
        if request.of.state.is_final:
            raise refusal(e.WrongMoment)
        return _json({"kind": request.body["kind"], "sent": 1, "problems": []})

    def _create_portfolio(self, request: Request) -> httpx.Response:
        made = self.portfolios.create(request.caller, request.key, request.body)
        return _json(made, 202, {"Location": f"/v1/portfolios/{made['portfolio_id']}"})

    def _portfolios(self, request: Request) -> httpx.Response:
        return _json(self.portfolios.listed(int(request.one("limit", "50")), request.one("cursor")))

    def _portfolio(self, request: Request) -> httpx.Response:
        after, limit = int(request.one("after", "0")), int(request.one("limit", "200"))
        return _json(self.portfolios.standing(request.which, after, limit, request.one("state")))

    def _begin_portfolio(self, request: Request) -> httpx.Response:
        self.portfolios.begin(self.portfolios.one(request.which))
        return _json(self.portfolios.standing(request.which, 0, 200))

    def _release_portfolio(self, request: Request) -> httpx.Response:
        self.portfolios.release(self.portfolios.one(request.which), request.caller)
        return _json(self.portfolios.standing(request.which, 0, 200))

    def _retry_portfolio(self, request: Request) -> httpx.Response:
        self.portfolios.retry(self.portfolios.one(request.which), request.body.get("number"))
        return _json(self.portfolios.standing(request.which, 0, 200))

    def _reject_item(self, request: Request) -> httpx.Response:
        number = int(request.body["number"])
        self.portfolios.reject(self.portfolios.one(request.which), number, request.caller, request.reason)
        return _json(self.portfolios.standing(request.which, number - 1, 1))

    def _cancel_portfolio(self, request: Request) -> httpx.Response:
        self.portfolios.cancel(self.portfolios.one(request.which), request.caller)
        return _json(self.portfolios.standing(request.which, 0, 200))

    def _portfolio_tickets(self, request: Request) -> httpx.Response:
        content = self.portfolios.tickets(self.portfolios.one(request.which), request.caller)
        return httpx.Response(200, headers={"Content-Type": "application/octet-stream", **_UNKEPT}, content=content)

    def _feed(self, request: Request) -> httpx.Response:
        types = [value for name, value in request.query if name == "type"]
        licence = request.caller.licence if request.caller.is_bound else None
        after, limit = int(request.one("after", "0")), int(request.one("limit", "100"))
        return _json(self.hooks.page(licence, after, limit, types))

    def _webhooks(self, request: Request) -> httpx.Response:
        limit = int(request.one("limit", "50"))
        return _json(self.hooks.listed(request.caller, request.one("licence"), limit, request.one("cursor")))

    def _create_webhook(self, request: Request) -> httpx.Response:
        return _json(self.hooks.create(request.caller, request.key, request.body), 201, _UNKEPT)

    def _webhook(self, request: Request) -> httpx.Response:
        return _json(self.hooks.change(self.hooks.one(request.caller, "see_webhooks", request.which), {}))

    def _change_webhook(self, request: Request) -> httpx.Response:
        return _json(self.hooks.change(self._own_webhook(request), request.body))

    def _delete_webhook(self, request: Request) -> httpx.Response:
        self.hooks.delete(self._own_webhook(request))
        return httpx.Response(204)

    def _rotate_secret(self, request: Request) -> httpx.Response:
        return _json(self.hooks.rotate(self._own_webhook(request)), headers=_UNKEPT)

    def _redeliver(self, request: Request) -> httpx.Response:
        return _json(self.hooks.redeliver(self._own_webhook(request), int(request.body["after"])))

    def _own_webhook(self, request: Request) -> Webhook:
        return self.hooks.one(request.caller, "change_webhooks", request.which)

    # --- what callers are shown ---------------------------------------------------------------------------------

    def _view(self, transfer: Transfer, caller: Caller) -> dict[str, Any]:
        def shown(part: str, value: object) -> object:
            return value if caller.sees(part, transfer.state, transfer.old.licence, transfer.new_licence) else None

        holder = self._world.licences[transfer.new_licence].holder if transfer.new_licence else None
        open_now = transfer.state in (TransferState.AWAITING_RELEASE, TransferState.RELEASED)
        summary = {"checks": 1, "unequal": 0, "administrations": 1} if open_now else None
        return {
            "transfer_id": transfer.transfer_id,
            "state": transfer.state,
            "steps": self._world.steps(transfer),
            "scenario": shown("scenario", transfer.scenario),
            "old": shown("old", _environment(transfer.old)),
            "new": shown("new", _environment(transfer.new)),
            "new_holder": shown("new_holder", holder),
            "waiting_for": "",
            "progress": None,
            "starts_at": transfer.starts_at,
            "ticket_expires_at": shown("ticket", transfer.expires_at),
            "comparison": shown("comparison", summary),
            "mail_problems": shown("inner", []),
            "undo_reason": transfer.undo_reason,
            "undo_detail": shown("inner", transfer.undo_detail),
        }

    def _line(self, transfer: Transfer, caller: Caller) -> dict[str, Any]:
        view = self._view(transfer, caller)
        old, new = view["old"], view["new"]
        return {
            **{
                name: view[name]
                for name in ("transfer_id", "state", "scenario", "new_holder", "starts_at", "undo_reason")
            },
            "environment_name": old and old["name"],
            "new_name": new and new["name"],
            "source_licence": old and old["licence_number"],
            "target_licence": new and new["licence_number"],
            "created_at": transfer.created_at,
        }


_UNKEPT = {"Cache-Control": "no-store"}
_LICENCE = ("holder_name", "kind", "host", "contact_email")
_MAY = ("language", "cancelled")
_WHERE = ("url_part", "mailbox_address", "login_email")
_PORTFOLIO = (
    *("environments", "from_licence", "name_pattern", "first_evening", "per_night", "at_once", "begin", "upload"),
    "reason",
)
_CHANGES = ("url", "types", "description", "enabled")
_CORRECTED = ("name", "url_part", "login_email")
_CORRECTION = (*_CORRECTED, "reason")
_INCIDENT = ("ticket", "licence", "name", "url_part", "login_email", "reason")
_READY = {"ready": True, "database": "ok", "migrations": "ok", "temporal": "ok", "payload_keys": "ok"}


def _taken(transfer: Transfer) -> dict[str, Any]:
    """Return the answer to an upload, or to its correction."""
    new = transfer.new
    if new is None:
        raise AssertionError("an upload reserves an environment")
    return {
        "transfer_id": transfer.transfer_id,
        "scenario": transfer.scenario,
        "starts_at": transfer.starts_at,
        "new_environment_id": new.environment_id,
        "name": new.name,
        "url": new.url,
    }


def _compared(request: Request) -> Transfer:
    """Return the transfer that is meant, once both its environments have been compared."""
    if request.of.state not in (TransferState.AWAITING_RELEASE, TransferState.RELEASED):
        raise refusal(e.WrongMoment)
    return request.of


def _is_found(transfer: Transfer, search: str, licence: str) -> bool:
    halves = [one for one in (transfer.old, transfer.new) if one and licence in ("", one.licence)]
    words = " ".join(f"{one.name} {one.url} {one.licence}" for one in halves).lower()
    return search.lower() in words or str(transfer.transfer_id).startswith(search.lower())


def _environments_of(transfer: Transfer) -> set[UUID]:
    return {one.environment_id for one in (transfer.old, transfer.new) if one}


def _environment(environment: Environment | None) -> dict[str, Any] | None:
    if environment is None:
        return None
    return {
        "environment_id": environment.environment_id,
        "name": environment.name,
        "url": environment.url,
        "licence_number": environment.licence,
    }


def _file_name(transfer: Transfer) -> str:
    return f"{transfer.old.url.rpartition('/')[2]}-overdracht-ticket.avr"


def _uuid(value: object, where: str) -> UUID:
    try:
        return UUID(str(value))
    except ValueError:
        raise refusal(e.RequestInvalid, (f"body.{where}", "Input should be a valid UUID")) from None


def _bytes_of(part: EmailPart) -> bytes:
    content = part.get_payload(decode=True)
    if not isinstance(content, bytes):
        raise TypeError("a part of a form holds bytes")
    return content


def _body(request: httpx.Request) -> dict[str, Any]:
    """Return the fields of a JSON body or of a form."""
    kind = request.headers.get("content-type", "")
    if kind.startswith("multipart/form-data"):
        parsed = BytesParser().parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + request.content)
        fields: dict[str, Any] = {}
        for part in parsed.walk():
            if not part.is_multipart():
                name, content = part.get_param("name", header="content-disposition"), _bytes_of(part)
                fields[str(name)] = content if part.get_filename() else content.decode()
        return fields
    try:
        body = json.loads(request.content)
    except ValueError:
        raise refusal(e.RequestInvalid) from None
    if not isinstance(body, dict):
        raise refusal(e.RequestInvalid)
    return body


def _dump(value: object) -> bytes:
    return _ANY.dump_json(value)


def _json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> httpx.Response:
    content = _dump(value)
    return httpx.Response(status, headers={"Content-Type": "application/json", **(headers or {})}, content=content)


def _problem(kind: type[e.Problem], path: str, fields: tuple[tuple[str, str], ...], language: str) -> httpx.Response:
    sentence = kind.default_english()
    problem = {
        "type": kind.type_uri,
        "title": kind.__name__,
        "status": kind.status_code,
        "detail": sentence,
        "details": {"nl": sentence, "en": sentence},
        "instance": path,
        "errors": [{"where": where, "problem": problem} for where, problem in fields],
    }
    content = ProblemDetail.model_validate(problem).model_dump_json()
    headers = {"Content-Type": "application/problem+json", "Content-Language": language[:2]}
    return httpx.Response(kind.status_code, headers=headers, content=content)
