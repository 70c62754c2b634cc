"""The presets: the YAML files in the folder of this module.

A preset is a spec with the results that the paper published for it, and with a reason for every value that the paper
does not give. Its `-mini` twin has the same arms, but other data, and runs in minutes on two cores; so it has no
published results.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from service.documents import load_yaml
from service.errors import NotFound, shown
from service.spec.merge import changed

FOLDER = Path(__file__).parent
MINI = "-mini"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Published(_Record):
    """A published result of one arm; accuracies are fractions, as everywhere in the API."""

    mean: float = Field(gt=0, le=1, description="Test accuracy; the paper reports the best test epoch.")
    std: float | None = Field(None, ge=0, lt=1, description="Spread over the seeds; null if the paper gives none.")
    n: int | None = Field(None, ge=1, description="Number of seeds; null if the paper does not say.")


class Preset(_Record):
    """One preset.

    Attributes:
        name: The file's name without its ending.
        title: A short title for lists of presets.
        reproduces: The table or figure of the paper.
        needs: The data that it needs, and where they must be.
        published: The paper's result for each arm that has one.
        source: The publication of these results.
        choices: The reason for each setting that the paper does not give, by the setting's path in the spec.
        notes: More that a reader of the results should know.
        spec: The spec to post.
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
        """Whether the preset is a small twin."""
        return self.name.endswith(MINI)

    @property
    def num_trials(self) -> int:
        """The number of its trials: one for each stage of each chain."""
        seeds = self.spec["seeds"]
        num_seeds = seeds["at_most"] if isinstance(seeds, Mapping) else len(seeds)
        return sum(len(arm["stages"]) for arm in self.spec["arms"]) * int(num_seeds)

    def with_changes(self, changes: object) -> dict[str, Any]:
        """Return the spec with a user's changes merged into it: blocks are merged by key, lists are replaced whole.

        Args:
            changes: A part of a spec as plain data; None: no changes. Data that is not a mapping is returned unchanged:
                the checks of the spec refuse it.
        """
        if changes is None:
            return dict(self.spec)
        if not isinstance(changes, Mapping):
            return changes  # type: ignore[return-value]
        return changed(self.spec, changes)


@cache
def presets() -> Mapping[str, Preset]:
    """Return all presets by name, each before its small twin."""
    unsorted = [read_preset(file) for file in FOLDER.glob("*.yaml")]
    return {preset.name: preset for preset in sorted(unsorted, key=lambda preset: preset.name)}


def preset(name: str) -> Preset:
    """Return one preset.

    Raises:
        NotFound: There is no preset of this name.
    """
    try:
        return presets()[name]
    except KeyError:
        raise NotFound(f"there is no preset {shown(name)!r}; there are: {', '.join(presets())}") from None


def preset_if_known(name: str | None) -> Preset | None:
    """Return the preset with which an experiment was posted; None without one, or if this version does not have it."""
    return None if name is None else presets().get(name)


def preset_text(name: str) -> str:
    """Return the text of a preset's file, with its comments.

    Raises:
        NotFound: There is no preset of this name.
    """
    return (FOLDER / f"{preset(name).name}.yaml").read_text(encoding="utf-8")


def read_preset(file: Path) -> Preset:
    """Read a preset from its file."""
    document = load_yaml(file.read_text(encoding="utf-8"))
    assert isinstance(document, dict), file
    published = {arm: _fractions(values) for arm, values in document.pop("published", {}).items()}
    return Preset.model_validate({"name": file.stem, "published": published, **document})


def _fractions(values: Mapping[str, float]) -> dict[str, float]:
    """Return fractions; the files hold percent, so that people can compare them with the paper."""
    return {key: value if key == "n" else round(value / 100, 6) for key, value in values.items()}
