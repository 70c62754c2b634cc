"""Tests of the front of accurate and cheap configurations."""

from hypothesis import given
from hypothesis import strategies as st

from service.results.front import Point, pareto_front

FEW = st.sampled_from([0.0, 0.25, 0.5, 1.0])


@given(st.lists(st.tuples(FEW, FEW), max_size=12))
def test_the_front_holds_exactly_the_points_that_no_other_point_beats(pairs: list[tuple[float, float]]) -> None:
    points = [(Point(*pair), number) for number, pair in enumerate(pairs)]
    front = pareto_front(points)
    assert {number for _, number in front} == {
        number for point, number in points if not any(other.beats(point) for other, _ in points)
    }
    assert [point.cost for point, _ in front] == sorted(point.cost for point, _ in front)
