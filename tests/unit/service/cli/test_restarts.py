"""Tests of the number of restarts and of the waits before them."""

from pathlib import Path

from service.cli.stack.restarts import LAST_WAIT_S, Policy, Restarts, RestartsFile

POLICY = Policy(limit=10, window_s=600)


def after(times: list[float], policy: Policy = POLICY) -> Restarts:
    past = Restarts()
    for at in times:
        past = past.restarted(policy, at, "it died")
    return past


def test_the_first_restart_is_immediate_and_later_waits_double() -> None:
    now, past, waits = 1000.0, Restarts(), []
    for _ in range(9):
        due = past.due_at(POLICY, now)
        assert due is not None
        waits.append(due - now)
        past, now = past.restarted(POLICY, due, "it died"), due
    assert waits == [0, 1, 2, 4, 8, 16, 32, LAST_WAIT_S, LAST_WAIT_S]


def test_restarts_before_the_window_do_not_count() -> None:
    past = after([0, 1, 3])
    assert past.due_at(POLICY, 500) == 3 + 4
    assert past.due_at(POLICY, 601.5) == 3 + 1
    assert past.due_at(POLICY, 1000) == 1000
    assert past.restarted(POLICY, 1000, "again").recent == (1000,)
    assert past.restarted(POLICY, 1000, "again").count == 4


def test_at_the_limit_a_component_is_given_up_with_a_reason() -> None:
    policy = Policy(limit=2, window_s=60)
    past = after([0, 1], policy)
    assert past.due_at(policy, 2) is None
    gone = past.give_up(policy, "it ended with status 1")
    assert gone.reason == ("given up after 2 restarts in 60 s: it ended with status 1; `tet up` starts it again")
    assert gone.due_at(policy, 10_000) is None, "time alone does not help"
    assert Restarts().due_at(Policy(limit=0, window_s=60), 0) is None


def test_a_long_time_of_health_allows_all_restarts_again_whatever_the_window() -> None:
    week = 7 * 86_400.0
    policy = Policy(limit=3, window_s=52 * week)
    past = after([0, week, 2 * week], policy)
    assert past.due_at(policy, 3 * week) is None, "one crash a week, and a window of a year"
    healthy = past.refilled()
    assert (healthy.count, healthy.at, healthy.reason) == (3, 2 * week, "it died")
    assert healthy.due_at(policy, 3 * week) == 3 * week
    assert (policy.refill_s, Policy(limit=3, window_s=60).refill_s) == (600, 60)
    given_up = past.give_up(policy, "it died").refilled()
    assert given_up.due_at(policy, 3 * week) == 3 * week
    assert given_up.reason == "it was given up, and works again"


def test_a_clock_that_is_set_back_forbids_no_restart() -> None:
    assert after([10_000] * 10).due_at(POLICY, 500) == 500


def test_restarts_are_stored_by_component_until_they_are_forgotten(tmp_path: Path) -> None:
    file = RestartsFile(tmp_path / "restarts.json")
    assert file.read() == {}
    past = {"ray": after([1, 2]), "mlflow": after([3])}
    file.write(past)
    assert file.read() == past
    file.forget(["ray", "api"])
    assert file.read() == {"mlflow": after([3])}
    file.forget(["mlflow"])
    assert not file.path.exists()


def test_a_file_that_cannot_be_read_has_no_restarts(tmp_path: Path) -> None:
    file = RestartsFile(tmp_path / "restarts.json")
    wrong = ('{"ray": {"recent": ["a"]}}', '{"ray": {"at": "yesterday"}}', '{"ray": {"count": null}}')
    for text in ("", "{", "[]", '{"ray": {"other": 1}}', '{"ray": 1}', *wrong):
        file.path.write_text(text)
        assert file.read() == {}
