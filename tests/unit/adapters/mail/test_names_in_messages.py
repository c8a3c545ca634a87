"""What people type stays text in a mail, and becomes no link."""

import re
from dataclasses import replace

import pytest

from adapters.mail.messages import MailFacts, recipients_of, unlinked
from domain.vocabulary import CheckKind, MailKind
from tests.unit.adapters.mail.letters import BOTH, WRITER, check_of, facts_of, words_of


@pytest.mark.parametrize("kind", list(MailKind))
def test_what_customers_type_stays_text(kind: MailKind) -> None:
    """A name is a name: it may not become markup, a header, a new line, or turn the text around."""
    evil = '<script>alert(1)</script>" onload="x\r\nBcc: dief@example.com\r\n\r\n{{ 7 * 7 }} \u202egnp.exe\u2028'
    base = facts_of(kind).model_dump(mode="json")
    for place in ("old", "new"):
        base[place] |= {"name": evil, "holder_name": evil, "url": f"javascript:{evil}"}
    base["contents"] |= {"administrations": [evil], "apps": [evil]}
    base["contents"]["quotes"][0] |= {"customer": evil, "number": evil}
    base["contents"]["connections"][0] |= {"administration": evil, "bank": evil}
    base["banks"][1]["bank"] = evil
    base["report"]["checks"][0] |= {"administration": evil, "old": {"rows": 1, "tally": {evil: 1}}}
    base["transfer"]["undo_detail"] = evil
    base["contents"]["users"] = [{"email": "a@example.nl", "full_name": evil}]
    facts = MailFacts.model_validate(base)
    (user,) = recipients_of(facts, MailKind.INVITATION)
    letter = WRITER.write(kind, facts, replace(user, old_side=True))
    assert "<script" not in letter.html.lower()
    assert "javascript:" not in " ".join(re.findall(r'href="([^"]*)"', letter.html))
    assert '" onload' not in letter.html
    assert not re.search(r"^Bcc:", letter.text, re.MULTILINE)
    assert "\n" not in letter.subject
    assert "\r" not in letter.subject
    for made in (letter.subject, letter.text, letter.html):
        assert "\u202e" not in made
        assert "\u2028" not in made
        assert "49" not in re.findall(r"Bcc: dief@example\.com (\S+)", made)


# What mail clients make a link of: a scheme, a host with a stop in it, an address, a server's share.
_LINK = re.compile(r"(?i)[a-z][a-z0-9+.-]*:[^\s\u200b]|www[.]\w|[\w-]+[.\u3002\uff0e\uff61][^\W\d_]{2,}|\w@\w|\\\\\w")


@pytest.mark.parametrize(
    "name",
    [
        *("https://evil.example", "evil.example", "www.evil.example/x", "Klik HTTP://evil.example?a=1 nu"),
        *("mailto:dief@evil.example", "dief@evil.example", "javascript:alert(1)", "\\\\evil\\share"),
        *("evil\u3002example", "evil.xn--p1ai", "пример.рф", "Booking.com B.V."),
    ],
)
@pytest.mark.parametrize("kind", list(MailKind))
def test_links_in_names_do_not_become_links_in_mails(kind: MailKind, name: str) -> None:
    """Breaks whatever a client would link in a name that somebody chose: the mail comes from us."""
    assert _LINK.search(name), "the pattern finds it as it was typed"
    given = facts_of(kind).model_dump(mode="json")
    for place in ("old", "new"):
        given[place] |= {"name": name, "holder_name": name}
    given["transfer"] |= {"undo_detail": name}
    given["contents"] |= {
        "administrations": [name],
        "quotes": [{"administration": name, "number": name, "customer": name, "total": "1.00"}],
        "apps": [name],
        # An address of a user is one that the mail speaks of; only what is none is text.
        "users": [{"email": "jan@example.nl" if name.startswith("dief@") else name, "full_name": name}],
        "connections": [{"administration": name, "bank": name, "iban": name, "status": "needs_reactivation"}],
    }
    given["report"] = {
        "checks": [
            check_of(CheckKind.RELATIONS, administration=name)
            | {
                "old": {"rows": 1, "tally": {name: 1}},
                "differences": [{"item": name, "old": {"city": name}, "new": None, "equal": False}],
            }
        ]
    }
    ours = re.compile(
        r"https://(oud|nieuw)kantoor\.sb\.example/[a-z-]+|enyoi[a-z-]*@(oud|nieuw)kantoor\.mailbox\.sb\.example"
        r"|(enyoi|url)-overdracht-ticket\.avr|\S+@example\.nl"
    )
    letter = WRITER.write(kind, MailFacts.model_validate(given), BOTH)
    for part in (letter.subject, letter.text, words_of(letter)):
        assert not _LINK.search(ours.sub("", part))
    assert "href" not in re.sub(r'href="https://(oud|nieuw)kantoor\.sb\.example/[a-z-]+"', "", letter.html)


def test_a_name_that_looks_like_no_link_stays_as_it_is() -> None:
    """Leaves legal forms, numbers and amounts alone: programs and people compare them."""
    for name in ("Jansen & Zn. B.V.", "v.o.f. De Boer", "Nr. 2.1", "1.234,56", "Afd. Noord", "10:30 uur"):
        assert unlinked(name) == name
