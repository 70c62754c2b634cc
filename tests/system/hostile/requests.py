"""The requests of the run, as data: the named ones, and the variants that a seed makes of them."""

import json
import random
from dataclasses import dataclass, field

from tests.local_stack import Json
from tests.system.hostile import documents

NUM_VARIANTS = 200
JSON_TYPE = {"Content-Type": "application/json"}
YAML_TYPE = {"Content-Type": "application/yaml"}
PLACES = ("name", "description", "arm", "label", "label's name", "entry point", "search's place", "baseline")
HIDDEN = [
    *range(0x20),
    *range(0x7F, 0xA0),
    0xAD,
    *range(0x200B, 0x2010),
    *range(0x2028, 0x202F),
    *range(0x2060, 0x2070),
    0xFEFF,
    0xFFFE,
    0xFFFF,
    *range(0xE0000, 0xE0080),
]


@dataclass(frozen=True)
class HostileRequest:
    """One request.

    Attributes:
        words: Its name in the report.
        method: GET or POST.
        path: The path, with its query.
        body: The body.
        headers: The headers besides Host and Content-Length.
        is_refused: Whether the answer must be 4xx; else 2xx is right too.
    """

    words: str
    method: str
    path: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    is_refused: bool = False


def validated(words: str, document: Json, *, is_refused: bool = False) -> HostileRequest:
    """Return the request to check a spec."""
    body = json.dumps(document).encode()
    return HostileRequest(words, "POST", "/experiments/validate", body, JSON_TYPE, is_refused)


def posted(words: str, document: Json, *, is_refused: bool = False) -> HostileRequest:
    """Return the request to store a spec."""
    return HostileRequest(words, "POST", "/experiments", json.dumps(document).encode(), JSON_TYPE, is_refused)


def refused_texts_and_urls() -> list[HostileRequest]:
    """Return requests with texts and addresses that must be refused."""
    texts = [
        posted(f"text {text!a} as {place}", with_text(place, text), is_refused=True)
        for number, text in enumerate(documents.BAD_TEXTS)
        for place in (PLACES[number % len(PLACES)], "name")
    ]
    urls = [
        posted(f"webhook {url!a}", documents.spec(webhook={"url": url}), is_refused=True) for url in documents.BAD_URLS
    ]
    return texts + urls


def plans() -> list[HostileRequest]:
    """Return requests with small specs that ask for large plans."""
    return [
        posted("5,000 random configurations x 100 stages", documents.random_search(100, 5_000)),
        validated("5,000 random configurations x 100 stages, validated", documents.random_search(100, 5_000)),
        posted("a grid of 70 x 70 x 100 stages", documents.grid(70)),
        posted("100,000 seeds x 100 stages", documents.staged(1, 100, 100_000)),
        posted("200,000 stages", documents.staged(20, 100, 100)),
    ]


def with_text(place: str, text: str) -> Json:
    """Return a spec with a text at one of `PLACES`."""
    match place:
        case "name" | "description" | "baseline":
            return documents.spec(**{place: text})
        case "arm":
            return documents.spec(arms=[{"name": text, "stages": [documents.STAGE]}])
        case "label":
            return documents.spec(labels={"lab": text})
        case "label's name":
            return documents.spec(labels={text: "x"})
        case "entry point":
            return documents.spec(model={"name": "entry_point", "entry_point": text})
        case _:
            return documents.spec(search={"method": "grid", "space": {text: {"choice": [1, 2]}}})


def variants(seed: int) -> list[HostileRequest]:
    """Return `NUM_VARIANTS` requests; the same seed gives the same ones."""
    draw = random.Random(seed)
    makers = (_text_variant, _url_variant, _plan_variant, _body_variant, _query_variant)
    return [makers[number % len(makers)](draw) for number in range(NUM_VARIANTS)]


def _text_variant(draw: random.Random) -> HostileRequest:
    character = chr(draw.choice([code for code in HIDDEN if code not in (0x09, 0x0A)]))
    at, text = draw.randrange(6), "plain text"
    place = draw.choice(PLACES)
    document = with_text(place, text[:at] + character + text[at:])
    return posted(f"text with U+{ord(character):04X} as {place}", document, is_refused=True)


def _url_variant(draw: random.Random) -> HostileRequest:
    byte = draw.randrange
    host = draw.choice(
        [
            str(byte(2**24, 2**32)),
            f"0x{byte(2**32):x}",
            f"0{byte(1, 8)}77.0.0.{byte(256)}",
            f"127.{byte(2**16)}",
            f"169.254.{byte(256)}.{byte(256)}",
            f"[fe80::{byte(1, 2**16):x}]",
            f"[::ffff:{byte(2**16):x}:{byte(2**16):x}]",
            f"u{byte(99)}:p{byte(99)}@127.0.0.1",
            f"127.0.0.1:{byte(65_536, 10**9)}",
            f"127.0.0.1:-{byte(1, 99)}",
            f"127.0.0.1:{chr(0x660 + byte(1, 10))}",
            f"127.0.0.1:{draw.choice('abcxyz')}",
            f"host{byte(99)}.example",
            f"127.0.0.1\\@{byte(99)}.example",
            f"127.0.0.1 .{byte(99)}",
            f"[{byte(2**16):x}",
            "",
        ]
    )
    url = f"{draw.choice(['http', 'https'])}://{host}/{byte(1_000)}"
    return posted(f"webhook {url!a}", documents.spec(webhook={"url": url}), is_refused=True)


def _plan_variant(draw: random.Random) -> HostileRequest:
    """Return a request to check a plan of at least 10,000 stages. It stores nothing, so that the queue stays short."""
    num_stages, num = draw.randint(50, 100), draw.choice([200, 1_000, 5_000])
    kind = draw.randrange(3)
    if kind == 0:
        return validated(f"{num} random configurations x {num_stages}", documents.random_search(num_stages, num))
    if kind == 1:
        points = draw.randint(15, 70)
        return validated(f"a grid of {points} x {points}", documents.grid(points))
    return validated(f"{num} seeds x {num_stages} stages", documents.staged(1, num_stages, num))


def _body_variant(draw: random.Random) -> HostileRequest:
    """Return a request whose body is cut, deeply nested, garbage, full of YAML aliases or of an unknown type."""
    whole = json.dumps(documents.spec()).encode()
    size = draw.choice([1_000, 30_000, 300_000])
    kind = draw.randrange(6)
    words, body, headers = [
        ("cut JSON", whole[: draw.randrange(1, len(whole))], JSON_TYPE),
        ("nested JSON", b'{"name": ' + b"[" * size + b"]" * size + b"}", JSON_TYPE),
        ("garbage", draw.randbytes(size), draw.choice([JSON_TYPE, YAML_TYPE])),
        ("nested YAML", b"name: " + b"[" * size + b"]" * size, YAML_TYPE),
        ("YAML aliases", b"a: &a [x]\n" + b"b: [*a, *a]\n" * (size // 12), YAML_TYPE),
        ("an unknown type", whole, {"Content-Type": f"application/{draw.choice(['xml', 'x' * size])}"}),
    ][kind]
    return HostileRequest(f"{words}, {len(body)} bytes", "POST", "/experiments/validate", body, headers, True)


def _query_variant(draw: random.Random) -> HostileRequest:
    code = draw.choice([0x1B, 0x00, 0x0D, 0x7F, 0x9B, 0x202E, 0x200B, 0x2066])
    quoted = "".join(f"%{byte:02X}" for byte in chr(code).encode())
    path = draw.choice(
        [
            f"/experiments?name=a{quoted}",
            f"/experiments?cursor={quoted}",
            f"/experiments?limit={draw.randint(201, 10**9)}",
            f"/experiments?state={quoted}",
            f"/experiments/{quoted}",
            f"/experiments/{'f' * draw.randint(21, 3_000)}",
            f"/presets/{quoted}",
            f"/{quoted}",
        ]
    )
    return HostileRequest(f"GET {path[:60]}", "GET", path, is_refused=True)
