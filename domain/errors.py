"""Every error this service raises on purpose, in one tree.

A class's first docstring line is its English sentence; `dutch` is what customers read. Both end in what to do next.
Whether a failed activity is worth another try is decided by type: `activities.boundary` reads `retryable`.

Long, for every refusal has its two sentences here.
"""

from typing import ClassVar


class TransferError(Exception):
    """Something went wrong in the transfer. Look in its event log."""

    retryable: ClassVar[bool] = False
    dutch: ClassVar[str] = "Er ging iets mis bij de verhuizing. Neem contact op met support."

    def __init__(self, english: str | None = None, *, dutch: str | None = None) -> None:
        self.english = english or type(self).default_english()
        self.dutch_text = dutch or (type(self).dutch if english is None else english)
        super().__init__(self.english)

    @classmethod
    def code(cls) -> str:
        """Return the stable name by which other systems recognise this error."""
        return cls.__name__

    @classmethod
    def default_english(cls) -> str:
        """Return the class's own sentence: the first paragraph of its docstring."""
        return " ".join((cls.__doc__ or cls.__name__).strip().split("\n\n")[0].split())


class Unavailable(TransferError):
    """A server that this service needs does not answer. It is tried again by itself."""

    retryable = True
    dutch = "Een server is even niet bereikbaar. Wij proberen het vanzelf opnieuw."


class WorkerStopping(Unavailable):
    """The worker stops; another one goes on."""


class CellUnknown(Unavailable):
    """There is no address for the database that this environment lives in. Put it in SB_TRANSFER_CELLS."""


class EnvironmentBusy(Unavailable):
    """The environment is being written at this moment, so it could not be frozen yet. It is tried again by itself."""

    dutch = "Er wordt op dit moment in de omgeving gewerkt. Wij proberen het vanzelf opnieuw."


class Superseded(TransferError):
    """This attempt has been overtaken: the transfer is being undone, or a newer attempt does its work."""


class WindowTooShort(TransferError):
    """What was left of the evening window is too short for this move. It is planned for the next evening."""

    dutch = "Wat er van de avond over was, is te kort voor deze verhuizing. Zij is gepland voor de volgende avond."


class Misconfigured(TransferError):
    """A setting is missing or unusable. Correct it and start again."""


class PayloadKeyUnknown(Misconfigured):
    """A history is encrypted with a key that is not on the ring. Add it to SB_TRANSFER_PAYLOAD_KEYS."""

    dutch = "Deze gegevens zijn met een andere sleutel versleuteld. Neem contact op met support."


class PayloadDamaged(TransferError):
    """What a history holds is not what was encrypted. Restore Temporal's database from a backup."""

    dutch = "Deze gegevens zijn beschadigd. Neem contact op met support."


class PayloadKeyAwaited(Unavailable):
    """What was sent is encrypted with a key that is not there. It waits; add the key to SB_TRANSFER_PAYLOAD_KEYS."""

    dutch = "Dit bericht is met een onbekende sleutel versleuteld. Het wacht tot die sleutel er is."


class Refused(TransferError):
    """A business rule says no: the caller gets the reason, nothing has changed."""


# --- prepare ---------------------------------------------------------------------------------------------------


class EnvironmentUnknown(Refused):
    """There is no such environment. Check the name or the id; `sb-transfer list` shows transfers."""

    dutch = "Deze omgeving bestaat niet. Controleer de naam of het id."


class EnvironmentAmbiguous(Refused):
    """More than one environment has this name. Use the environment id instead."""

    dutch = "Meer dan één omgeving heeft deze naam. Gebruik het id van de omgeving."


class EnvironmentNotActive(Refused):
    """Only an active environment can be transferred. This one is read-only, being built or waiting for release."""

    dutch = "Alleen een actieve omgeving kan worden overgedragen. Deze is alleen-lezen of nog niet vrijgegeven."


class AlreadyInTransfer(Refused):
    """This environment is already being transferred. Finish or cancel that transfer first."""

    dutch = "Deze omgeving wordt al overgedragen. Rond die overdracht eerst af of annuleer haar."


class CannotBeCarried(Refused):
    """The environment holds something that cannot be carried over exactly. Remove it, or ask support."""

    dutch = "De omgeving bevat iets wat niet exact kan worden meegenomen. Verwijder het, of vraag support."


class InputMalformed(Refused):
    """What was sent cannot be used; the documentation shows its shape."""

    dutch = "Wat er is gestuurd, is niet bruikbaar; de documentatie laat zien hoe het eruit hoort te zien."


class NotItsTransfer(Refused):
    """This workflow does not carry out this transfer. Start another transfer instead of a copy of one."""

    dutch = "Deze workflow voert deze overdracht niet uit. Begin een nieuwe overdracht in plaats van een kopie."


class TransferUnknown(Refused):
    """There is no such transfer. `sb-transfer list` shows those there are."""

    dutch = "Deze overdracht bestaat niet. Controleer de naam of het nummer."


class WrongMoment(Refused):
    """The transfer is not at the point where this can be done. `sb-transfer status` shows what it waits for."""

    dutch = "Dit kan nu niet: de overdracht is in een andere stap. Bekijk de status."


# --- upload ----------------------------------------------------------------------------------------------------


class UploadRefused(Refused):
    """The upload is refused; the transfer goes on waiting for a good one."""

    dutch = "De upload is geweigerd. De overdracht blijft wachten op een goede upload."


class CellCannotHold(UploadRefused):
    """The database of the new licence cannot hold everything that this environment does. Ask support."""

    dutch = "De database van de nieuwe licentie kan niet alles uit deze omgeving bevatten. Neem contact op met support."


class TicketNotGenuine(UploadRefused):
    """This is not a genuine transfer ticket. Ask the old side to send the file again, unchanged."""

    dutch = (
        "Dit is geen echt overdrachtsticket. Vraag de vorige partij om het bestand opnieuw en ongewijzigd te sturen."
    )


class TicketExpired(UploadRefused):
    """This ticket has expired. Ask the old side to start the transfer again."""

    dutch = "Dit ticket is verlopen. Vraag de vorige partij om de overdracht opnieuw te starten."


class TicketUsed(UploadRefused):
    """This ticket has already been used. A ticket works once; look in your mail for the planned transfer."""

    dutch = "Dit ticket is al gebruikt. Een ticket werkt één keer; zie de e-mail over de geplande verhuizing."


class TicketRevoked(UploadRefused):
    """This ticket is no longer valid: the transfer was undone or a newer ticket was made. Ask for the newest file."""

    dutch = "Dit ticket is niet meer geldig: de overdracht is ongedaan gemaakt of er is een nieuwer ticket."


class TicketForAnotherLicence(UploadRefused):
    """This ticket is bound to another licence. Upload it under the licence that it was made for."""

    dutch = "Dit ticket is voor een andere licentie gemaakt. Upload het onder de licentie waarvoor het bedoeld is."


class LicenceUnknown(UploadRefused):
    """There is no licence with this number. Check the number."""

    dutch = "Er is geen licentie met dit nummer. Controleer het licentienummer."


class LicenceCancelled(UploadRefused):
    """This licence has been cancelled. Use another one, or have the platform register it anew."""

    dutch = "Deze licentie is opgezegd. Gebruik een andere, of laat het platform haar opnieuw registreren."


class SameLicence(UploadRefused):
    """The environment already belongs to this licence. Choose another licence."""

    dutch = "De omgeving hoort al bij deze licentie. Kies een andere licentie."


class ScenarioNotOffered(UploadRefused):
    """A move from one self-managed licence to another is not offered. Move to a firm's licence."""

    dutch = "Een verhuizing van zelfstandig naar zelfstandig wordt niet aangeboden. Kies de licentie van een kantoor."


class NameInvalid(UploadRefused):
    """The name is empty, too long or holds characters that cannot be shown. Choose another name."""

    dutch = "De naam is leeg, te lang of bevat tekens die niet kunnen. Kies een andere naam."


class NameTaken(UploadRefused):
    """This licence already has an environment with that name. Choose another name."""

    dutch = "Deze licentie heeft al een omgeving met deze naam. Kies een andere naam."


class UrlInvalid(UploadRefused):
    """The url may hold a to z, 0 to 9 and hyphens inside, 63 characters at most. Choose another url."""

    dutch = "De url mag a tot z, 0 tot 9 en koppeltekens ertussen bevatten, hooguit 63 tekens. Kies een andere url."


class UrlReserved(UploadRefused):
    """This url is reserved for the platform. Choose another url."""

    dutch = "Deze url is voor het platform gereserveerd. Kies een andere url."


class UrlTaken(UploadRefused):
    """This url is already in use. Choose another url."""

    dutch = "Deze url is al in gebruik. Kies een andere url."


class LoginEmailMissing(UploadRefused):
    """A move to a self-managed licence needs the e-mail address the customer logs in with. Give it."""

    dutch = "Voor zelfstandig gebruik is het e-mailadres nodig waarmee de klant inlogt. Vul het in."


class LoginEmailInvalid(UploadRefused):
    """The login e-mail address is not a valid address. Correct it."""

    dutch = "Het e-mailadres waarmee de klant inlogt, is geen geldig adres. Verbeter het."


# --- the evening -------------------------------------------------------------------------------------------------


class EveningInvalid(Refused):
    """The evening must lie ahead, within a quarter of a year. Choose another one.

    The old environment is read-only until then.
    """

    dutch = "De avond moet nog komen, binnen een kwartaal: de omgeving is zolang alleen-lezen. Kies een andere avond."


# --- clone -----------------------------------------------------------------------------------------------------


class CloneDiffers(TransferError):
    """The new environment is not equal to the old one. The transfer is undone; the message names tables and keys."""


class ComparisonDiffers(TransferError):
    """A comparison that the manual asks for shows a difference. The transfer is undone; the report names it."""


class AlreadyReleased(Refused):
    """The environment has been released: nothing can be undone any more."""

    dutch = "De omgeving is al vrijgegeven; er kan niets meer ongedaan worden gemaakt."


class BegunAgain(TransferError):
    """This was done before the transfer's workflow was reset. It goes on from where the database says it is."""


class SomethingLeft(TransferError):
    """Something of the transfer is left, so it is not undone yet."""


# --- certificate -------------------------------------------------------------------------------------------------


class CertificateUnknown(Refused):
    """There is no certificate yet. It is issued when the new environment is opened for inspection."""

    dutch = "Er is nog geen certificaat. Het wordt gemaakt zodra de nieuwe omgeving klaarstaat om te controleren."


class YearUnknown(Refused):
    """There is no such administration, or nothing was booked in that year. Choose one of the list."""

    dutch = "Deze administratie is er niet, of in dat jaar is niets geboekt. Kies er een uit de lijst."


class CertificateRefused(Refused):
    """This certificate proves nothing. Ask for it again."""

    dutch = "Dit certificaat bewijst niets. Vraag het opnieuw aan."


class CertificateAltered(CertificateRefused):
    """This file is not, byte for byte, a certificate as it was issued. Ask for it again; do not rely on this one."""

    dutch = "Dit bestand is geen ongewijzigd certificaat. Vraag het opnieuw aan en vertrouw hier niet op."


class CertificateKeyUnknown(CertificateRefused):
    """This certificate is signed with a key that is not among those you trust. Get the issuer's public keys."""

    dutch = "Dit certificaat is ondertekend met een onbekende sleutel. Vraag de uitgever om de openbare sleutels."


class CertificateTooNew(CertificateRefused):
    """This certificate is of a format that this version does not know. Use a newer sb-transfer."""

    dutch = "Dit certificaat heeft een nieuwere vorm. Gebruik een nieuwere versie van sb-transfer."


class EnvironmentChanged(Refused):
    """An environment has changed since it was proved equal; it is not released. Repair it, or reject the transfer."""

    dutch = "Er is iets gewijzigd sinds de omgeving klaarstond; zij is niet vrijgegeven. Neem contact op met support."


# --- the end of an old environment -----------------------------------------------------------------------------


class NotMovedAway(Refused):
    """Only an old environment can be removed: one whose transfer has been released. Release the transfer first."""

    dutch = "Alleen een oude omgeving kan worden verwijderd: na het vrijgeven. Geef eerst de overdracht vrij."


class StillForwarded(Refused):
    """Mail for the old address is still forwarded, for 30 days after the release. Try again after that."""

    dutch = "Mail aan het oude adres wordt nog doorgestuurd, 30 dagen na het vrijgeven. Probeer het daarna opnieuw."


class StillInTransfer(Refused):
    """These books are being transferred at this moment. Finish or cancel that transfer first."""

    dutch = "Deze omgeving wordt op dit moment overgedragen. Rond die overdracht eerst af, of annuleer haar."


class AlreadyRetired(Refused):
    """This environment has been removed already; there is nothing left to remove. Look in the transfer's log."""

    dutch = "Deze omgeving is al verwijderd. Kijk in het logboek van de overdracht."


# --- mail ------------------------------------------------------------------------------------------------------


class MailRejected(TransferError):
    """The mail server refuses this mail for good. Correct the address and send it again."""


class MailDelayed(Unavailable):
    """The mail server does not take the mail now. It is tried again by itself."""


# --- registration ----------------------------------------------------------------------------------------------


class HostTaken(Refused):
    """Another licence has this host. Choose another host."""

    dutch = "Een andere licentie heeft deze host. Kies een andere host."


class LicenceDiffers(Refused):
    """This licence has another kind or host, and those stay. Register it with the ones that it has."""

    dutch = "Deze licentie heeft een andere soort of host, en die blijven. Registreer haar met wat zij heeft."


class LicenceInUse(Refused):
    """An environment of this licence is worked in, or is coming. A licence is cancelled once it is left."""

    dutch = "Onder deze licentie is nog een omgeving in gebruik, of er komt een. Opzeggen kan als zij verlaten is."


class EnvironmentDiffers(Refused):
    """This environment has another licence, url or mailbox address, and only a move changes those. Keep what it has."""

    dutch = "Deze omgeving heeft een andere licentie, url of mailbox; die wijzigt alleen een verhuizing. Houd die aan."


class AddressTaken(Refused):
    """This mailbox address was given before. Choose another address."""

    dutch = "Dit mailbox-adres is al eens gegeven. Kies een ander adres."


class BooksMissing(Refused):
    """There are no books of this environment. Make its schema first, called after its id, and register it again."""

    dutch = "Van deze omgeving zijn er nog geen boeken. Maak eerst het schema, en registreer de omgeving opnieuw."


# --- portfolios ------------------------------------------------------------------------------------------------


class PortfolioUnknown(Refused):
    """There is no such portfolio. Check its id."""

    dutch = "Deze portefeuille bestaat niet. Controleer het id."


# --- webhooks --------------------------------------------------------------------------------------------------


class WebhookUnknown(Refused):
    """There is no such webhook. `GET /v1/webhooks` lists yours."""

    dutch = "Deze webhook bestaat niet. `GET /v1/webhooks` toont de uwe."


class WebhookUrlRefused(Refused):
    """Events cannot be sent to this address. Give one that begins with https:// and is on the internet."""

    dutch = "Naar dit adres kunnen geen berichten. Geef een adres op internet dat met https:// begint."


class TooManyWebhooks(Refused):
    """There are twenty webhooks already. Delete one that is not needed any more."""

    dutch = "Er zijn al twintig webhooks. Verwijder er een die niet meer nodig is."


def all_errors() -> dict[str, type[TransferError]]:
    """Return every error class by its code, so that a code from a history or an API can become an error again."""
    found: dict[str, type[TransferError]] = {}
    pending: list[type[TransferError]] = [TransferError]
    while pending:
        error = pending.pop()
        found[error.code()] = error
        pending.extend(error.__subclasses__())
    return found
