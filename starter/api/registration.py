"""What the platform registers, so that it can be moved: licences and environments."""

from typing import Any

from fastapi import APIRouter, Response

from adapters.transfer.registration import RegisteredLicence
from domain import errors as e
from domain.authority import Action
from starter.api.dependencies import Context, CurrentCaller, actor_name
from starter.api.openapi import Responses, refusals
from starter.api.requests import (
    NO_STORE,
    EnvironmentBody,
    LicenceBody,
    RegisteredId,
    RegisteredNumber,
)
from starter.api.responses import RegisteredEnvironmentView, RegisteredLicenceView, View
from starter.http.strict_query import StrictQueryRoute

router = APIRouter(prefix="/v1", route_class=StrictQueryRoute, tags=["registration"])


def _answers(model: type[View], *errors: type[e.TransferError]) -> dict[str, Any]:
    new: Responses = {201: {"model": model, "description": "It is new."}}
    return {"responses": {**new, **refusals(*errors)}}


@router.put(
    "/licences/{licence_number:path}",
    summary="Register a licence",
    **_answers(RegisteredLicenceView, e.HostTaken, e.LicenceDiffers, e.LicenceInUse),
)
async def register_licence(
    licence_number: RegisteredNumber, body: LicenceBody, caller: CurrentCaller, context: Context, response: Response
) -> RegisteredLicenceView:
    """Register a licence, or change who holds it, its address or its language; twice the same is once.

    With `cancelled` its holder has cancelled it: nothing is moved to it any more.
    """
    context.require(caller, Action.REGISTER)
    licence = RegisteredLicence(licence_number=licence_number, **body.model_dump(exclude={"cancelled"}))
    registered, new = await context.registration.licence(licence, cancelled=body.cancelled, by=actor_name(caller))
    response.headers.update(NO_STORE)
    response.status_code = 201 if new else 200
    return RegisteredLicenceView(**dict(registered))


@router.put(
    "/environments/{environment_id}",
    summary="Register an environment",
    **_answers(
        RegisteredEnvironmentView,
        *(
            e.LicenceUnknown,
            e.LicenceCancelled,
            e.NameInvalid,
            e.NameTaken,
            e.UrlInvalid,
            e.UrlReserved,
            e.UrlTaken,
            e.LoginEmailInvalid,
        ),
        *(e.AddressTaken, e.BooksMissing, e.EnvironmentDiffers, e.EnvironmentNotActive),
    ),
)
async def register_environment(
    environment_id: RegisteredId, body: EnvironmentBody, caller: CurrentCaller, context: Context, response: Response
) -> RegisteredEnvironmentView:
    """Register an environment and where its mail goes, or change its name or login; twice the same is once.

    Its books are there already: in a schema that is called after its id.
    """
    context.require(caller, Action.REGISTER)
    registered, new = await context.registration.environment(environment_id, **dict(body))
    response.headers.update(NO_STORE)
    response.status_code = 201 if new else 200
    return RegisteredEnvironmentView(**dict(registered))
