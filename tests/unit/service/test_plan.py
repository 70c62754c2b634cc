"""Tests of the chains of an experiment: their stages, seeds and ids, and the memory that a plan takes."""

import hashlib
import json
import pickle
import tracemalloc
from typing import Any

import pytest

from service.plan import chain_id, plan, planned
from service.spec.experiment import parse
from service.spec.resolving import resolve_arm, resolve_stage
from tests.unit.service.spec.test_spec import spec, tet, train
from tet_core.config import AnalysisConfig


def test_every_arm_and_seed_is_a_chain_of_resolved_stages() -> None:
    parsed = parse(spec())
    chains = plan(parsed)
    assert [(chain.arm, chain.seed) for chain in chains] == [
        (arm, seed) for seed in (0, 1, 2) for arm in ("SDT", "TET", "TIT")
    ]
    for number, chain in enumerate(chains):
        for stage in chain.stages:
            assert stage.config == resolve_stage(parsed, number % 3, stage.index, chain.seed)


def test_resources_are_not_part_of_a_chain() -> None:
    before, after = (plan(parse(spec(resources={"workers_per_trial": num}))) for num in (8, 4))
    assert [chain.id for chain in before] == [chain.id for chain in after]
    assert before == after, "the settings of its stages, which MLflow shows, have no resources either"


def test_a_chains_id_does_not_depend_on_the_rest_of_the_experiment() -> None:
    def ids(**changes: object) -> dict[tuple[str, int], str]:
        return {(chain.arm, chain.seed): chain.id for chain in plan(parse(spec(**changes)))}

    few, more = ids(seeds=[1]), ids(seeds=[3, 1, 2], batch_size=64)
    assert few.items() <= more.items()
    assert len(set(more.values())) == 9


@pytest.mark.parametrize("arm", ["SDT", "tête-à-tête 🧠", 'a "quoted" \\ name', "\u2028"])
@pytest.mark.parametrize(
    "values", [{}, {"b": 0.1, "a": True, "ü": "é"}, {"search.number": 3}, {"T": 2**53, "x": 1e-300}]
)
def test_an_id_is_the_hash_of_arm_seed_and_values_as_json(arm: str, values: dict[str, Any]) -> None:
    for seed in (0, 7, 2**31 - 1):
        identity = json.dumps([arm, seed, values], sort_keys=True, ensure_ascii=True)
        assert chain_id(arm, seed, values) == hashlib.sha256(identity.encode()).hexdigest()[:16]


def test_an_id_never_changes() -> None:
    assert chain_id("SDT", 0, {}) == "653f720334a0fd1c"


def test_seeds_share_their_configurations() -> None:
    first, *others = [chain for chain in plan(parse(spec())) if chain.arm == "TIT"]
    assert [chain.seed for chain in (first, *others)] == [0, 1, 2]
    for index, stage in enumerate(first.stages):
        assert all(chain.stages[index].of_all_seeds is stage.of_all_seeds for chain in others)
        assert [chain.stages[index].config for chain in (first, *others)] == [
            resolve_stage(parse(spec()), 2, index, seed) for seed in (0, 1, 2)
        ]


def test_a_plan_goes_to_another_process_without_its_chains() -> None:
    its_plan = planned(parse(spec(seeds=list(range(2_000)))))
    pickled = pickle.dumps(its_plan)
    assert len(pickled) < 50_000
    assert [*pickle.loads(pickled)] == [*its_plan]


def test_a_chain_takes_less_than_two_kilobytes() -> None:
    parsed = parse(spec(seeds=list(range(1_000))))
    tracemalloc.start()
    try:
        chains = plan(parsed)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held / len(chains) < 2_000


@pytest.mark.parametrize("seed", [0, 3])
def test_every_stage_of_an_arm_resolves_as_it_does_alone(seed: int) -> None:
    stages = [
        train(),
        train(inherit="all", epochs=7),
        {"kind": "energy"},
        train(T=2, optimizer={"name": "sgd", "lr": 0.1}, batch_size=16),
        {"kind": "landscape", "size": 3},
        train(inherit="all", epochs=3, optimizer={"name": "sgd"}),
        train(loss=tet()),
    ]
    parsed = parse(spec(arms=[{"name": "A", "stages": stages, "neuron": {"name": "lif", "tau": 0.3}}], baseline="A"))
    configs = resolve_arm(parsed, 0, seed)
    assert [config.epochs for config in configs] == [20, 7, 1, 20, 3, 3, 20]
    trains = [config.train if isinstance(config, AnalysisConfig) else config for config in configs]
    assert [config.epoch_offset for config in trains] == [0, 20, 20, 27, 27, 47, 50]
    assert [(config.schedule_offset, config.schedule_epochs) for config in trains] == [
        (0, 27),
        (20, 27),
        (20, 27),
        (0, 23),
        (0, 23),
        (20, 23),
        (0, None),
    ]
    assert [config.optimizer.name for config in trains] == ["adam"] * 3 + ["sgd"] * 3 + ["adam"]
    assert [config.batch_size for config in trains] == [128, 128, 128, 16, 16, 128, 128]
    assert {config.seed for config in trains} == {seed}
    assert configs == tuple(resolve_stage(parsed, 0, index, seed) for index in range(7))
