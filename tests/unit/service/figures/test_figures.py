"""Tests of the figures: which there are, that their bytes repeat, what their SVG holds, and bad data."""

import io
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from PIL import Image

from service.figures.catalogue_of_figures import FigureName, draw, figures_of
from service.figures.figure_data import FigureData
from service.figures.inline_svg import inline_svg
from tests.root import ROOT
from tests.unit.service.figures.made_up import LONG, made_up, searched, spoilt

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = ('<script>alert(1)</script>" onload="x', "$\\frac{a$ {b} & %", "url(#x) &amp; id=\"y\" 'z'")
OF_STAGES = [name for name in FigureName if name is not FigureName.SEARCH]


def svg_of(name: FigureName, data: FigureData) -> str:
    drawn = draw(name, data)
    return inline_svg(name, drawn.svg, drawn.words)


def test_an_experiment_has_the_figures_that_its_data_suffice_for() -> None:
    data = made_up(2, 2, epochs=4)
    assert figures_of(data) == OF_STAGES
    assert figures_of(replace(data, pairs=())) == OF_STAGES[1:]
    trained = tuple(each for each in data.series if each.kind == "train")
    assert figures_of(replace(data, series=trained)) == OF_STAGES[:3]
    assert figures_of(FigureData(("SDT",), "SDT")) == []
    assert figures_of(searched(3)) == [FigureName.SEARCH]


@pytest.mark.slow
@pytest.mark.parametrize(
    "data",
    [
        made_up(1, 1, epochs=1),
        made_up(8, 2, epochs=7),
        made_up(18, 1, epochs=3),
        made_up(names=(LONG[:80], "时间", *HOSTILE), seeds=2, epochs=4, arms=5),
        spoilt(made_up(3, 2, epochs=6)),
    ],
    ids=["one seed", "eight arms", "too many arms", "hostile names", "missing values"],
)
def test_every_figure_is_drawn_for_any_data(data: FigureData) -> None:
    for name in figures_of(data):
        drawn = draw(name, data, png=True)
        width, height = Image.open(io.BytesIO(drawn.png)).size
        assert 400 < width <= 1400, name
        assert height > 150
        assert drawn.words.title
        assert drawn.words.caption.endswith((".", "n."))
        assert drawn.words.alternative.endswith(".")
        assert ElementTree.fromstring(inline_svg(name, drawn.svg, drawn.words)).tag == f"{SVG}svg"


def test_the_same_data_give_the_same_bytes_also_in_several_threads() -> None:
    data = made_up(2, 2, epochs=5)
    names = [FigureName.LOSSES, FigureName.DIFFERENCES] * 3
    with ThreadPoolExecutor(4) as pool:
        drawn = list(pool.map(lambda name: draw(name, data, png=True), names))
    for name in (FigureName.LOSSES, FigureName.DIFFERENCES):
        of_name = [each for other, each in zip(names, drawn, strict=True) if other is name]
        assert len({each.svg for each in of_name}) == len({each.png for each in of_name}) == 1


def test_names_from_outside_are_text_and_nothing_else() -> None:
    data = made_up(names=HOSTILE, arms=3, seeds=1, epochs=2)
    text = svg_of(FigureName.LEARNING_CURVES, data)
    root = ElementTree.fromstring(text)
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        "svg",
        "title",
        "desc",
        "g",
        "path",
        "defs",
        "use",
        "text",
        "clipPath",
        "rect",
        "tspan",
    }
    assert not any(key.startswith("on") or key in ("style", "id=") for each in root.iter() for key in each.attrib)
    shown = ["".join(each.itertext()) for each in root.iter(f"{SVG}text")]
    assert [f"{name} (n=1)" in shown for name in HOSTILE] == [True] * 3


def test_figures_of_one_page_share_no_ids_and_refer_only_to_their_own() -> None:
    data = made_up(2, 2, epochs=4)
    seen: set[str] = set()
    for name in OF_STAGES:
        root = ElementTree.fromstring(svg_of(name, data))
        ids = [each.attrib["id"] for each in root.iter() if "id" in each.attrib]
        assert len(ids) == len(set(ids))
        assert not seen & set(ids)
        seen |= set(ids)
        values = [value for each in root.iter() for value in each.attrib.values()]
        references = {value[5:-1] for value in values if value.startswith("url(#")}
        references |= {value[1:] for value in values if value.startswith("#") and not _is_colour(value)}
        references |= set(root.attrib["aria-labelledby"].split())
        assert references <= set(ids)
        assert not any("://" in value for value in values)


def _is_colour(value: str) -> bool:
    return len(value) == 7 and set(value[1:]) <= set("0123456789abcdef")


def test_a_figure_says_in_words_what_it_shows() -> None:
    data = made_up(3, 4, epochs=6)
    words = draw(FigureName.DIFFERENCES, data).words
    mean = data.pairs[0].mean
    assert words.alternative.startswith(f"TET minus SDT: mean {mean:+.2f} points, seed by seed ")
    curves = draw(FigureName.LEARNING_CURVES, data).words
    assert "one standard deviation" in curves.caption
    assert "n = 4 seeds an arm" in curves.caption
    assert "Dotted vertical lines" in curves.caption  # TIT has two stages
    assert "Without a value: TET." in draw(FigureName.LOSSES, spoilt(data)).words.caption
    assert "a single seed" in draw(FigureName.LOSSES, made_up(2, 1, epochs=3)).words.caption
    assert "Of 18 arms, 16 are drawn." in draw(FigureName.ENERGY, made_up(18, 1, epochs=2)).words.caption


def test_a_long_training_makes_no_large_file() -> None:
    assert len(svg_of(FigureName.LEARNING_CURVES, made_up(8, 2, epochs=1_000))) < 300_000
    assert len(svg_of(FigureName.SEARCH, searched(2_000))) < 400_000


def test_every_figure_is_in_the_guide() -> None:
    table = (ROOT / "docs" / "guides" / "reports.md").read_text().partition("\n## Figures\n")[2]
    assert re.findall(r"^\| `([a-z-]+)` \|", table, flags=re.MULTILINE) == [name.value for name in FigureName]
