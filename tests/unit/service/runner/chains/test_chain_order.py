"""Tests of the order of chains: experiments of random sizes, played to their end."""

import random
from dataclasses import dataclass, replace
from heapq import heappop, heappush

import pytest

from service.runner.chains.chain_order import ChainLeft, Rule, by_work_left, in_plan_order, next_place, simulated_end

NUM_EXPERIMENTS = 500


@dataclass(frozen=True)
class Drawn:
    """An experiment with random stages: its slots, and the time of each stage of each chain."""

    num_slots: int
    chains: list[ChainLeft]

    @property
    def bound(self) -> float:
        """No order ends earlier than this: all work shared by all slots, or the longest chain."""
        totals = [sum(chain.costs) for chain in self.chains]
        return max(sum(totals) / self.num_slots, *totals)


def draw(rng: random.Random) -> Drawn:
    """Draw an experiment of 2 to 8 slots, 2 to 5 arms, 2 to 8 seeds, and one to three stages."""
    num_slots, num_arms, num_seeds = rng.randint(2, 8), rng.randint(2, 5), rng.randint(2, 8)
    arms = [
        [rng.choice((1, 2, 4, 6, 8)) * rng.randint(1, 30) for _ in range(rng.randint(1, 3))] for _ in range(num_arms)
    ]
    # Two stages of one kind never take exactly as long.
    chains = [tuple(cost * rng.uniform(0.9, 1.1) for cost in costs) for _ in range(num_seeds) for costs in arms]
    return Drawn(num_slots, [ChainLeft(costs) for costs in chains])


def play(drawn: Drawn) -> float:
    """Run an experiment whose stages take as long as expected; return its end."""
    chains = dict(enumerate(drawn.chains))
    running: list[tuple[float, int]] = []
    now = 0.0
    while chains:
        while len(running) < drawn.num_slots and not all(chain.runs for chain in chains.values()):
            places = [*chains]
            ends = {place: end for end, place in running}
            left = [
                replace(chain, costs=(ends[place] - now, *chain.costs[1:])) if chain.runs else chain
                for place, chain in chains.items()
            ]
            place = places[next_place(left, drawn.num_slots)]
            chains[place] = replace(chains[place], runs=True)
            heappush(running, (now + chains[place].costs[0], place))
        now, place = heappop(running)
        rest = chains[place].costs[1:]
        if rest:
            chains[place] = ChainLeft(rest, has_started=True)
        else:
            del chains[place]
    return now


def test_no_experiment_ends_later_than_in_the_plans_order_and_most_end_near_the_bound() -> None:
    rng = random.Random(2026)
    drawn = [draw(rng) for _ in range(NUM_EXPERIMENTS)]
    ends = [play(each) for each in drawn]
    in_order = [simulated_end(each.chains, each.num_slots, in_plan_order) for each in drawn]
    assert all(end <= before * (1 + 1e-9) for end, before in zip(ends, in_order, strict=True))
    assert sum(end / each.bound for end, each in zip(ends, drawn, strict=True)) / NUM_EXPERIMENTS <= 1.05
    # The plan's order alone is far from it, so the test would notice if nothing were chosen.
    assert sum(end / each.bound for end, each in zip(in_order, drawn, strict=True)) / NUM_EXPERIMENTS > 1.1


def test_the_longest_chain_is_not_begun_last() -> None:
    # Two slots: in the plan's order the last chain would run alone for 20.
    chains = [ChainLeft((10.0,)), ChainLeft((10.0,)), ChainLeft((10.0, 20.0))]
    assert next_place(chains, 2) == 2
    assert simulated_end(chains, 2, in_plan_order) == 40
    assert simulated_end(chains, 2, by_work_left) == 30


def test_the_plans_order_is_taken_where_it_ends_earlier() -> None:
    # By work left, the chains of 3 run first, then those of 2 side by side, and one slot is idle at the end.
    chains = [ChainLeft((2.0,)), ChainLeft((2.0,)), ChainLeft((2.0,)), ChainLeft((3.0,)), ChainLeft((3.0,))]
    assert simulated_end(chains, 2, in_plan_order) == 7
    assert simulated_end(chains, 2, by_work_left) == 7
    rng = random.Random(1)
    earlier = next(
        each
        for each in (draw(rng) for _ in range(10_000))
        if simulated_end(each.chains, each.num_slots, in_plan_order)
        < simulated_end(each.chains, each.num_slots, by_work_left)
    )
    assert next_place(earlier.chains, earlier.num_slots) == 0


@pytest.mark.parametrize("rule", [by_work_left, in_plan_order])
def test_a_running_chain_keeps_its_slot_for_the_rest_of_its_stage(rule: Rule) -> None:
    chains = [ChainLeft((1.0,), runs=True), ChainLeft((5.0,))]
    assert simulated_end(chains, 1, rule) == 6
    assert next_place(chains, 1) == 1


def test_of_equal_chains_the_first_of_the_plan_comes_first() -> None:
    assert next_place([ChainLeft((1.0,)), ChainLeft((1.0,))], 1) == 0
