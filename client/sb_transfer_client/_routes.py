"""Every route as a method of both clients, written down once: the sync one answers, the async one is awaited."""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import wraps
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, overload

import httpx

from sb_transfer_client import _calls
from sb_transfer_client._calls import Call, Pages
from sb_transfer_client._exchange import Exchange, Headers, Retries, trace_headers
from sb_transfer_client._stream import SILENCE_SECONDS

P = ParamSpec("P")
T = TypeVar("T")
Item = TypeVar("Item")
Token = str | Callable[[], str] | httpx.Auth
"""A bearer token, what returns a fresh one for each request, or any authentication of httpx."""

# A release reads both environments once more before it answers.
_PATIENCE_SECONDS = 150.0
_CONNECT_SECONDS = 10.0


class Sync(Protocol):
    """What sends calls and blocks."""

    def send(self, call: Call[T], /) -> T: ...

    def iterate(self, pages: Pages[T, Item], /) -> Iterator[Item]: ...


class Async(Protocol):
    """What sends calls and is awaited."""

    def send(self, call: Call[T], /) -> Coroutine[Any, Any, T]: ...

    def iterate(self, pages: Pages[T, Item], /) -> AsyncIterator[Item]: ...


class Route(Generic[P, T]):
    """A method made of a function that describes a call."""

    def __init__(self, describe: Callable[P, Call[T]]) -> None:
        self._describe = describe
        self.__doc__ = describe.__doc__

    @overload
    def __get__(self, client: None, owner: type[Any]) -> Callable[P, Call[T]]: ...
    @overload
    def __get__(self, client: Sync, owner: type[Any]) -> Callable[P, T]: ...
    @overload
    def __get__(self, client: Async, owner: type[Any]) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, client: Any, owner: type[Any]) -> Any:
        """Return the method of a client; of the class, the function itself."""
        return self._describe if client is None else _bound(client.send, self._describe)


class PagedRoute(Generic[P, T, Item]):
    """A method that yields what many calls answer."""

    def __init__(self, describe: Callable[P, Pages[T, Item]]) -> None:
        self._describe = describe
        self.__doc__ = describe.__doc__

    @overload
    def __get__(self, client: None, owner: type[Any]) -> Callable[P, Pages[T, Item]]: ...
    @overload
    def __get__(self, client: Sync, owner: type[Any]) -> Callable[P, Iterator[Item]]: ...
    @overload
    def __get__(self, client: Async, owner: type[Any]) -> Callable[P, AsyncIterator[Item]]: ...
    def __get__(self, client: Any, owner: type[Any]) -> Any:
        """Return the method of a client; of the class, the function itself."""
        return self._describe if client is None else _bound(client.iterate, self._describe)


def _bound(send: Callable[..., Any], describe: Callable[P, Any]) -> Callable[P, Any]:
    @wraps(describe)
    def bound(*args: P.args, **kwargs: P.kwargs) -> Any:
        return send(describe(*args, **kwargs))

    return bound


class Routes:
    """What both clients are made of: the routes by their names in the description, and what each call carries."""

    preview_transfer = Route(_calls.preview_transfer)
    start_transfer = Route(_calls.start_transfer)
    make_ticket = Route(_calls.make_ticket)
    get_ticket = Route(_calls.get_ticket)
    cancel_transfer = Route(_calls.cancel_transfer)
    upload_ticket = Route(_calls.upload_ticket)
    upload_incident = Route(_calls.upload_incident)
    preview_upload = Route(_calls.preview_upload)
    check_name = Route(_calls.check_name)
    register_licence = Route(_calls.register_licence)
    register_environment = Route(_calls.register_environment)
    list_licences = Route(_calls.list_licences)
    get_checklist = Route(_calls.get_checklist)
    tick_checklist = Route(_calls.tick_checklist)
    get_certificate = Route(_calls.get_certificate)
    list_auditfiles = Route(_calls.list_auditfiles)
    get_auditfile = Route(_calls.get_auditfile)
    get_comparison_file = Route(_calls.get_comparison_file)
    get_comparison_page = Route(_calls.get_comparison_page)
    release_transfer = Route(_calls.release_transfer)
    reject_transfer = Route(_calls.reject_transfer)
    correct_upload = Route(_calls.correct_upload)
    reschedule_transfer = Route(_calls.reschedule_transfer)
    get_transfer = Route(_calls.get_transfer)
    get_evening = Route(_calls.get_evening)
    hurry_transfer = Route(_calls.hurry_transfer)
    start_transfer_now = Route(_calls.start_transfer_now)
    resend_mail = Route(_calls.resend_mail)
    retire_environment = Route(_calls.retire_environment)
    get_retirement = Route(_calls.get_retirement)
    call_back_retirement = Route(_calls.call_back_retirement)
    deliver_mail = Route(_calls.deliver_mail)
    deliver_scan = Route(_calls.deliver_scan)
    deliver_item = Route(_calls.deliver_item)
    create_portfolio = Route(_calls.create_portfolio)
    get_portfolio = Route(_calls.get_portfolio)
    begin_portfolio = Route(_calls.begin_portfolio)
    release_portfolio = Route(_calls.release_portfolio)
    make_portfolio_tickets = Route(_calls.make_portfolio_tickets)
    retry_portfolio = Route(_calls.retry_portfolio)
    reject_portfolio_item = Route(_calls.reject_portfolio_item)
    cancel_portfolio = Route(_calls.cancel_portfolio)
    create_webhook = Route(_calls.create_webhook)
    get_webhook = Route(_calls.get_webhook)
    change_webhook = Route(_calls.change_webhook)
    delete_webhook = Route(_calls.delete_webhook)
    rotate_webhook_secret = Route(_calls.rotate_webhook_secret)
    redeliver_events = Route(_calls.redeliver_events)
    get_liveness = Route(_calls.get_liveness)
    get_readiness = Route(_calls.get_readiness)
    list_transfers = PagedRoute(_calls.list_transfers)
    list_environments = PagedRoute(_calls.list_environments)
    list_events = PagedRoute(_calls.list_events)
    list_all_events = PagedRoute(_calls.list_all_events)
    list_portfolios = PagedRoute(_calls.list_portfolios)
    list_webhooks = PagedRoute(_calls.list_webhooks)
    list_all_held_items = PagedRoute(_calls.list_all_held_items)
    list_held_items = PagedRoute(_calls.list_held_items)
    list_compared_rows = PagedRoute(_calls.list_compared_rows)
    get_comparison = PagedRoute(_calls.get_comparison)

    def __init__(
        self,
        url: str,
        token: Token,
        *,
        retries: Retries | None = None,
        language: str = "nl",
        headers: Headers = trace_headers,
        timeout_seconds: float = _PATIENCE_SECONDS,
    ) -> None:
        """Take where the service is, and in whose name to ask it.

        Args:
            url: Such as https://transfer.example.
            token: A bearer token, what returns a fresh one, or an `httpx.Auth`.
            retries: How often a call is tried.
            language: In which refusals are said: `nl` or `en`.
            headers: Returns headers for each request; those of the current trace unless another is given.
            timeout_seconds: How long an answer may take.
        """
        self._retries = retries or Retries()
        self._headers = headers
        self._options: dict[str, Any] = {
            "base_url": url,
            "auth": token if isinstance(token, httpx.Auth) else _Bearer(token),
            "headers": {"Accept-Language": language, "User-Agent": "sb-transfer-client"},
            "timeout": httpx.Timeout(timeout_seconds, connect=_CONNECT_SECONDS),
        }

    def _exchange(self, call: Call[T]) -> Exchange[T]:
        return Exchange(call, self._retries, self._headers)


class _Bearer(httpx.Auth):
    def __init__(self, token: str | Callable[[], str]) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Any:
        """Put the token into a request."""
        request.headers["Authorization"] = f"Bearer {self._token if isinstance(self._token, str) else self._token()}"
        yield request


def stream_timeout(left_seconds: float | None) -> httpx.Timeout:
    """Return how long a stream may be silent."""
    silence = SILENCE_SECONDS if left_seconds is None else max(min(SILENCE_SECONDS, left_seconds), 0.01)
    return httpx.Timeout(silence, connect=_CONNECT_SECONDS)
