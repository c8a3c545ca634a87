"""From the first attempt at a call to its answer: what is sent, when it is sent again, what an answer means. No I/O."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Generic, TypeVar
from uuid import uuid4

import httpx
from pydantic import ValidationError

from sb_transfer_client._calls import Call
from sb_transfer_client.errors import KeyInUse, NoAnswer, Problem, UnexpectedAnswer
from sb_transfer_client.models import ProblemDetail

T = TypeVar("T")
_PASSING = frozenset({408, 429, 502, 503, 504})
_PROBLEM_JSON = "application/problem+json"
Headers = Callable[[], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Retries:
    """How often and how long a call is tried, with one Idempotency-Key, so that nothing is done twice."""

    attempts: int = 6
    first_pause_seconds: float = 0.5
    longest_pause_seconds: float = 20.0
    """A service that asks for a longer pause in Retry-After is not waited for: its refusal is raised at once."""


def trace_headers() -> Mapping[str, str]:
    """Return the headers of the trace that is current, by OpenTelemetry if the program has it; else none."""
    try:
        propagate = import_module("opentelemetry.propagate")
    except ImportError:
        return {}
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier


class Exchange(Generic[T]):
    """One call on its way."""

    def __init__(self, call: Call[T], retries: Retries, headers: Headers) -> None:
        self._call = call
        self._retries = retries
        self._attempt = 0
        self._headers = headers
        self._key = {"Idempotency-Key": call.key or str(uuid4())} if call.method == "POST" else {}

    def request(self) -> dict[str, Any]:
        """Return what `httpx.Client.request` is called with, for the next attempt."""
        call = self._call
        self._attempt += 1
        return {
            "method": call.method,
            "url": call.path,
            "params": call.query,
            "headers": {"Accept": "application/json", **self._headers(), **call.headers, **self._key},
            **({"json": call.json} if call.json is not None else {}),
            **({"data": call.form, "files": call.files} if call.files is not None else {}),
        }

    def pause_after_failure(self, error: httpx.TransportError) -> float:
        """Return how long to wait before the next attempt.

        Raises:
            NoAnswer: There have been enough.
        """
        if self._attempt >= self._retries.attempts:
            raise NoAnswer(f"{NoAnswer.__doc__} {error!r}") from error
        return self._pause()

    def pause_after(self, response: httpx.Response) -> float | None:
        """Return how long to wait before asking again; None when this is the answer."""
        if response.is_success or response.status_code in self._call.answers or self._attempt >= self._retries.attempts:
            return None
        problem = problem_of(response)
        if response.status_code not in _PASSING and not isinstance(problem, KeyInUse):
            return None
        wanted = problem.retry_after_seconds if problem else None
        if wanted is None:
            return self._pause()
        return wanted if wanted <= self._retries.longest_pause_seconds else None

    def answer(self, response: httpx.Response) -> T:
        """Return the answer.

        Raises:
            Problem: It is a refusal; the class says which.
            UnexpectedAnswer: It is nothing that the service says.
        """
        if not response.is_success and response.status_code not in self._call.answers:
            raise problem_of(response) or _unexpected(response)
        return self._call.read(response)

    def _pause(self) -> float:
        longest: float = min(
            self._retries.first_pause_seconds * 2 ** (self._attempt - 1), self._retries.longest_pause_seconds
        )
        return longest * random.uniform(0.5, 1)  # noqa: S311 - so that clients do not come back all at once


def problem_of(response: httpx.Response) -> Problem | None:
    """Return the problem that a response holds; None when it holds none."""
    if not response.headers.get("content-type", "").startswith(_PROBLEM_JSON):
        return None
    try:
        problem = ProblemDetail.model_validate_json(response.content)
    except ValidationError:
        return None
    after = response.headers.get("retry-after", "")
    return Problem.of(problem, float(after) if after.isdecimal() else None)


def _unexpected(response: httpx.Response) -> UnexpectedAnswer:
    kind = response.headers.get("content-type", "nothing")
    return UnexpectedAnswer(f"{response.request.url} answered {response.status_code} with {kind}. Check the address.")
