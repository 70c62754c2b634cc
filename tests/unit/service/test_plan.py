from service.plan import plan
from service.spec.experiment import parse
from service.spec.resolving import resolve_stage
from tests.unit.service.spec.test_spec import spec


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
    assert before == after, "nor what its stages run with, which MLflow shows"


def test_a_chains_id_does_not_depend_on_the_rest_of_the_experiment() -> None:
    def ids(**changes: object) -> dict[tuple[str, int], str]:
        return {(chain.arm, chain.seed): chain.id for chain in plan(parse(spec(**changes)))}

    few, more = ids(seeds=[1]), ids(seeds=[3, 1, 2], batch_size=64)
    assert few.items() <= more.items()
    assert len(set(more.values())) == 9
