"""Why something cannot be carried, and what to do: in English and in Dutch."""

import re
from typing import NamedTuple

from domain.messages import Finding, Obstacle


class _Texts(NamedTuple):
    why: str
    remedy: str
    waarom: str
    oplossing: str


_TEXTS = {
    "clock": _Texts(
        "it hangs on the moment ({0}): rows that meet it now may not meet it when they are moved",
        "Drop it, and let a trigger check rows when they are written",
        "de regel hangt af van het moment ({0}): rijen die nu voldoen, voldoen bij de verhuizing misschien niet meer",
        "Verwijder de regel en laat een trigger controleren op het moment van opslaan",
    ),
    "hidden_clock": _Texts(
        "it calls a function that hangs on the moment or on chance, so that the copy could not be the same",
        "Drop it, or let the function use its arguments alone",
        "er wordt een functie gebruikt die van het moment of van het toeval afhangt, zodat de kopie anders kan worden",
        "Verwijder dit, of laat de functie alleen haar argumenten gebruiken",
    ),
    "broken": _Texts(
        "there are rows that do not meet it",
        "Correct those rows, or drop it and add it again as NOT VALID",
        "er zijn rijen die er niet aan voldoen",
        "Verbeter die rijen, of verwijder de regel en voeg haar opnieuw toe als NOT VALID",
    ),
    "broken_domain": _Texts(
        "there are values in {0} that do not meet it",
        "Correct those values, or drop it and add it again as NOT VALID",
        "in {0} staan waarden die er niet aan voldoen",
        "Verbeter die waarden, of verwijder de regel en voeg haar opnieuw toe als NOT VALID",
    ),
    "computed": _Texts(
        "there are rows in which it would be computed otherwise now",
        "Keep the values with ALTER COLUMN ... DROP EXPRESSION, or update those rows so that it is computed anew",
        "er zijn rijen waarin de berekening nu iets anders oplevert",
        "Bewaar de waarden met ALTER COLUMN ... DROP EXPRESSION, of werk die rijen bij zodat er opnieuw wordt gerekend",
    ),
    "twice": _Texts(
        "there are rows that are the same to it now, because its function has changed",
        "Correct those rows or the function, or drop it",
        "er zijn rijen die nu dezelfde waarde opleveren, doordat de functie is gewijzigd",
        "Verbeter die rijen of de functie, of verwijder de index",
    ),
    "raises": _Texts(
        "it cannot be evaluated for its rows ({0})",
        "Correct the rows or the function, or drop it",
        "de server kan dit voor de rijen niet uitrekenen ({0})",
        "Verbeter de rijen of de functie, of verwijder dit",
    ),
    "orphans": _Texts(
        "there are rows that refer to nothing",
        "Correct or delete those rows, or drop the key and add it again as NOT VALID",
        "er zijn rijen die nergens naar verwijzen",
        "Verbeter of verwijder die rijen, of verwijder de sleutel en voeg haar opnieuw toe als NOT VALID",
    ),
    "circle": _Texts(
        "they need one another, so that none of them can be made first",
        "Change one of them so that it needs none of the others",
        "zij hebben elkaar nodig, zodat geen ervan als eerste gemaakt kan worden",
        "Wijzig een ervan, zodat dat de andere niet meer nodig heeft",
    ),
    "unreadable": _Texts(
        "this service may not read it ({0})",
        "Grant it the right to",
        "deze dienst mag dit niet lezen ({0})",
        "Geef haar dat recht",
    ),
    "refused": _Texts(
        "the server does not make it again ({0})",
        "Change or drop it",
        "de server maakt dit niet opnieuw ({0})",
        "Wijzig of verwijder het",
    ),
    "otherwise": _Texts(
        "a copy of it would not be the same: {0}",
        "Change or drop it",
        "een kopie ervan zou niet hetzelfde zijn: {0}",
        "Wijzig of verwijder het",
    ),
    "encoding": _Texts(
        "the two databases keep text in different encodings",
        "Ask support",
        "de twee databases bewaren tekst in een verschillende codering",
        "Neem contact op met support",
    ),
    "locks": _Texts(
        "it holds more objects than the server can lock at once",
        "Set max_locks_per_transaction to {0} or more in PostgreSQL's settings and start it anew",
        "er zijn meer objecten dan de server tegelijk kan vergrendelen",
        "Zet max_locks_per_transaction in de instellingen van PostgreSQL op {0} of hoger en start de server opnieuw",
    ),
    "outside": _Texts(
        "it needs {0}, which stays behind in this database",
        "Drop it",
        "het heeft {0} nodig, dat in deze database achterblijft",
        "Verwijder het",
    ),
    "tied": _Texts(
        "it needs {0} of another environment",
        "Make it anew with what this environment has",
        "het heeft {0} van een andere omgeving nodig",
        "Maak het opnieuw met wat deze omgeving zelf heeft",
    ),
    "endless": _Texts(
        "it holds an infinite interval, which the other database's PostgreSQL does not know",
        "Change the value",
        "er staat een oneindig interval in, wat de PostgreSQL van de andere database niet kent",
        "Wijzig de waarde",
    ),
}
_NAMES = {
    "materialized view": "gematerialiseerde view",
    "foreign key": "verwijzende sleutel",
    "foreign table": "externe tabel",
    "range type": "bereiktype",
    "table": "tabel",
    "relation": "tabel of view",
    "column": "kolom",
    "check": "regel",
    "constraint": "regel",
    "function": "functie",
    "sequence": "nummerreeks",
    "domain": "domein",
    "partition": "partitie",
    "publication": "publicatie",
    "security label on": "beveiligingslabel op",
    "default privileges of": "standaardrechten van",
    "right of": "recht van",
    "event trigger": "event trigger",
    "the database": "de database",
    "owners and rights": "eigenaren en rechten",
}
_NAME = re.compile(rf"^({'|'.join(_NAMES)})\b")


def obstacle(code: str, what: str, *said: str) -> Obstacle:
    """Return an obstacle in both languages.

    Args:
        code: Which of the reasons.
        what: The object, with its kind in front, e.g. `check positive of line`.
        said: What fills the reason.
    """
    texts = _TEXTS[code]
    naam = _NAME.sub(lambda kind: _NAMES[kind[1]], what).replace(" of domain ", " van domein ").replace(" of ", " van ")
    nl = Finding(what=naam, why=texts.waarom.format(*said), remedy=texts.oplossing.format(*said))
    return Obstacle(what=what, why=texts.why.format(*said), remedy=texts.remedy.format(*said), nl=nl)


def catalogued(what: str, why: str) -> Obstacle:
    reason, _, remedy = why.rpartition("; ")
    said = {"what": what, "why": reason, "remedy": remedy[:1].upper() + remedy[1:]}
    return Obstacle(**said, nl=Finding(**said))
