"""Routes that refuse query parameters which they do not know: a mistyped filter would answer another question."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel

from starter.http.problems import FieldProblem, RequestInvalid, answer


class StrictQueryRoute(APIRoute):
    """A route that answers 422 to a parameter that its description does not have."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return FastAPI's own handler behind a look at the parameters."""
        handle = super().get_route_handler()
        known = _names(self.dependant)

        async def strict(request: Request) -> Response:
            unknown = [name for name in dict.fromkeys(request.query_params) if name not in known]
            if unknown:
                problems = tuple(FieldProblem(where=f"query.{name}", problem="is not known here") for name in unknown)
                return answer(request, RequestInvalid(), problems)
            return await handle(request)

        return strict


def _names(dependant: Dependant) -> frozenset[str]:
    """Return the query parameters of a route and of everything it depends on; a model's are its fields."""
    names: set[str] = set()
    for parameter in dependant.query_params:
        kind = parameter.field_info.annotation
        names |= set(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else {parameter.alias}
    return frozenset(names.union(*map(_names, dependant.dependencies)))
