"""Tests that a new part was added in all of the places that its recipe in CONTRIBUTING.md lists."""

import math
import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import torch
from pydantic import BaseModel

from service import events
from service.events import Event
from service.presets.catalogue import MINI, presets
from service.spec.experiment import Experiment, Stage, TrainStage
from tests.root import ROOT
from tests.surrogates import IN_KERNELS, ONE_OF_EACH
from tests.unions import members, names
from tests.unit.tet_core.stages import make_config
from tet_core import train_epochs
from tet_core.config import (
    ANALYSES,
    MIN_INPUT_SIZE,
    Analysis,
    AugmentationStep,
    DatasetConfig,
    LossConfig,
    ModelConfig,
    NeuronConfig,
    NormConfig,
    OptimizerConfig,
    ScheduleConfig,
    SurrogateConfig,
)
from tet_core.data import augment
from tet_core.kernels.inputs import SURROGATES
from tet_core.losses import build_loss
from tet_core.models import build_model
from tet_core.neuron import build_neuron, build_surrogate
from tet_core.train.optimizer import build_optimizer, learning_rate

GUIDES = ROOT / "docs" / "guides"
# A pattern for a block of a spec, or a text between backticks.
IN_CODE = r"^```(?:yaml|json)\n(.*?)^```|(?<!`)`([^`\n]+)`"


DOCUMENTED: dict[str, tuple[str, list[str]]] = {
    "model": ("models.md", names(ModelConfig)),
    "neuron": ("models.md", names(NeuronConfig)),
    "surrogate": ("models.md", names(SurrogateConfig)),
    "norm": ("models.md", names(NormConfig)),
    "loss": ("models.md", names(LossConfig)),
    "optimizer": ("models.md", names(OptimizerConfig)),
    "schedule": ("models.md", list(get_args(ScheduleConfig.model_fields["name"].annotation))),
    "dataset": ("data.md", names(DatasetConfig)),
    "augmentation": ("data.md", names(AugmentationStep)),
    "analysis": ("analyses.md", names(Analysis, "kind")),
}


@pytest.mark.parametrize("kind", DOCUMENTED)
def test_every_name_that_a_spec_can_use_is_in_its_guide(kind: str) -> None:
    guide, known = DOCUMENTED[kind]
    text = (GUIDES / guide).read_text()
    assert known
    assert [name for name in known if f"`{name}`" not in text] == []


def models_within(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield every model within a type, and every model within the fields of these models."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from models_within(field.annotation)
    for argument in get_args(annotation):
        yield from models_within(argument)


def test_every_field_of_a_spec_is_in_a_guide() -> None:
    fields = {name for model in models_within(Experiment) for name in model.model_fields}
    pages = [*GUIDES.glob("*.md"), ROOT / "docs" / "troubleshooting.md"]
    code = [groups for page in pages for groups in re.findall(IN_CODE, page.read_text(), re.MULTILINE | re.DOTALL)]
    assert fields - set(re.findall(r"\w+", " ".join(map("".join, code)))) == set()


def test_every_metric_is_in_the_guide() -> None:
    (epoch,) = train_epochs(make_config(epochs=1, validation=0.2), with_energy=True)
    guide = (GUIDES / "getting-started.md").read_text()
    assert [name for name in epoch.metrics if f"`{name}`" not in guide] == []


def test_every_preset_is_in_its_guide() -> None:
    guide = (GUIDES / "from-the-paper-to-a-spec.md").read_text()
    assert [name for name in presets() if not name.endswith(MINI) and f"`{name}`" not in guide] == []


def test_every_surrogate_is_built_as_itself() -> None:
    built = [build_surrogate(member()) for member in members(SurrogateConfig)]
    assert len({type(each) for each in built}) == len(built)
    assert {type(each) for each in ONE_OF_EACH} == {type(each) for each in built}
    assert {type(each) for each in IN_KERNELS} == set(SURROGATES)


def test_every_neuron_is_built_as_itself() -> None:
    (surrogate, *_) = members(SurrogateConfig)
    built = [build_neuron(member(), surrogate()) for member in members(NeuronConfig)]
    assert len({type(each) for each in built}) == len(built)


def test_the_kernels_number_the_surrogates_alike() -> None:
    folder = ROOT / "tet_core" / "kernels"
    in_c = re.search(r"enum \{ (TRIANGLE, [A-Z_, ]+) \};", (folder / "lif.c").read_text())
    in_triton = re.search(r"^(TRIANGLE, [A-Z_, ]+) = ", (folder / "lif_triton.py").read_text(), re.MULTILINE)
    assert in_c is not None
    assert in_triton is not None
    assert in_c[1] == in_triton[1]
    # The first letters are enough: the kernels say RECTANGLE for `Rectangular`.
    assert [name[:5] for name in in_c[1].split(", ")] == [each.__name__.upper()[:5] for each in SURROGATES]


def test_every_loss_is_built_as_itself() -> None:
    outputs = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 3])
    losses = {float(build_loss(member())(outputs, labels)) for member in members(LossConfig)}
    assert len(losses) == len(members(LossConfig))
    assert all(math.isfinite(loss) for loss in losses)


def test_every_optimizer_is_built_as_itself() -> None:
    built = [build_optimizer(member(), [torch.nn.Parameter(torch.zeros(1))]) for member in members(OptimizerConfig)]
    assert len({type(each) for each in built}) == len(built)


def test_every_schedule_has_rates_of_its_own() -> None:
    schedules = get_args(ScheduleConfig.model_fields["name"].annotation)
    config = make_config(epochs=7)
    of_each = [config.model_copy(update={"schedule": ScheduleConfig(name=name)}) for name in schedules]
    rates = {tuple(learning_rate(each, number) for number in range(1, 8)) for each in of_each}
    assert len(rates) == len(schedules)


# Models without a fixed smallest input: the size depends on the layers, or only the nodes know it.
FREE = {"layers", "entry_point"}


def test_every_model_says_its_smallest_input_and_is_built_for_it() -> None:
    assert set(MIN_INPUT_SIZE) == set(names(ModelConfig)) - FREE
    for name, size in MIN_INPUT_SIZE.items():
        with torch.device("meta"):
            build_model(name, num_classes=3, in_channels=2, input_size=size)


@pytest.mark.parametrize("member", members(AugmentationStep), ids=lambda member: str(member().name))
def test_every_augmentation_is_drawn_and_applied(member: type[Any]) -> None:
    images = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    tables = augment.draw((member(),), 2, seed_=0, epoch=1)
    assert augment.apply((member(),), tables, torch.arange(2), images, 32).shape == images.shape


def test_every_analysis_is_a_stage_of_a_spec() -> None:
    assert list(ANALYSES) == names(Analysis, "kind")
    assert set(members(Stage)) == {TrainStage, *members(Analysis)}


def test_every_event_can_be_read_back() -> None:
    defined = {each for each in vars(events).values() if isinstance(each, type) and issubclass(each, Event)} - {Event}
    assert {*members(events.AnyEvent), events.ExperimentChanged} == defined, "no driver writes ExperimentChanged"
    types = [each.model_fields["type"].default for each in defined]
    assert len(set(types)) == len(types)
    # `events.type` in the database holds at most 16 characters.
    assert max(map(len, types)) <= 16
