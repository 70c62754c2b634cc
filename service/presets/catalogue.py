"""Reading the presets, the YAML files beside this module.

A preset is a spec together with what the paper published for it and with every value that is our choice because the
paper does not give it. Its `-mini` twin keeps the arms and runs in minutes on two cores, on other data: published
numbers are none of its business.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from service.documents import load_yaml
from service.errors import NotFound, shown
from service.spec.merge import merged

FOLDER = Path(__file__).parent
MINI = "-mini"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Published(_Record):
    """A published result of one arm: accuracies are fractions, as everywhere in the API."""

    mean: float = Field(gt=0, le=1, description="Test accuracy; as published, of the best test epoch.")
    std: float | None = Field(None, ge=0, lt=1, description="Over the seeds; null where the paper gives none.")
    n: int | None = Field(None, ge=1, description="Seeds; null where the paper does not say.")


class Preset(_Record):
    """One preset.

    Attributes:
        name: The file's name without its ending.
        title: What it reproduces, for a list.
        reproduces: The table or figure of the paper.
        needs: The data, and where they have to lie.
        published: For each arm that the paper has a number for, that number.
        source: Where the numbers were published.
        choices: What the paper does not give, by the spec's path, and why we chose what stands there.
        notes: What else a reader of the results should know.
        spec: What is posted.
    """

    name: str
    title: str
    reproduces: str
    needs: str
    published: Mapping[str, Published] = {}
    source: str | None = None
    choices: Mapping[str, str] = {}
    notes: str = ""
    spec: Mapping[str, Any]

    @property
    def mini(self) -> bool:
        """Whether it is a small twin."""
        return self.name.endswith(MINI)

    @property
    def num_trials(self) -> int:
        """Trials that it asks for: one for each stage of each chain."""
        return sum(len(arm["stages"]) for arm in self.spec["arms"]) * len(self.spec["seeds"])

    def with_changes(self, changes: object) -> dict[str, Any]:
        """The spec with a user's changes merged over it, as the levels of a spec are; lists are replaced whole.

        Args:
            changes: A part of a spec as plain data, or None for none. What is not a mapping is returned as it is, for
                the spec's own checks to refuse.
        """
        if changes is None:
            return dict(self.spec)
        if not isinstance(changes, Mapping):
            return changes  # type: ignore[return-value]
        return merged(self.spec, changes)


@cache
def presets() -> Mapping[str, Preset]:
    """All presets by name, each before its small twin."""
    found = [_read(file) for file in FOLDER.glob("*.yaml")]
    return {preset.name: preset for preset in sorted(found, key=lambda preset: preset.name)}


def preset(name: str) -> Preset:
    """One preset.

    Raises:
        NotFound: There is none of this name.
    """
    try:
        return presets()[name]
    except KeyError:
        raise NotFound(f"there is no preset {shown(name)!r}; there are: {', '.join(presets())}") from None


def preset_text(name: str) -> str:
    """A preset's file, comments and all.

    Raises:
        NotFound: There is none of this name.
    """
    return (FOLDER / f"{preset(name).name}.yaml").read_text(encoding="utf-8")


def _read(file: Path) -> Preset:
    document = load_yaml(file.read_text(encoding="utf-8"))
    assert isinstance(document, dict), file
    published = {arm: _fractions(values) for arm, values in document.pop("published", {}).items()}
    return Preset.model_validate({"name": file.stem, "published": published, **document})


def _fractions(values: Mapping[str, float]) -> dict[str, float]:
    """The files hold percent, as the paper does, to be compared with it by eye."""
    return {key: value if key == "n" else round(value / 100, 6) for key, value in values.items()}
