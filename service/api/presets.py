"""/presets: the experiments that come with the service."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from service.api.openapi import answers
from service.presets import catalogue
from service.presets.catalogue import Preset, Published

router = APIRouter(prefix="/presets", tags=["presets"])


class PresetView(BaseModel):
    """An experiment that comes with the service."""

    name: str = Field(examples=["table1-cifar100"])
    title: str
    reproduces: str = Field(description="The paper's table or figure.", examples=["Table 1"])
    needs: str = Field(description="The data, and where they have to lie.")
    mini: bool = Field(description="Whether it is the small twin of another: the same arms, minutes on two cores.")
    arms: list[str]
    num_trials: int = Field(description="Trials that Ray would run if none had to be repeated.")
    published: Mapping[str, Published] = Field(description="By arm: what the paper has for it, as fractions.")
    source: str | None = Field(description="Where that was published.")
    choices: Mapping[str, str] = Field(description="What the paper does not give, and why we chose what stands there.")
    notes: str
    spec: Mapping[str, Any] = Field(description="What `POST /experiments?preset=NAME` posts.")


class PresetList(BaseModel):
    """All presets."""

    presets: list[PresetView]


@router.get("", summary="List the presets")
def presets() -> PresetList:
    """One for each table and figure of the paper, and a small twin of each."""
    return PresetList(presets=[_view(preset) for preset in catalogue.presets().values()])


@router.get("/{name}", summary="Show a preset", responses=answers(404))
def preset(name: Annotated[str, Path(description="The preset's name.")]) -> PresetView:
    """Its spec, the published numbers, and our choices."""
    return _view(catalogue.preset(name))


def _view(preset: Preset) -> PresetView:
    return PresetView(
        **{key: getattr(preset, key) for key in Preset.model_fields},
        mini=preset.mini,
        arms=[arm["name"] for arm in preset.spec["arms"]],
        num_trials=preset.num_trials,
    )
