"""Why something was not done: one class for each type of problem in the service's description.

Catch a class, or `UploadRefused` or `Problem` for all of a kind; `str(error)` and `error.detail` are for people, in the
language that the client was made with. A refusal has changed nothing.

Long, for every type of problem has its class here.
"""

from collections.abc import Mapping
from typing import ClassVar

from sb_transfer_client.models import FieldProblem, ProblemDetail, Sentences, TransferView

PREFIX = "urn:sb-transfer:problem:"


class SbTransferError(Exception):
    """Something was not done."""


class NoAnswer(SbTransferError):
    """The service does not answer, however often it was asked. It may have done it: send the same key again."""


class UnexpectedAnswer(SbTransferError):
    """What answers is not the service that this client was made for: something between them, or another version."""


class TransferEnded(SbTransferError):
    """The transfer has ended in another state than was waited for; `transfer` says how."""

    def __init__(self, transfer: TransferView) -> None:
        why = f" ({transfer.undo_reason})" if transfer.undo_reason else ""
        super().__init__(f"The transfer has ended: {transfer.state}{why}.")
        self.transfer = transfer


class WaitedTooLong(SbTransferError, TimeoutError):
    """The state that was waited for did not come in time; the transfer goes on."""


class WebhookRefused(SbTransferError):
    """What was delivered is not from the service, was altered, or is old."""


class Problem(SbTransferError):
    """The service says no. A type that this version has no class for is a plain `Problem`."""

    type_uri: ClassVar[str] = ""
    status_code: ClassVar[int] = 0
    _by_type: ClassVar[dict[str, type["Problem"]]] = {}

    def __init__(self, problem: ProblemDetail, retry_after_seconds: float | None = None) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.retry_after_seconds = retry_after_seconds

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "type_uri" in cls.__dict__:
            Problem._by_type[cls.type_uri] = cls

    @property
    def detail(self) -> str:
        """What to show to people."""
        return self.problem.detail

    @property
    def details(self) -> Sentences:
        """The same in Dutch and in English."""
        return self.problem.details

    @property
    def errors(self) -> tuple[FieldProblem, ...]:
        """Which fields of the request are wrong."""
        return self.problem.errors

    @classmethod
    def default_english(cls) -> str:
        """Return the class's own sentence."""
        return " ".join((cls.__doc__ or cls.__name__).split())

    @classmethod
    def by_type(cls) -> Mapping[str, type["Problem"]]:
        """Return every class by the type of its problem."""
        return cls._by_type

    @classmethod
    def of(cls, problem: ProblemDetail, retry_after_seconds: float | None = None) -> "Problem":
        """Return a problem as an error of its own class."""
        return cls._by_type.get(problem.type, Problem)(problem, retry_after_seconds)


class UploadRefused(Problem):
    """The upload is refused; the transfer goes on waiting for a good one."""


class NotAuthenticated(Problem):
    """This needs a valid bearer token of the platform. Log in again and send the new token."""

    type_uri = f"{PREFIX}not-authenticated"
    status_code = 401


class NotAllowed(Problem):
    """Your role may not do this. Ask somebody whose role may, or support."""

    type_uri = f"{PREFIX}not-allowed"
    status_code = 403


class CertificateUnknown(Problem):
    """There is no certificate yet. It is issued when the new environment is opened for inspection."""

    type_uri = f"{PREFIX}certificate-unknown"
    status_code = 404


class YearUnknown(Problem):
    """There is no such administration, or nothing was booked in that year. Choose one of the list."""

    type_uri = f"{PREFIX}year-unknown"
    status_code = 404


class EnvironmentUnknown(Problem):
    """There is no such environment. Check the name or the id."""

    type_uri = f"{PREFIX}environment-unknown"
    status_code = 404


class TransferUnknown(Problem):
    """There is no such transfer. Check its id."""

    type_uri = f"{PREFIX}transfer-unknown"
    status_code = 404


class BodyTooSlow(Problem):
    """The request did not come in time. Send it again."""

    type_uri = f"{PREFIX}body-too-slow"
    status_code = 408


class AlreadyInTransfer(Problem):
    """This environment is already being transferred. Finish or cancel that transfer first."""

    type_uri = f"{PREFIX}already-in-transfer"
    status_code = 409


class AlreadyReleased(Problem):
    """The environment has been released: nothing can be undone any more."""

    type_uri = f"{PREFIX}already-released"
    status_code = 409


class EnvironmentChanged(Problem):
    """An environment has changed since it was proved equal; it is not released. Repair it, or reject the transfer."""

    type_uri = f"{PREFIX}environment-changed"
    status_code = 409


class EnvironmentNotActive(Problem):
    """Only an active environment can be transferred. This one is read-only, being built or waiting for release."""

    type_uri = f"{PREFIX}environment-not-active"
    status_code = 409


class KeyInUse(Problem):
    """The first request with this Idempotency-Key is still at work. Try again in a moment with the same key."""

    type_uri = f"{PREFIX}key-in-use"
    status_code = 409


class NameTaken(UploadRefused):
    """This licence already has an environment with that name. Choose another name."""

    type_uri = f"{PREFIX}name-taken"
    status_code = 409


class TicketUsed(UploadRefused):
    """This ticket has already been used. A ticket works once; look in your mail for the planned transfer."""

    type_uri = f"{PREFIX}ticket-used"
    status_code = 409


class UrlTaken(UploadRefused):
    """This url is already in use. Choose another url."""

    type_uri = f"{PREFIX}url-taken"
    status_code = 409


class WrongMoment(Problem):
    """The transfer is not at the point where this can be done. Its state says what it waits for."""

    type_uri = f"{PREFIX}wrong-moment"
    status_code = 409


class BodyTooLarge(Problem):
    """The request is larger than this route takes. Send the ticket file itself, unchanged."""

    type_uri = f"{PREFIX}body-too-large"
    status_code = 413


class NotMovedAway(Problem):
    """Only an old environment can be removed: one whose transfer has been released. Release the transfer first."""

    type_uri = f"{PREFIX}not-moved-away"
    status_code = 409


class StillForwarded(Problem):
    """Mail for the old address is still forwarded, for 30 days after the release. Try again after that."""

    type_uri = f"{PREFIX}still-forwarded"
    status_code = 409


class StillInTransfer(Problem):
    """These books are being transferred at this moment. Finish or cancel that transfer first."""

    type_uri = f"{PREFIX}still-in-transfer"
    status_code = 409


class AlreadyRetired(Problem):
    """This environment has been removed already; there is nothing left to remove. Look in the transfer's log."""

    type_uri = f"{PREFIX}already-retired"
    status_code = 409


class ItemTooLarge(Problem):
    """A mail or a scan has at most 25 MiB. Refuse it to its sender (552 5.3.4)."""

    type_uri = f"{PREFIX}item-too-large"
    status_code = 413


class CannotBeCarried(Problem):
    """The environment holds something that cannot be carried over exactly. Remove it, or ask support."""

    type_uri = f"{PREFIX}cannot-be-carried"
    status_code = 422


class EveningInvalid(Problem):
    """The evening must lie ahead, within a quarter of a year. Choose another one."""

    type_uri = f"{PREFIX}evening-invalid"
    status_code = 422


class KeyReused(Problem):
    """This Idempotency-Key was used for another request. Use a new key for each new request."""

    type_uri = f"{PREFIX}key-reused"
    status_code = 422


class LicenceUnknown(UploadRefused):
    """There is no licence with this number. Check the number."""

    type_uri = f"{PREFIX}licence-unknown"
    status_code = 422


class LicenceCancelled(UploadRefused):
    """This licence has been cancelled. Use another one, or have the platform register it anew."""

    type_uri = f"{PREFIX}licence-cancelled"
    status_code = 422


class LoginEmailInvalid(UploadRefused):
    """The login e-mail address is not a valid address. Correct it."""

    type_uri = f"{PREFIX}login-email-invalid"
    status_code = 422


class LoginEmailMissing(UploadRefused):
    """A move to a self-managed licence needs the e-mail address the customer logs in with. Give it."""

    type_uri = f"{PREFIX}login-email-missing"
    status_code = 422


class MailRejected(Problem):
    """The mail server refuses this mail for good. Correct the address and send it again."""

    type_uri = f"{PREFIX}mail-rejected"
    status_code = 422


class NameInvalid(UploadRefused):
    """The name is empty, too long or holds characters that cannot be shown. Choose another name."""

    type_uri = f"{PREFIX}name-invalid"
    status_code = 422


class NotSelfManaged(Problem):
    """An incident moves a customer to a self-managed licence, and this is a firm's. Let the firm upload the ticket."""

    type_uri = f"{PREFIX}not-self-managed"
    status_code = 422


class ReasonMissing(Problem):
    """Support acts on somebody else's books, so the log needs to know why. Give a reason."""

    type_uri = f"{PREFIX}reason-missing"
    status_code = 422


class RequestInvalid(Problem):
    """The request does not fit the API's description. `errors` says which fields; correct them."""

    type_uri = f"{PREFIX}request-invalid"
    status_code = 422


class SameLicence(UploadRefused):
    """The environment already belongs to this licence. Choose another licence."""

    type_uri = f"{PREFIX}same-licence"
    status_code = 422


class ScenarioNotOffered(UploadRefused):
    """A move from one self-managed licence to another is not offered. Move to a firm's licence."""

    type_uri = f"{PREFIX}scenario-not-offered"
    status_code = 422


class TicketExpired(UploadRefused):
    """This ticket has expired. Ask the old side to start the transfer again."""

    type_uri = f"{PREFIX}ticket-expired"
    status_code = 422


class TicketForAnotherLicence(UploadRefused):
    """This ticket is bound to another licence. Upload it under the licence that it was made for."""

    type_uri = f"{PREFIX}ticket-for-another-licence"
    status_code = 422


class TicketNotGenuine(UploadRefused):
    """This is not a genuine transfer ticket. Ask the old side to send the file again, unchanged."""

    type_uri = f"{PREFIX}ticket-not-genuine"
    status_code = 422


class TicketRevoked(UploadRefused):
    """This ticket is no longer valid: the transfer was undone or a newer ticket was made. Ask for the newest file."""

    type_uri = f"{PREFIX}ticket-revoked"
    status_code = 422


class UrlInvalid(UploadRefused):
    """The url may hold a to z, 0 to 9 and hyphens inside, 63 characters at most. Choose another url."""

    type_uri = f"{PREFIX}url-invalid"
    status_code = 422


class UrlReserved(UploadRefused):
    """This url is reserved for the platform. Choose another url."""

    type_uri = f"{PREFIX}url-reserved"
    status_code = 422


class HostTaken(Problem):
    """Another licence has this host. Choose another host."""

    type_uri = f"{PREFIX}host-taken"
    status_code = 409


class LicenceInUse(Problem):
    """An environment of this licence is worked in, or is coming. A licence is cancelled once it is left."""

    type_uri = f"{PREFIX}licence-in-use"
    status_code = 409


class LicenceDiffers(Problem):
    """This licence has another kind or host, and those stay. Register it with the ones that it has."""

    type_uri = f"{PREFIX}licence-differs"
    status_code = 409


class EnvironmentDiffers(Problem):
    """This environment has another licence, url or mailbox address, and only a move changes those. Keep what it has."""

    type_uri = f"{PREFIX}environment-differs"
    status_code = 409


class AddressTaken(Problem):
    """This mailbox address was given before. Choose another address."""

    type_uri = f"{PREFIX}address-taken"
    status_code = 409


class BooksMissing(Problem):
    """There are no books of this environment. Make its schema first, called after its id, and register it again."""

    type_uri = f"{PREFIX}books-missing"
    status_code = 422


class PortfolioUnknown(Problem):
    """There is no such portfolio. Check its id."""

    type_uri = f"{PREFIX}portfolio-unknown"
    status_code = 404


class WebhookUnknown(Problem):
    """There is no such webhook. `GET /v1/webhooks` lists yours."""

    type_uri = f"{PREFIX}webhook-unknown"
    status_code = 404


class WebhookUrlRefused(Problem):
    """Events cannot be sent to this address. Give one that begins with https:// and is on the internet."""

    type_uri = f"{PREFIX}webhook-url-refused"
    status_code = 422


class TooManyWebhooks(Problem):
    """There are twenty webhooks already. Delete one that is not needed any more."""

    type_uri = f"{PREFIX}too-many-webhooks"
    status_code = 422


class TooManyAttempts(Problem):
    """Too many attempts in a short time. Wait a minute and try again."""

    type_uri = f"{PREFIX}too-many-attempts"
    status_code = 429


class InternalError(Problem):
    """Something went wrong on our side and has been logged. Try again; if it stays, tell support the instance."""

    type_uri = f"{PREFIX}internal-error"
    status_code = 500


class Unavailable(Problem):
    """A server that this service needs does not answer. It is tried again by itself."""

    type_uri = f"{PREFIX}unavailable"
    status_code = 503
