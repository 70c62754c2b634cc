"""/presets: the experiments that come with the service."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from service.api.openapi import problem_responses
from service.presets import catalogue
from service.presets.catalogue import Preset, Published

router = APIRouter(prefix="/presets", tags=["presets"])


class PresetView(BaseModel):
    """An experiment that comes with the service."""

    name: str = Field(examples=["table1-cifar100"])
    title: str
    reproduces: str = Field(description="The paper's table or figure.", examples=["Table 1"])
    needs: str = Field(description="The data that the preset needs, and the folder where they must be.")
    mini: bool = Field(
        description="Whether it is a small twin: it has another preset's arms and runs in minutes on two cores."
    )
    arms: list[str]
    num_trials: int = Field(description="Number of trials that Ray would run if none had to be repeated.")
    published: Mapping[str, Published] = Field(
        description="The paper's result for each arm that has one; accuracies are fractions."
    )
    source: str | None = Field(description="The publication of these results.")
    choices: Mapping[str, str] = Field(
        description="Settings that the paper does not give, and why we chose these values."
    )
    notes: str
    spec: Mapping[str, Any] = Field(description="The spec that `POST /experiments?preset=NAME` posts.")


class PresetList(BaseModel):
    """All presets."""

    presets: list[PresetView]


@router.get("", summary="List the presets")
def presets() -> PresetList:
    """List the presets: one for each table and figure of the paper, and a small twin of each."""
    return PresetList(presets=[_view(preset) for preset in catalogue.presets().values()])


@router.get("/{name}", summary="Show a preset", responses=problem_responses(404))
def preset(name: Annotated[str, Path(description="The preset's name.")]) -> PresetView:
    """Show a preset's spec, the published numbers, and our choices."""
    return _view(catalogue.preset(name))


def _view(preset: Preset) -> PresetView:
    return PresetView(
        **{key: getattr(preset, key) for key in Preset.model_fields},
        mini=preset.mini,
        arms=[arm["name"] for arm in preset.spec["arms"]],
        num_trials=preset.num_trials,
    )
