"""Tests of the requests of `make test-hostile`: they follow from a seed, and each is what its name says."""

import json

import pytest

from service.errors import SpecInvalid
from service.spec.experiment import parse_posted
from tests.system.hostile import documents
from tests.system.hostile.requests import NUM_VARIANTS, refused_texts_and_urls, variants


def test_a_seed_always_gives_the_same_variants_and_another_seed_gives_others() -> None:
    assert len(variants(1)) == NUM_VARIANTS
    assert variants(1) == variants(1)
    assert variants(1) != variants(2)


def test_three_of_the_five_kinds_are_a_fifth_of_the_variants_each() -> None:
    words = [each.words for each in variants(3)]
    assert sum(each.startswith("text with") for each in words) == NUM_VARIANTS // 5
    assert sum(each.startswith("webhook ") for each in words) == NUM_VARIANTS // 5
    assert sum(each.startswith("GET /") for each in words) == NUM_VARIANTS // 5
    assert all(each.path.isascii() and " " not in each.path for each in variants(3))


@pytest.mark.parametrize("seed", range(3))
def test_every_text_and_address_that_must_be_refused_is_refused(seed: int) -> None:
    unlisted = (
        "http://169.254.",
        "http://100.100.",
        "http://[f",
        "http://[::ffff",
        "http://0.0.0.0",
        "http://elsewhere",
    )
    for request in (*refused_texts_and_urls(), *variants(seed)):
        if request.path != "/experiments":
            continue
        document = json.loads(request.body)
        if "webhook" in document:
            url = document["webhook"]["url"].replace("https://", "http://")
            if url.startswith(unlisted) or ".example/" in url:
                continue  # its form is right, and only the list of hosts refuses it
        with pytest.raises(SpecInvalid, match="must"):
            parse_posted(document)


def test_the_large_bodies_have_their_intended_sizes() -> None:
    for kind in range(4):
        assert 0.8 * documents.BODY_BYTES < len(documents.large_json(kind)) < 1_048_576
    assert len(json.dumps(documents.random_search(100, 5_000))) < 10_000
    assert 290_000 < len(documents.large_yaml(300_000)) <= 300_000
