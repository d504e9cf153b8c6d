"""page: nothing from outside, and a policy that fits what is in it."""

import re

from shardws_supervisor.admin import page

TEXT = page.FILE.read_text(encoding="utf-8")


def test_the_policy_allows_the_page_and_nothing_else() -> None:
    answer = page.load()
    assert answer.body.decode() == TEXT
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    (script,) = re.findall(r"<script>(.*?)</script>", TEXT, re.DOTALL)
    assert page.digest(script) in policy


def test_a_digest_as_a_browser_has_it() -> None:
    """The example of CSP 3, section 2.3.1 of its usage notes: alert('Hello, world.')."""
    assert page.digest("alert('Hello, world.');") == (
        "qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng="
    )


def test_the_page_needs_nothing_from_elsewhere() -> None:
    sources = re.findall(r"(?:src|href)=\"([^\"]+)\"", TEXT)
    assert all(source.startswith("data:") for source in sources)
    assert "@import" not in TEXT
    assert set(re.findall(r"https?://[a-z.0-9/]+", TEXT)) <= {"http://www.w3.org/2000/svg"}


def test_text_never_becomes_markup() -> None:
    for unsafe in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert unsafe not in TEXT
    assert not re.search(r"\sstyle=|\son[a-z]+=", TEXT), "the policy would forbid it"
