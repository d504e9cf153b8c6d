"""The dashboard in a real browser: it shows the shards, and its console talks to the server."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import chromium
from tests.processes.conftest import DEADLINE, RunningServer, RunServer, free_port, greeting

BROWSER = chromium.find()
TOKEN = "a-token-long-enough"

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium (Debian package: chromium)"),
]


@pytest.fixture
def page(tmp_path: Path) -> Iterator[chromium.Page]:
    assert BROWSER is not None
    opened = chromium.Page(BROWSER, tmp_path / "profile")
    yield opened
    opened.close()


def start(run_server: RunServer, admin: str, **env: str) -> RunningServer:
    return run_server("examples.demo:server", "--admin", admin, env=env)


@pytest.mark.timeout(120)
def test_shards_connections_and_console(run_server: RunServer, page: chromium.Page) -> None:
    port = free_port()
    server = start(run_server, f"127.0.0.1:{port}")
    client = server.connect()
    other = greeting(client)["connection_id"]
    page.open(f"http://127.0.0.1:{port}/")

    page.wait_for("document.querySelectorAll('#shards tr').length === 2")
    assert page.text("#phase") == "serving"
    assert page.text("#url") == f"ws://127.0.0.1:{server.port}"
    for slot, pid in server.shard_pids().items():
        row = page.text(f"#shards tr[data-shard='{slot}']").split()
        assert row[:3] == [str(slot), "ready", str(pid)]
    page.wait_for("document.querySelectorAll('#c-connections polyline').length === 2")
    page.wait_for(f"document.querySelector('#peers-rows').innerText.includes('{other}')")

    page.click("#dial")
    me = page.wait_for("me")
    assert page.text("#me") == f"ConnectionId {me} · shard {me >> 35 & 255}"
    page.fill("#text", "hello, echo")
    page.click("#send")
    page.wait_for("document.querySelectorAll('#talk li').length === 4")
    echoed = page.text("#talk li:last-child").split("\n")
    assert echoed[1:] == ["←", "hello, echo"]

    page.fill("#to", str(other))
    page.fill("#text", "it's me")
    page.click("#send-to")
    page.wait_for("document.querySelectorAll('#talk li').length === 5")
    assert page.text("#talk li:last-child").endswith(f"shardws send {other} 'it'\\''s me'")
    evil = "<img src=x onerror='window.hit = 1'><script>window.hit = 2</script>"
    client.send(json.dumps({"to": me, "text": evil}))
    page.wait_for("document.querySelectorAll('#talk li').length === 6")
    assert "<img src=x" in page.text("#talk li:last-child")
    assert page.run("document.querySelectorAll('#talk img, #talk script').length") == 0
    assert page.run("typeof window.hit") == "undefined"

    assert page.complaints() == []
    own = f"http://127.0.0.1:{port}/"
    assert all(url.startswith((own, "data:")) for url in page.requested())


@pytest.mark.timeout(120)
def test_with_a_token_the_page_sends_to_any_connection(
    run_server: RunServer, page: chromium.Page
) -> None:
    """It sent the demo's JSON through its own WebSocket: other applications do not speak that."""
    port = free_port()
    server = start(run_server, f"127.0.0.1:{port}", SHARDWS_ADMIN_TOKEN=TOKEN)
    client = server.connect()
    other = greeting(client)["connection_id"]
    page.open(f"http://127.0.0.1:{port}/?token={TOKEN}")
    page.fill("#to", str(other))
    page.fill("#text", "hello é")
    page.click("#send-to")
    assert client.recv(timeout=DEADLINE) == "hello é"
    page.wait_for("document.querySelectorAll('#talk li').length === 1")
    assert page.text("#talk li:last-child").endswith(f"to {other}: hello é (QUEUED)")
    assert page.complaints() == []


@pytest.mark.timeout(120)
def test_the_ticks_of_an_axis_are_whole_numbers(run_server: RunServer, page: chromium.Page) -> None:
    """An axis up to 1 read 0, 1, 1, and one up to 5 had a tick of 2.5 that read 3."""
    port = free_port()
    start(run_server, f"127.0.0.1:{port}")
    page.open(f"http://127.0.0.1:{port}/")
    tops = page.run("[0, 1, 1.5, 2, 3, 5, 7, 9, 11, 45, 99, 101, 1500].map(rounded)")
    assert tops == [2, 2, 2, 2, 4, 6, 8, 10, 20, 60, 100, 200, 2000]
    page.wait_for("document.querySelectorAll('#c-messages text').length === 5")
    assert page.run(
        "[...document.querySelectorAll('#c-messages text')].slice(0, 3).map(t => t.textContent)"
    ) == ["0", "1", "2"]


@pytest.mark.timeout(120)
def test_the_page_stays_up_without_a_shard_and_without_the_server(
    run_server: RunServer, page: chromium.Page
) -> None:
    port = free_port()
    server = start(run_server, f"127.0.0.1:{port}")
    page.open(f"http://127.0.0.1:{port}/")
    page.wait_for("document.querySelectorAll('#shards tr').length === 2")
    server.ask("scale", shards=1)
    page.wait_for("document.querySelectorAll('#shards tr').length === 1")
    server.end()
    page.wait_for("!document.querySelector('#banner').hidden")
    assert page.text("#banner").startswith("The server cannot be asked: ")


@pytest.mark.timeout(120)
def test_the_token_leaves_the_address_bar(run_server: RunServer, page: chromium.Page) -> None:
    port = free_port()
    start(run_server, f"127.0.0.1:{port}", SHARDWS_ADMIN_TOKEN=TOKEN)
    page.open(f"http://127.0.0.1:{port}/?token={TOKEN}")
    page.wait_for("document.querySelectorAll('#shards tr').length === 2")
    assert page.run("location.href") == f"http://127.0.0.1:{port}/"
    assert TOKEN not in page.run("document.documentElement.outerHTML")
    first, *others = page.requested()
    assert TOKEN in first
    assert others
    assert all(TOKEN not in url for url in others)
