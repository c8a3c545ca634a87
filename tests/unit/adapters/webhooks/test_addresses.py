"""Which addresses an endpoint may have: every spelling of the inside is known."""

import pytest

from adapters.webhooks.addresses import AddressRefused, AddressRules
from domain.errors import WebhookUrlRefused
from domain.webhooks import WebhookProblem

OUTSIDE = ["https://93.184.216.34/x?y=1", "https://[2606:2800:220:1::1]:8443/", "https://hooks.example.invalid/"]
INSIDE = [
    "https://127.0.0.1/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f.0.0.1/",
    "https://0.0.0.0/",
    "https://10.1.2.3/",
    "https://100.64.0.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://172.16.0.1/",
    "https://192.168.1.1/",
    "https://192.88.99.1/",
    "https://198.18.0.1/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://[::]/",
    "https://[::1]/",
    "https://[::7f00:1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:10.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://[64:ff9b:1::a00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[2002:a00:1::1]/",
    "https://[2001:0:7f00:1::1]/",
    "https://[fc00::1]/",
    "https://[fd12:3456::1]/",
    "https://[fe80::1]/",
    "https://[fec0::1]/",
    "https://[ff02::1]/",
    "https://localhost/",
    "https://localhost./",
]
NO_URLS = [
    *("", "hooks", "ftp://93.184.216.34/", "http://93.184.216.34/", "https://", "https:///x", "https://[::1", "//a/"),
    *("https://user@93.184.216.34/", "https://user:pass@93.184.216.34/", "https://93.184.216.34/#x"),
    *("https://93.184.216.34:0/", "https://93.184.216.34:99999/", "https://[fe80::1%25eth0]/", "https://a b/"),
    *(
        "https://93.184.216.34/\n",
        "https://93.184.216.34/\\@10.0.0.1/",
        "file:///etc/passwd",
        f"https://a/{'x' * 2000}",
    ),
]


@pytest.mark.parametrize("url", OUTSIDE)
async def test_what_is_outside_is_taken(url: str) -> None:
    """A customer's own server would be refused; a name that nobody knows yet may become known."""
    await AddressRules().require_allowed(url)


@pytest.mark.parametrize("url", INSIDE)
async def test_what_is_inside_is_refused_in_every_spelling(url: str) -> None:
    """Whoever may register an endpoint could reach the database, or a cloud's secrets, through this service."""
    with pytest.raises(WebhookUrlRefused):
        await AddressRules().require_allowed(url)
    rules = AddressRules()
    with pytest.raises(AddressRefused) as refused:
        await rules.addresses_of(rules.target_of(url))
    assert refused.value.problem is WebhookProblem.ADDRESS_INSIDE


@pytest.mark.parametrize("url", NO_URLS)
def test_what_is_no_url_for_events_is_refused(url: str) -> None:
    """A login would stand in logs; what two libraries read differently would be judged as one, used as another."""
    with pytest.raises(WebhookUrlRefused):
        AddressRules().target_of(url)


async def test_a_network_that_is_allowed_is_allowed_and_no_other() -> None:
    """A platform whose backend is inside could have no webhooks; plain HTTP goes there alone."""
    rules = AddressRules(["10.1.0.0/16", "fd00::/8"])
    for url in ("https://10.1.2.3/", "http://10.1.2.3:8080/x", "http://[fd12::1]/"):
        await rules.require_allowed(url)
    for url in ("https://10.2.0.1/", "http://10.2.0.1/", "http://93.184.216.34/", "https://[::ffff:10.2.0.1]/"):
        with pytest.raises(WebhookUrlRefused):
            await rules.require_allowed(url)


def test_a_request_goes_to_the_address_and_names_the_host() -> None:
    """A name that is resolved once more for the request could lead elsewhere by then."""
    rules = AddressRules()
    target = rules.target_of("https://Hooks.Example:8443/a%20b?c=d")
    assert (target.host, target.host_header, target.rest) == ("hooks.example", "hooks.example:8443", "/a%20b?c=d")
    plain = rules.target_of("https://bücher.example")
    assert (plain.host, plain.host_header, plain.rest) == ("xn--bcher-kva.example", "xn--bcher-kva.example", "/")
    six = rules.target_of("https://[2606:2800:220:1::1]/")
    assert six.host_header == "[2606:2800:220:1::1]"
