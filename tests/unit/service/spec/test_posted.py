"""Tests of the checks that a posted spec must pass, and a stored spec need not."""

from typing import Any

import pytest

from service.errors import FieldError, SpecInvalid
from service.spec import parse
from service.spec.experiment import parse_posted
from tests.unit.service.spec.test_spec import spec


def fault(raw: Any) -> FieldError:
    with pytest.raises(SpecInvalid) as caught:
        parse_posted(raw)
    (error,) = caught.value.errors
    return error


def with_arm(name: str) -> dict[str, Any]:
    raw = spec()
    raw["arms"][2]["name"] = name
    return raw


@pytest.mark.parametrize(
    ("field", "raw", "character"),
    [
        ("name", spec(name="a\x1b[31mb"), "character 2 is U+001B (ESCAPE)"),
        ("name", spec(name="a\nb"), "character 2 is U+000A (LINE FEED)"),
        ("name", spec(name="ab\u202e"), "character 3 is U+202E (RIGHT-TO-LEFT OVERRIDE)"),
        ("arms[2].name", with_arm("TI\u200bT"), "character 3 is U+200B (ZERO WIDTH SPACE)"),
        ("description", spec(description="a\0b"), "character 2 is U+0000 (NUL)"),
        ("description", spec(description="a\tb\r"), "character 4 is U+000D (CARRIAGE RETURN)"),
        ("labels.lab", spec(labels={"lab": "\ud800"}), "character 1 is U+D800 (half of a surrogate pair)"),
        ("labels.lab", spec(labels={"lab": "a\nb"}), "character 2 is U+000A (LINE FEED)"),
        ('labels["\\u2066x"]', spec(labels={"\u2066x": "y"}), "character 1 is U+2066 (LEFT-TO-RIGHT ISOLATE)"),
        ("webhook.url", spec(webhook={"url": "http://a/\x07"}), "character 10 is U+0007 (BELL)"),
    ],
)
def test_text_that_people_read_holds_no_hidden_characters(field: str, raw: Any, character: str) -> None:
    error = fault(raw)
    assert error.field == field
    assert error.detail.endswith(character)
    assert "\x1b" not in str(error)
    assert "\u202e" not in str(error)


def test_names_of_entry_points_options_and_places_are_text_too() -> None:
    model = {"name": "entry_point", "entry_point": "net\x1b", "options": {"a": "b\u200d"}}
    search = {"method": "grid", "space": {"optimizer.lr\u2069": {"choice": ["x\x9b", 1]}}}
    with pytest.raises(SpecInvalid) as caught:
        parse_posted(spec(model=model, search=search, baseline="T\x1b"))
    found = {error.field for error in caught.value.errors if "character " in error.detail}
    place = 'search.space["optimizer.lr\\u2069"]'
    fields = {"model.entry_point", "model.options.a", place, f"{place}.choice[0]", "baseline"}
    assert found == fields


def test_an_unknown_key_is_shown_with_its_hidden_characters_escaped() -> None:
    with pytest.raises(SpecInvalid) as caught:
        parse_posted(spec(**{"na\u202eme": 1}))
    assert {error.field for error in caught.value.errors} == {'["na\\u202eme"]'}
    assert all(text.isprintable() for error in caught.value.errors for text in (error.pointer, error.detail))


@pytest.mark.parametrize(
    ("url", "detail"),
    [
        ("http://hooks.example:abc/", "the port 'abc' must be a number from 1 to 65535"),
        ("http://hooks.example:99999/", "the port '99999' must be"),
        ("http://hooks.example:\u0661/", "the port '\u0661' must be"),
        ("http://:pw@hooks.example/", "without a user, a password"),
        ("http://0x7f.1/", "must be a name, or an IPv4 address"),
    ],
)
def test_the_address_of_a_webhook_is_checked(url: str, detail: str) -> None:
    error = fault(spec(webhook={"url": url}))
    assert error.field == "webhook.url"
    assert detail in error.detail


def test_a_description_may_have_several_lines() -> None:
    assert parse_posted(spec(description="a\n\tb ❤\ufe0f")).description == "a\n\tb ❤\ufe0f"


def test_what_an_older_version_stored_can_still_be_read() -> None:
    old = spec(
        name="a\u202e\x85",
        description="\x1b[31m",
        labels={"k\u200b": "\x1b]0;title\x07"},
        webhook={"url": "http://:pw@hooks.example:abc/\x01"},
    )
    assert parse(old).model_dump(mode="json", exclude_unset=True)["labels"] == old["labels"]
