"""What a move changes on purpose; everything else in the new environment equals the old one."""

from collections.abc import Mapping
from types import MappingProxyType

from domain.vocabulary import Bank, ConnectionStatus

# Table -> columns that may differ between an old environment and the one it became (manual: Let op, Bankkoppelingen,
# Wijzigingen na vrijgeven, Gebruikers uitnodigen). `read_only` differs from the release on. Everything else that
# differs is a fault, or work that was done in the new environment after its release.
CHANGED_ON_PURPOSE: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "administration": frozenset(
            {"read_only", "becon_number", "becon_number_needs_review", "tax_contact_kind_needs_review"}
        ),
        "bank_connection": frozenset({"status"}),
        "quote": frozenset({"status", "portal_token"}),
        "app_connection": frozenset({"status"}),
        "app_user": frozenset({"invitation_status", "mobile_link_status"}),
    }
)


def bank_status_after_move(*, bank: str, old_status: str, consent_reference: str | None) -> str:
    """Return the status of a bank connection in the new environment.

    "De Rabobank koppelingen worden meeverhuisd, maar de overige bankkoppelingen moeten opnieuw worden geactiveerd"
    (manual, Bankkoppelingen). A Rabobank connection that was active is active there by the consent that comes along.
    One that was not, or whose consent is missing, empty or blank, has nothing to be active by.
    """
    has_consent = consent_reference is not None and consent_reference.strip(" ") != ""
    if bank == Bank.RABOBANK and old_status == ConnectionStatus.ACTIVE and has_consent:
        return ConnectionStatus.ACTIVE
    return ConnectionStatus.NEEDS_REACTIVATION
