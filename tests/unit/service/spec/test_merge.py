"""Tests of changes to a spec."""

from service.spec.merge import changed


def test_pairs_of_arms_that_changes_take_away_are_left_out() -> None:
    pairs = [{"arm": "b", "to": "a"}, {"arm": "c", "to": "a"}]
    spec = {"arms": [{"name": "a"}, {"name": "b"}, {"name": "c"}], "compare": pairs, "seeds": [0]}
    assert changed(spec, {"seeds": [1]})["compare"] == pairs
    assert changed(spec, {"arms": [{"name": "a"}, {"name": "c"}]})["compare"] == pairs[1:]
    assert "compare" not in changed(spec, {"arms": [{"name": "d"}]})
    assert changed(spec, {"arms": [{"name": "d"}], "compare": pairs})["compare"] == pairs, "its check names the fault"
    assert changed(spec, {"arms": 3})["compare"] == pairs
    assert "compare" not in changed(spec, {"arms": [{"name": []}, 7]})
