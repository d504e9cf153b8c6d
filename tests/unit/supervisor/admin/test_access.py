"""access: who may ask, with a token and without."""

import pytest

from shardws_supervisor.admin.access import Access, is_loopback_name
from shardws_supervisor.admin.http import Request

TOKEN = "a-token-long-enough"


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost:9002", "127.0.0.1", "127.0.0.1:9002", "[::1]", "[::1]:9002",
     "127.0.0.5:9002", "127.255.255.254"],
)  # fmt: skip
def test_names_that_only_this_host_has(host: str) -> None:
    assert is_loopback_name(host)


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "evil.example:9002", "localhost.evil.example", "127.0.0.1.evil.example",
     "127.0.0.1:9002:1", "::1", "[::1]x", "10.0.0.7",
     "[127.0.0.1]", "127.1", "[::2]", "localhost:"[:-1] + "."],
)  # fmt: skip
def test_names_that_anybody_can_have(host: str) -> None:
    assert not is_loopback_name(host)
    answer = Access("").refusal(Request("GET", "/", {}, {"host": host}))
    assert answer is not None
    assert answer.status == 403


def ask(path: str, header: str = "", **query: str) -> int:
    headers = {"host": "example.com"}
    if header:
        headers["authorization"] = header
    answer = Access(TOKEN).refusal(Request("GET", path, query, headers))
    return answer.status if answer else 200


@pytest.mark.parametrize(
    ("status", "path", "header", "query"),
    [
        (200, "/status", f"Bearer {TOKEN}", {}),
        (200, "/status", f"bearer {TOKEN}", {}),
        (200, "/", "", {"token": TOKEN}),
        (401, "/status", "", {}),
        (401, "/status", "", {"token": TOKEN}),
        (401, "/", "", {"token": "wrong"}),
        (401, "/", "Bearer wrong", {"token": TOKEN}),
        (401, "/status", f"Basic {TOKEN}", {}),
        (401, "/status", f"Bearer {TOKEN}x", {}),
        (401, "/status", f"Bearer  {TOKEN}", {}),
        (401, "/status", TOKEN, {}),
        (401, "/status", "Bearer \udcff", {}),
    ],
)
def test_a_token_decides_alone(status: int, path: str, header: str, query: dict[str, str]) -> None:
    assert ask(path, header, **query) == status


def test_a_token_beyond_ascii_is_compared_by_its_octets() -> None:
    """It was accepted as a setting and never matched; a client sends it in UTF-8."""
    token = "gr\u00fcn-gr\u00fcn-gr\u00fcn-gr\u00fcn"
    access = Access(token)
    header = "Bearer " + token.encode().decode("latin-1")  # as http.parse reads octets
    assert access.refusal(Request("GET", "/status", {}, {"authorization": header})) is None
    assert access.refusal(Request("GET", "/", {"token": token}, {})) is None
    assert access.refusal(Request("GET", "/status", {}, {"authorization": f"Bearer {token}"}))
