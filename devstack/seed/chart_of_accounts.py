"""The chart of accounts that every seeded administration starts with: four digits, with the codes of the Dutch RGS."""

from dataclasses import dataclass

# `books.sql` books on these numbers; an account's id is its number.
BANK_ACCOUNT_CODE = 1100
BANK_ACCOUNT_STEP = 10

_CHART = """
0100 BMvaMei  fixed_asset Machines en installaties
0107 BMvaMei  fixed_asset Afschrijving machines en installaties
0200 BMvaObe  fixed_asset Kantoorinventaris en computers
0207 BMvaObe  fixed_asset Afschrijving kantoorinventaris en computers
0300 BMvaTev  fixed_asset Vervoermiddelen
0307 BMvaTev  fixed_asset Afschrijving vervoermiddelen
0500 BEivKap  -           Eigen vermogen
0510 BEivPri  -           Privéopnamen
0600 BLasSak  -           Lening o/g
1000 BLimKas  cash        Kas
1300 BVorDeb  debtor      Debiteuren
1310 BVorOva  -           Nog te factureren omzet
1400 BVorOva  -           Vooruitbetaalde kosten
1510 BSchBep  vat         Btw hoog, verschuldigd
1511 BSchBep  vat         Btw laag, verschuldigd
1520 BSchBep  vat         Voorbelasting
1530 BSchBep  vat         Af te dragen btw
1600 BSchCre  creditor    Crediteuren
1610 BSchOpa  -           Nog te ontvangen facturen
1700 BSchBep  -           Af te dragen loonheffing
1710 BSchSal  -           Netto lonen
2200 BLimKru  -           Nog te verwerken bankmutaties
2300 BLimKru  -           Kruisposten
3000 BVrdHan  -           Voorraad handelsgoederen
4000 WPerLes  -           Brutolonen
4010 WPerSol  -           Sociale lasten
4020 WPerPen  -           Pensioenpremies
4100 WBedHui  -           Huur
4110 WBedHui  -           Energie
4200 WBedAut  -           Autokosten
4210 WBedAut  -           Brandstof
4300 WBedKan  -           Kantoorkosten
4310 WBedKan  -           Telefoon en internet
4320 WBedKan  -           Software en licenties
4400 WBedVkk  -           Reclame en advertenties
4410 WBedVkk  -           Reis- en verblijfkosten
4500 WBedAlk  -           Accountantskosten
4510 WBedAlk  -           Verzekeringen
4600 WBedAlk  -           Bankkosten
4900 WAfsAmv  -           Afschrijvingen
7000 WKprInh  -           Inkoopwaarde handelsgoederen
7010 WKprUit  -           Uitbesteed werk
8000 WOmzNoh  -           Omzet btw hoog
8010 WOmzNol  -           Omzet btw laag
8020 WOmzNov  -           Omzet btw nul of verlegd
8100 WOmzKor  -           Verleende kortingen
9000 WFbeRlm  -           Rentebaten
9010 WFbeRlm  -           Rentelasten
"""


@dataclass(frozen=True, slots=True)
class Account:
    """One account of the chart."""

    code: str
    name: str
    kind: str
    rgs_code: str
    control: str | None


def chart_of_accounts(banks: list[str]) -> list[Account]:
    """Return the chart for an administration that banks with `banks`, in order of their ledger accounts."""
    accounts = []
    for line in _CHART.strip().splitlines():
        code, rgs_code, control, name = line.split(maxsplit=3)
        accounts.append(Account(code, name, _kind(rgs_code), rgs_code, None if control == "-" else control))
    accounts += [
        Account(str(bank_ledger_account(position)), f"Bank {title}", "balance_sheet", "BLimBan", "bank")
        for position, title in enumerate(banks)
    ]
    return sorted(accounts, key=lambda account: account.code)


def bank_ledger_account(position: int) -> int:
    """Return the ledger account of an administration's nth bank account, counted from 0."""
    return BANK_ACCOUNT_CODE + BANK_ACCOUNT_STEP * position


def _kind(rgs_code: str) -> str:
    return "balance_sheet" if rgs_code.startswith("B") else "profit_and_loss"
