"""The search attributes that operators filter transfers by; no personal data, they are never encrypted."""

from temporalio.common import SearchAttributeKey

TRANSFER_STATE = SearchAttributeKey.for_keyword("TransferState")
TRANSFER_SCENARIO = SearchAttributeKey.for_keyword("TransferScenario")
SOURCE_LICENCE = SearchAttributeKey.for_keyword("SourceLicence")
TARGET_LICENCE = SearchAttributeKey.for_keyword("TargetLicence")
STARTS_AT = SearchAttributeKey.for_datetime("StartsAt")
# How it ended: `released`, or why it was undone.
OUTCOME = SearchAttributeKey.for_keyword("Outcome")
# Of which portfolio it is.
PORTFOLIO = SearchAttributeKey.for_keyword("Portfolio")

ALL = (TRANSFER_STATE, TRANSFER_SCENARIO, SOURCE_LICENCE, TARGET_LICENCE, STARTS_AT, OUTCOME, PORTFOLIO)
