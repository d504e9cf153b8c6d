"""plan: what the supervisor goes by, and what only a restart can change."""

import pytest

from shardws.errors import SettingError, StartError
from shardws.settings import Assignment, Source
from shardws_supervisor.plan import plan
from shardws_supervisor.plan.plan import Planner
from tests.unit.supervisor.over_exec import over_exec


def planner(*given: Assignment) -> Planner:
    return Planner("app:server", lambda: given)


def test_flags_win_over_the_application() -> None:
    flag = Assignment("local_port", "9002", Source.FLAG, "--local-port")
    made = planner(flag).plan({"local_port": 9001, "local_host": "127.0.0.1", "shards": 3})
    assert (made.local_port, made.local_host, made.shards) == (9002, "127.0.0.1", 3)
    assert made.overrides == (("local_port", "9002", Source.FLAG),)
    assert made.accept_mode == "reuseport"


def test_auto_shards_are_counted() -> None:
    assert planner().plan({}).shards >= 2


def test_a_reference_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(StartError, match="is not an application"):
        Planner("app", list)


def test_a_bad_setting_is_refused_before_and_after_the_probe() -> None:
    bad = planner(Assignment("drain_rate", "much", Source.FILE, "s.toml line 3"))
    with pytest.raises(SettingError, match=r"s\.toml line 3"):
        bad.early()
    with pytest.raises(SettingError, match="DrainRate"):
        bad.plan({})


def test_a_token_is_needed_beyond_loopback() -> None:
    with pytest.raises(SettingError, match="AdminToken"):
        planner().plan({"admin_address": "0.0.0.0:9002"})


def test_what_only_a_restart_changes() -> None:
    old = planner().plan({})
    new = planner().plan({"node": 3, "max_message_size": 5000})
    assert plan.changed_at_boot_only(old, new) == ["Node"]
    assert plan.changed_at_boot_only(old, old) == []


def test_shards_read_the_effective_limit_back() -> None:
    assert plan.effective(500) == [("max_connections", 500, Source.RUNTIME)]


def test_the_application_cannot_say_where_it_is_itself() -> None:
    with pytest.raises(SettingError, match="AppDirectory"):
        planner().plan({"app_directory": "/srv"})
    flag = Assignment("app_directory", "/srv", Source.FLAG, "--app-dir")
    assert planner(flag).plan({}).overrides == (("app_directory", "/srv", Source.FLAG),)


def test_start_timeout_is_known_before_the_application_is() -> None:
    assert planner(Assignment("start_timeout", "60s", Source.FILE)).early().start_timeout == 60


@pytest.mark.parametrize(
    ("admin", "given", "origins"),
    [
        ("127.0.0.1:9002", {}, "same,http://127.0.0.1:9002,http://localhost:9002"),
        ("[::1]:9002", {}, "same,http://[::1]:9002,http://localhost:9002"),
        ("localhost:9002", {}, "same,http://127.0.0.1:9002,http://localhost:9002"),
        ("127.0.0.5:9002", {}, "same,http://127.0.0.5:9002"),
        ("10.0.0.7:9002", {"admin_token": "0123456789abcdef"}, "same,http://10.0.0.7:9002"),
        ("", {}, None),
        ("127.0.0.1:0", {}, None),
        ("0.0.0.0:9002", {"admin_token": "0123456789abcdef"}, None),
        # a list that somebody gave is exact
        ("127.0.0.1:9002", {"allowed_origins": "https://app.example.com"}, None),
        ("127.0.0.1:9002", {"allowed_origins": "same"}, None),
        ("127.0.0.1:9002", {"allowed_origins": "*"}, None),
    ],
)
def test_the_dashboard_s_page_may_connect_where_nobody_listed_origins(
    admin: str, given: dict[str, object], origins: str | None
) -> None:
    """The page's origins were let in beside an exact list, and nobody was told."""
    made = planner().plan({"admin_address": admin, **given})
    told = {name: value for name, value, _ in made.overrides}
    assert told.get("allowed_origins") == origins


def test_a_plan_is_made_again_over_an_exec() -> None:
    """From what it was made of, not from what files and environment say now."""
    flag = Assignment("local_port", "9002", Source.FLAG, "--local-port")
    made = planner(flag).plan({"local_host": "127.0.0.1", "shards": 3})
    kept = over_exec(plan.keep(made))
    other = planner(Assignment("local_port", "1", Source.FLAG, "--local-port"))
    again = other.again(kept)
    assert (again.local_port, again.shards, again.overrides) == (9002, 3, made.overrides)
    assert plan.keep(again) == kept
