"""What the pages call states, steps, points and events, Dutch first and English beside it."""

from sb_transfer_client import errors as e

from domain.errors import Refused, TransferError, all_errors

Pair = tuple[str, str]

# Which field of a form a refusal is about.
FIELDS: dict[type[e.Problem], str] = {
    e.NameTaken: "name",
    e.NameInvalid: "name",
    e.UrlTaken: "url_part",
    e.UrlInvalid: "url_part",
    e.UrlReserved: "url_part",
    e.TicketNotGenuine: "ticket",
    e.TicketExpired: "ticket",
    e.TicketUsed: "ticket",
    e.TicketRevoked: "ticket",
    e.TicketForAnotherLicence: "ticket",
    e.LicenceUnknown: "licence",
    e.LicenceCancelled: "licence",
    e.SameLicence: "licence",
    e.ScenarioNotOffered: "licence",
    e.NotSelfManaged: "licence",
    e.LoginEmailInvalid: "login_email",
    e.LoginEmailMissing: "login_email",
    e.EveningInvalid: "evening",
    e.ReasonMissing: "reason",
    e.MailRejected: "to",
}

STATES: dict[str, Pair] = {
    "preparing": ("Wordt voorbereid", "Being prepared"),
    "awaiting_upload": ("Wacht op upload", "Awaiting upload"),
    "scheduled": ("Ingepland", "Scheduled"),
    "cloning": ("Wordt overgenomen", "Being copied"),
    "awaiting_release": ("Staat klaar", "Ready"),
    "released": ("Vrijgegeven", "Released"),
    "undoing": ("Wordt ongedaan gemaakt", "Being undone"),
    "undone": ("Ongedaan gemaakt", "Undone"),
}
# Of one customer of a portfolio, as long as its transfer does not say so.
ITEM_STATES: dict[str, Pair] = {
    "waiting": ("Wordt bekeken", "Being looked at"),
    "ready": ("Kan mee", "Can move"),
    "refused": ("Kan niet mee", "Cannot move"),
    "moving": ("Begint", "Beginning"),
    "cancelled": ("Geannuleerd", "Cancelled"),
}
# Colour is never the only sign: the words above stand in it.
TONES: dict[str, str] = {
    "awaiting_upload": "wait",
    "scheduled": "wait",
    "awaiting_release": "act",
    "released": "good",
    "refused": "bad",
    "waiting": "wait",
    "ready": "good",
    "cancelled": "off",
    "undone": "off",
    "undoing": "off",
}
STATUSES: dict[str, Pair] = {
    "active": ("Actief", "Active"),
    "read_only": ("Alleen-lezen", "Read-only"),
    "building": ("In opbouw", "Being built"),
    "awaiting_release": ("Nog niet vrijgegeven", "Not released yet"),
    "retired": ("Verwijderd", "Removed"),
}
SCENARIOS: dict[str, Pair] = {
    "switch": ("Overstap naar een ander kantoor", "Move to another firm"),
    "outsource": ("Van zelfstandig naar (deels) uitbesteden", "From self-managed to (partly) outsourced"),
    "insource": ("Van (deels) uitbesteden naar zelfstandig", "From (partly) outsourced to self-managed"),
}
KINDS: dict[str, Pair] = {
    "firm": ("Kantoor", "Firm"),
    "self_managed": ("Zelfstandig", "Self-managed"),
}
UNDONE: dict[str, Pair] = {
    "expired": ("Het ticket is verlopen", "The ticket expired"),
    "cancelled": ("De overdracht is geannuleerd", "The transfer was cancelled"),
    "rejected": ("De nieuwe kant heeft de overdracht afgekeurd", "The new side rejected the transfer"),
    "failed": ("De overdracht is niet gelukt", "The transfer failed"),
}
# By state: what happens now, for the old side and for the new one.
NOW_OLD: dict[str, Pair] = {
    "preparing": (
        "De administraties worden nu op alleen-lezen gezet. Daarna staat het ticket hier klaar.",
        "The administrations are being made read-only. The ticket will then be here.",
    ),
    "awaiting_upload": (
        "Download het ticket en stuur het naar wie de omgeving overneemt. De omgeving is alleen-lezen.",
        "Download the ticket and send it to whoever takes the environment over. The environment is read-only.",
    ),
    "scheduled": (
        "Het ticket is geüpload. De omgeving wordt 's avonds overgenomen en blijft hier alleen-lezen.",
        "The ticket has been uploaded. The environment is copied in the evening and stays read-only here.",
    ),
    "cloning": (
        "De omgeving wordt nu overgenomen. Er is niets te doen.",
        "The environment is being copied now. There is nothing to do.",
    ),
    "awaiting_release": (
        "De nieuwe omgeving staat klaar. De nieuwe kant controleert de gegevens en geeft vrij.",
        "The new environment is ready. The new side checks the figures and releases it.",
    ),
    "released": (
        "De overdracht is klaar. De oude omgeving blijft te lezen; wijzigen kan niet meer.",
        "The transfer is done. The old environment can still be read, but no longer changed.",
    ),
    "undoing": (
        "De overdracht wordt ongedaan gemaakt. Straks kan er weer in de omgeving worden gewerkt.",
        "The transfer is being undone. The environment can soon be worked in again.",
    ),
    "undone": (
        "De overdracht is ongedaan gemaakt. Er kan weer in de omgeving worden gewerkt.",
        "The transfer was undone. The environment can be worked in again.",
    ),
}
NOW_NEW: dict[str, Pair] = {
    "scheduled": (
        "De klantomgeving wordt op de achtergrond toegevoegd, met alle administraties en gegevens.",
        "The customer's environment is added in the background, with all administrations and data.",
    ),
    "cloning": (
        "De omgeving wordt nu overgenomen en regel voor regel gecontroleerd.",
        "The environment is being copied now, and checked row by row.",
    ),
    "awaiting_release": (
        "De omgeving staat klaar. Controleer de gegevens en geef haar daarna vrij.",
        "The environment is ready. Check the figures, then release it.",
    ),
    "released": (
        "De omgeving is vrijgegeven: er kan in worden gewerkt. Loop de punten hieronder nog na.",
        "The environment has been released and can be worked in. Go through the points below.",
    ),
    "undoing": (
        "De overdracht wordt ongedaan gemaakt. Van de nieuwe omgeving blijft niets over.",
        "The transfer is being undone. Nothing of the new environment will be left.",
    ),
    "undone": (
        "De overdracht is ongedaan gemaakt. Van de nieuwe omgeving is niets over.",
        "The transfer was undone. Nothing of the new environment is left.",
    ),
}
STEPS: dict[str, Pair] = {
    "freeze": ("Omgeving alleen-lezen maken", "Make the environment read-only"),
    "hash": ("Gegevens vastleggen", "Record the data"),
    "ticket": ("Ticket uitgeven", "Issue the ticket"),
    "await_upload": ("Wachten op de upload", "Await the upload"),
    "wait_for_evening": ("Wachten op de avond", "Wait for the evening"),
    "clone": ("Administraties overnemen", "Copy the administrations"),
    "verify": ("Elke regel controleren", "Verify every row"),
    "banks": ("Bankkoppelingen overnemen", "Carry the bank connections"),
    "consequences": ("Gevolgen van de verhuizing verwerken", "Apply what the move changes"),
    "compare": ("Oud en nieuw vergelijken", "Compare old and new"),
    "certify": ("Certificaat maken", "Issue the certificate"),
    "notify": ("Mail sturen", "Send the mail"),
    "await_release": ("Wachten op de vrijgave", "Await the release"),
    "check": ("Laatste controle", "Last check"),
    "release": ("Vrijgeven", "Release"),
}
STEP_STATES: dict[str, Pair] = {
    "pending": ("nog niet", "not yet"),
    "running": ("bezig", "under way"),
    "done": ("klaar", "done"),
    "failed": ("mislukt", "failed"),
    "undoing": ("wordt teruggedraaid", "being undone"),
    "undone": ("teruggedraaid", "undone"),
}
POINTS: dict[str, Pair] = {
    "bank_and_cash_accounts": ("Bankrekeningen en Kassen", "Bank and cash accounts"),
    "bank_connections": ("Bankkoppelingen", "Bank connections"),
    "bank_transactions": ("Bankmutaties", "Bank transactions"),
    "trial_balance": ("Kolommenbalans", "Trial balance"),
    "invoices_to_send": ("Te verzenden verkoopfacturen", "Sales invoices to send"),
    "bank_balance": ("Banksaldo", "Bank balance"),
    "relations": ("Klanten/crediteuren", "Customers and creditors"),
    "sales_products": ("Verkoopproducten", "Sales products"),
    "open_items_debtor": ("Openstaande posten (debiteur)", "Open items (debtor)"),
    "open_items_creditor": ("Openstaande posten (crediteur)", "Open items (creditor)"),
    "vat_returns": ("Btw-aangiften", "VAT returns"),
    "fixed_assets": ("Vaste activa", "Fixed assets"),
    "becon_number": ("Beconnummer", "Becon number"),
    "tax_contact_kind": ("Contactsoort voor belastingdienst", "Contact kind for the tax office"),
    "invite_users": ("Gebruikers uitnodigen", "Invite the users"),
    "reactivate_banks": ("Bankkoppelingen opnieuw activeren", "Activate the bank connections again"),
    "reactivate_apps": ("Koppelingen in het App Center opnieuw activeren", "Activate the App Center connections again"),
    "relink_mobile": ("AFAS Link opnieuw koppelen", "Link AFAS Link again"),
    "mailbox_address": ("Mailbox-adres doorgeven", "Pass on the mailbox address"),
    "bookmarks": ("Bladwijzers vervangen", "Replace bookmarks"),
}
HINTS: dict[str, Pair] = {
    "becon_number": (
        "Wijzig het naar het nieuwe kantoor. Ga je zelfstandig werken, maak het veld dan leeg.",
        "Change it to the new firm's. Empty the field if you go on alone.",
    ),
    "tax_contact_kind": (
        "Stel bij de btw-instellingen de contactsoort voor de belastingdienst goed in.",
        "Set the contact kind for the tax office in the VAT settings.",
    ),
    "invite_users": (
        "De gebruikers hebben een uitnodiging gekregen. Controleer wie nog niet kan inloggen en nodig die opnieuw uit.",
        "The users have been sent an invitation. Check who cannot log in yet, and invite them again.",
    ),
    "reactivate_banks": (
        "Koppelingen met de Rabobank zijn meeverhuisd. De andere banken moeten opnieuw worden geactiveerd.",
        "Connections with Rabobank came along. Those of other banks have to be activated again.",
    ),
    "reactivate_apps": ("Elke koppeling moet opnieuw worden geactiveerd.", "Each has to be activated again."),
    "relink_mobile": ("Bij alle gebruikers.", "For every user."),
    "mailbox_address": (
        "Het oude adres werkt nog 30 dagen. Pas mailbox-regels aan en geef leveranciers het nieuwe adres.",
        "The old address works for 30 more days. Change mailbox rules and give suppliers the new address.",
    ),
    "bookmarks": ("De omgeving heeft een nieuwe url.", "The environment has a new url."),
}
MAILS: dict[str, Pair] = {
    "ticket_issued": ("Ticket uitgegeven", "Ticket issued"),
    "upload_accepted": ("Upload geaccepteerd", "Upload accepted"),
    "ready": ("Omgeving staat klaar", "Environment ready"),
    "released": ("Omgeving vrijgegeven", "Environment released"),
    "undone": ("Ongedaan gemaakt", "Undone"),
    "invitation": ("Uitnodiging", "Invitation"),
    "ticket_reminder": ("Herinnering aan het ticket", "Reminder of the ticket"),
    "release_reminder": ("Herinnering aan de vrijgave", "Reminder of the release"),
    "mailbox_closed": ("Oud mailbox-adres gesloten", "Old mailbox address closed"),
    "retirement_planned": ("Verwijdering gepland", "Removal planned"),
    "retired": ("Oude omgeving verwijderd", "Old environment removed"),
}
EVENTS: dict[str, Pair] = {
    "environment_frozen": ("Omgeving alleen-lezen gemaakt", "Environment made read-only"),
    "environment_hashed": ("Gegevens vastgelegd", "Data recorded"),
    "ticket_issued": ("Ticket uitgegeven", "Ticket issued"),
    "ticket_downloaded": ("Ticketbestand gemaakt", "Ticket file made"),
    "upload_accepted": ("Upload geaccepteerd", "Upload accepted"),
    "upload_refused": ("Upload geweigerd", "Upload refused"),
    "clone_started": ("Overnemen begonnen", "Copy begun"),
    "clone_finished": ("Gegevens overgenomen", "Data copied"),
    "clone_verified": ("Elke regel gecontroleerd", "Every row verified"),
    "banks_reconnected": ("Bankkoppelingen overgenomen", "Bank connections carried"),
    "users_to_invite": ("Gebruikers om uit te nodigen", "Users to be invited"),
    "invitations_withdrawn": ("Uitnodigingen ingetrokken", "Invitations withdrawn"),
    "environments_compared": ("Oud en nieuw vergeleken", "Old and new compared"),
    "opened_for_inspection": ("Omgeving opengesteld voor controle", "Environment opened for inspection"),
    "certificate_issued": ("Certificaat gemaakt", "Certificate issued"),
    "release_checked": ("Laatste controle voor de vrijgave", "Last check before the release"),
    "environment_released": ("Omgeving vrijgegeven", "Environment released"),
    "check_ticked": ("Punt afgevinkt", "Point ticked"),
    "check_cleared": ("Vinkje weggehaald", "Tick removed"),
    "start_now": ("Direct gestart", "Started at once"),
    "start_postponed": ("Uitgesteld naar een volgende avond", "Postponed to another evening"),
    "upload_corrected": ("Upload gecorrigeerd", "Upload corrected"),
    "start_rescheduled": ("Andere avond gekozen", "Another evening chosen"),
    "hurried": ("Voorrang gegeven", "Given precedence"),
    "undo_begun": ("Ongedaan maken begonnen", "Undo begun"),
    "undo_finished": ("Alles is teruggedraaid", "Everything has been undone"),
    "environment_unfrozen": ("Oude omgeving weer te bewerken", "Old environment can be changed again"),
    "ticket_revoked": ("Ticket ingetrokken", "Ticket revoked"),
    "reservation_released": ("Naam en url vrijgegeven", "Name and url given back"),
    "clone_dropped": ("Kopie verwijderd", "Copy removed"),
    "mail_sent": ("Mail verstuurd", "Mail sent"),
    "mail_failed": ("Mail niet aangekomen", "Mail did not arrive"),
    "mail_given_up": ("Mail opgegeven", "Mail given up"),
    "mail_resend_requested": ("Mail opnieuw gevraagd", "Mail asked for again"),
    "licence_left": ("Oude licentie niet meer in gebruik", "Old licence in use no more"),
    "licence_cancelled": ("Oude licentie opgezegd", "Old licence cancelled"),
    "mailbox_forwarding_closed": ("Oud mailbox-adres gesloten", "Old mailbox address closed"),
    "release_refused": ("Vrijgave geweigerd", "Release refused"),
    "reject_refused": ("Afkeuring geweigerd", "Rejection refused"),
    "cancel_refused": ("Annulering geweigerd", "Cancellation refused"),
    "start_now_refused": ("Directe start geweigerd", "Start at once refused"),
    "reschedule_refused": ("Andere avond geweigerd", "Another evening refused"),
    "resend_mail_refused": ("Mail opnieuw sturen geweigerd", "Sending again refused"),
    "retirement_planned": ("Verwijdering van de oude omgeving gepland", "Removal of the old environment planned"),
    "retirement_called_back": ("Verwijdering teruggedraaid", "Removal called back"),
    "environment_retired": ("Oude omgeving verwijderd", "Old environment removed"),
    "held_items_delivered": ("Aangehouden mail en scans bezorgd", "Held mail and scans delivered"),
    "signal_refused": ("Opdracht geweigerd", "Signal refused"),
    "refusals_counted": ("Geweigerde opdrachten geteld", "Refusals counted"),
    "recovery_started": ("Herstel begonnen", "Recovery begun"),
    "repaired": ("Hersteld", "Repaired"),
    "bank_active": ("Bankkoppeling actief", "Bank connection active"),
    "bank_needs_reactivation": ("Bankkoppeling opnieuw te activeren", "Bank connection to be activated again"),
    "quotes_expired": ("Openstaande offertes vervallen", "Open quotes expired"),
    "app_connections_deactivated": ("App Center-koppelingen uitgezet", "App Center connections switched off"),
    "mobile_links_unlinked": ("AFAS Link ontkoppeld", "AFAS Link unlinked"),
    "mailbox_address_changed": ("Mailbox-adres gewijzigd", "Mailbox address changed"),
    "mailbox_messages_carried": ("Openstaande mails meegenomen", "Open mails carried"),
    "scanbox_documents_carried": ("Openstaande scans meegenomen", "Open scans carried"),
    "becon_numbers_cleared": ("Beconnummer leeggemaakt", "Becon number emptied"),
    "becon_numbers_to_review": ("Beconnummer na te kijken", "Becon number to be reviewed"),
    "tax_contact_kinds_to_review": ("Contactsoort na te kijken", "Contact kind to be reviewed"),
}
ACTIONS: dict[str, Pair] = {
    "prepare": ("Overdracht gestart", "Transfer started"),
    "ticket": ("Ticketbestand gemaakt", "Ticket file made"),
    "upload": ("Ticket geüpload", "Ticket uploaded"),
    "incident": ("Incident ingediend", "Incident submitted"),
    "tick": ("Punt afgevinkt", "Point ticked"),
    "release": ("Vrijgegeven", "Released"),
    "reject": ("Afgekeurd", "Rejected"),
    "start_now": ("Direct gestart", "Started at once"),
    "hurry": ("Voorrang gegeven", "Given precedence"),
    "correct": ("Upload gecorrigeerd", "Upload corrected"),
    "reschedule": ("Andere avond gekozen", "Another evening chosen"),
    "resend_mail": ("Mail opnieuw gestuurd", "Mail sent again"),
    "cancel": ("Geannuleerd", "Cancelled"),
    "retire": ("Oude omgeving verwijderd", "Old environment removed"),
}


# What is asked once more of a whole portfolio: what the button says, and what it does.
PORTFOLIO_QUESTIONS: dict[str, tuple[Pair, Pair]] = {
    "begin": (
        ("Verhuizing beginnen", "Begin the move"),
        (
            (
                "Van alle klanten die mee kunnen, wordt de omgeving alleen-lezen gemaakt; elke klant wordt op zijn "
                "avond overgenomen. Wie niet mee kan, blijft waar hij is."
            ),
            "Every environment that can move is made read-only, and copied in its evening. The others stay.",
        ),
    ),
    "release": (
        ("Alles wat gelijk is vrijgeven", "Release all that are equal"),
        (
            (
                "Elke klant die klaarstaat en waarvan oud en nieuw helemaal gelijk zijn, wordt vrijgegeven. "
                "Dit kan niet worden teruggedraaid. Wie verschilt, blijft staan."
            ),
            (
                "Every customer that is ready, and of whom old and new are equal throughout, is released. "
                "This cannot be undone. Those that differ stay as they are."
            ),
        ),
    ),
    "retry": (
        ("Opnieuw proberen", "Try again"),
        (
            "Er wordt opnieuw gekeken of dit kan. Is de verhuizing al begonnen, dan gaat mee wat nu mee kan.",
            "It is looked at once more. If the move has begun, what can move now goes along.",
        ),
    ),
    "reject": (
        ("Afkeuren", "Reject"),
        (
            (
                "De overdracht van deze klant wordt ongedaan gemaakt: de nieuwe omgeving verdwijnt, en in de oude kan "
                "weer worden gewerkt. De andere klanten gaan door. Beide kanten lezen waarom."
            ),
            (
                "The transfer of this customer is undone: the new environment goes away, and the old one can be worked "
                "in again. All other customers go on. Both sides read why."
            ),
        ),
    ),
    "cancel": (
        ("Annuleren wat niet is begonnen", "Cancel what has not begun"),
        (
            (
                "Er wordt niets meer begonnen. Wie al is ingepland, kan weer in de oude omgeving werken. "
                "Wat wordt overgenomen of klaarstaat, gaat door."
            ),
            (
                "Nothing more is begun. Those that were planned can work in the old environment again. "
                "What is being copied or is ready goes on."
            ),
        ),
    ),
    "tickets": (
        ("Tickets downloaden", "Download the tickets"),
        (
            (
                "Alle tickets die nog geüpload moeten worden, in één zip. Tickets die eerder zijn gemaakt, werken "
                "daarna niet meer. Stuur het bestand alleen aan de nieuwe kant."
            ),
            (
                "All tickets that are still to be uploaded, as one zip. Those made before then no longer work. "
                "Send the file to the new side only."
            ),
        ),
    ),
}


def state(value: str) -> Pair:
    """Return what a transfer's state is called, or that of a customer of a portfolio; a newer one by its own name."""
    return STATES.get(value) or ITEM_STATES.get(value) or (value, value)


def refusal(code: str | None, problem: str | None) -> Pair:
    """Return why a customer of a portfolio was refused; the database keeps the English of it and a code."""
    english = problem or code or ""
    known = all_errors().get(code or "")
    if known is None or known in (TransferError, Refused):
        return english, english
    return known.dutch, english


def event(kind: str) -> Pair:
    """Return what a line of the event log is about; a kind of a newer service by its own name."""
    if kind.startswith("support_"):
        dutch, english = ACTIONS.get(kind.removeprefix("support_"), (kind, kind))
        return f"Support: {dutch[:1].lower()}{dutch[1:]}", f"Support: {english[:1].lower()}{english[1:]}"
    plain = kind.replace("_", " ")
    return EVENTS.get(kind, (plain, plain))
