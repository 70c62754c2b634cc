"""Tests of the page: its structure, its words, its policy, and hostile names."""

import base64
import hashlib
import re

import pytest

from service.figures.canvas import Drawn
from service.figures.catalogue_of_figures import FigureName, drawn_figures
from service.reports.html_page import MAX_LISTED, MAX_SPEC, html, security_headers
from service.states import ExperimentState
from tests.unit.service.figures.made_up import made_up
from tests.unit.service.reports.made_up_report import made_up_report
from tests.unit.service.reports.page_checks import Page, faults

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
NOTHING: dict[FigureName, Drawn] = {}


def test_a_page_has_a_sound_structure_and_all_parts() -> None:
    text = html(made_up_report(), drawn_figures(made_up(3, 2, epochs=4)))
    assert faults(text) == []
    page = Page(text)
    assert [each.text for each in page.all("h2")] == [
        "Question",
        "Answer",
        "Results",
        "Figures",
        "What the results rest on",
        "Repeat it",
    ]
    captions = [each.text for each in page.all("caption")]
    assert captions[:2] == ["Test accuracy after the last epoch, %", "Paired differences in points"]
    assert len(page.all("figure")) == len(page.all("figcaption")) == 6
    everything = page.all("main")[0].text
    for part in (
        "Does TET differ from SDT?",
        "TET is better than SDT by 3.00 points",
        "SDT: a note",
        "second line of TET",
        "batch_size",
        "repair it",
        "2.13",
        "abab",
        "343434343434",
        "tet submit experiment.json --follow",
        "started 2026-01-01 01:00:00 UTC",
        "2 of 6 chains",
        made_up_report().spec_sha256,
    ):
        assert part in everything, part


def test_hostile_words_stay_words() -> None:
    data = made_up(names=(HOSTILE, "second"), arms=2, seeds=2, epochs=3)
    text = html(made_up_report(HOSTILE, "se&cond\u202e\x1b"), drawn_figures(data))
    assert faults(text) == []
    page = Page(text)
    assert page.all("h1")[0].text == f"{HOSTILE} and se&cond\\u202e\\x1b"
    assert page.all("title")[0].text.startswith(HOSTILE)
    assert "\u202e" not in text


def test_the_policy_allows_the_style_sheet_of_the_page_and_nothing_else() -> None:
    page = Page(html(made_up_report(), NOTHING))
    (style,) = page.all("style")
    digest = base64.b64encode(hashlib.sha256(style.text.encode()).digest()).decode()
    policy = next(each for each in page.all("meta") if "http-equiv" in each.attributes).attributes["content"]
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    assert security_headers()["Content-Security-Policy"].startswith(policy)
    assert not re.search(r"url\(|@import", style.text)
    assert "size: A4" in style.text


def test_the_colours_of_the_text_have_enough_contrast() -> None:
    style = Page(html(made_up_report(), NOTHING)).all("style")[0].text
    texts, grounds = (set(re.findall(rf"(?<![-\w]){key}: (#[0-9a-f]+)", style)) for key in ("color", "background"))
    assert {"#1a1a1a", "#595959"} <= texts
    for text in texts:
        for ground in grounds:
            assert contrast(text, ground) >= 4.5, (text, ground)


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, as WCAG 2 defines it."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_an_experiment_without_results_has_a_page_too() -> None:
    report = made_up_report(
        state=ExperimentState.RUNNING,
        verdicts=[],
        failures=[],
        deviations=None,
        environments=[],
        preset=None,
        finished_at=None,
    )
    text = html(report, NOTHING)
    assert faults(text) == []
    for part in (
        "There is no verdict yet.",
        "The experiment has not ended:",
        "There is nothing to draw yet",
        "without a preset",
        "No stage has failed.",
        "The environment was not recorded.",
    ):
        assert part in text


@pytest.mark.parametrize(("deviations", "words"), [([], "is the preset fig3-switch-mini without any deviation")])
def test_a_preset_that_was_kept_is_named(deviations: list[object], words: str) -> None:
    assert words in html(made_up_report(deviations=deviations), NOTHING)


def test_long_lists_and_specs_are_cut_and_the_page_says_so() -> None:
    verdicts = [f"verdict {number}" for number in range(MAX_LISTED + 7)]
    text = html(made_up_report(verdicts=verdicts, spec={"name": "x" * MAX_SPEC}), NOTHING)
    assert "7 more verdicts are in the table of pairs." in text
    assert "The spec is too long for this page." in text
    assert len(text) < MAX_SPEC
