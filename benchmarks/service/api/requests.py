"""What is asked: every GET that the API describes, logs and event streams aside, and what is posted beside it.

The API's own description is what they are listed by, so that a new endpoint is either measured or an error here.
"""

import itertools
import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.service.api.stored import Stored, raw_spec

# Their answers are as long as what they tell of, and streams do not end.
ASIDE = ("/experiments/{experiment_id}/events", "/experiments/{experiment_id}/logs")
# Of 50 requests a second, 10 change something.
POST_SHARE = 0.2


@dataclass(frozen=True)
class Request:
    """One request, and under which name its latency counts."""

    name: str
    method: str
    path: str
    body: str = ""

    def as_dict(self) -> dict[str, str]:
        """The same as plain values."""
        return asdict(self)


class Mix:
    """Draws requests over what is stored, always the same ones."""

    def __init__(self, description: Mapping[str, Any], stored: Stored, seed: int = 0) -> None:
        self._stored, self._draw = stored, random.Random(seed)
        self._all = [each for ids in stored.ids.values() for each in ids]
        self._verified = [each for each in stored.ids["succeeded"] if each.endswith("0")]
        self._numbers = itertools.count(1_000_000)
        paths = [path for path, item in description["paths"].items() if "get" in item and path not in ASIDE]
        self.gets = [name for path in paths for name in self._variants(path)]
        posts = {path for path, item in description["paths"].items() if "post" in item}
        self.posts = [path for path in POSTS if path in posts]
        self.not_measured = sorted(posts - set(POSTS))

    def requests(self, count: int) -> Iterator[Request]:
        """So many requests; each GET as often as any other, and so each POST."""
        gets, posts = itertools.cycle(self.gets), itertools.cycle(self.posts)
        every = round(1 / POST_SHARE)
        for number in range(count):
            yield self._post(next(posts)) if number % every == 0 else self._get(next(gets))

    # -- GET ---------------------------------------------------------------------------------------------------

    def _variants(self, path: str) -> list[str]:
        """An endpoint, with the queries that make it do different work."""
        return [path + query for query in QUERIES.get(path, ("",))]

    def _get(self, name: str) -> Request:
        path = name
        for parameter, value in PARAMETERS.items():
            if parameter in path:
                path = path.replace(parameter, value(self))
        assert "{" not in path, f"the benchmark does not know what to ask {name} for: teach PARAMETERS"
        return Request(f"GET {name}", "GET", path)

    def any_id(self) -> str:
        """Any experiment's."""
        return self._draw.choice(self._all)

    def verified_id(self) -> str:
        """Of one with replays."""
        return self._draw.choice(self._verified)

    def preset(self) -> str:
        """A preset's name."""
        return self._draw.choice(("table1-cifar100", "fig4b-energy-mini"))

    def number(self) -> str:
        """A number in the names of experiments."""
        return str(self._draw.randrange(self._stored.num_experiments))

    # -- POST --------------------------------------------------------------------------------------------------

    def _post(self, path: str) -> Request:
        filled, body = POSTS[path](self)
        return Request(f"POST {path}", "POST", filled, "" if body is None else json.dumps(body))

    def new_spec(self) -> dict[str, Any]:
        """A spec that was never posted."""
        return raw_spec(next(self._numbers))

    def queued_id(self) -> str:
        """Of one that waits."""
        return self._draw.choice(self._stored.ids["queued"])

    def failed_id(self) -> str:
        """Of one that failed, and was not retried before."""
        return self._stored.ids["failed"].pop()

    def succeeded_id(self) -> str:
        """Of one that succeeded."""
        return self._draw.choice(self._stored.ids["succeeded"])

    def replay(self) -> dict[str, Any]:
        """Which stage to replay."""
        return {"chain": self._draw.choice(self._stored.chains).id, "stage": 0}


_ID = "/experiments/{experiment_id}"
PARAMETERS: Mapping[str, Callable[[Mix], str]] = {
    "/{experiment_id}/verifications": lambda mix: f"/{mix.verified_id()}/verifications",
    "{experiment_id}": Mix.any_id,
    "{cursor}": Mix.any_id,
    "{text}": Mix.number,
    "/verifications/{number}": lambda mix: "/verifications/7",
    "/presets/{name}": lambda mix: f"/presets/{mix.preset()}",
}
QUERIES: Mapping[str, tuple[str, ...]] = {
    "/experiments": (
        "",
        "?limit=200",
        "?cursor={cursor}",
        "?state=running",
        "?state=failed",
        "?state=succeeded&cursor={cursor}",
        "?name=number {text}",
        "?name=nobody has this name",
        "?state=failed&name=nobody has this name",
    ),
    _ID: ("", "?limit=10", "?cursor=20"),
}
# Half of what is posted are specs.
POSTS: Mapping[str, Callable[[Mix], tuple[str, object]]] = {
    "/experiments": lambda mix: ("/experiments", mix.new_spec()),
    "/experiments/validate": lambda mix: ("/experiments/validate", mix.new_spec()),
    f"{_ID}/pause": lambda mix: (f"/experiments/{mix.queued_id()}/pause", None),
    f"{_ID}/resume": lambda mix: (f"/experiments/{mix.queued_id()}/resume", None),
    f"{_ID}/retry": lambda mix: (f"/experiments/{mix.failed_id()}/retry", None),
    f"{_ID}/fork": lambda mix: (f"/experiments/{mix.succeeded_id()}/fork", {"name": "a fork"}),
    f"{_ID}/verify": lambda mix: (f"/experiments/{mix.succeeded_id()}/verify", mix.replay()),
}
# Everything that changes something and is not asked, with the reason.
NOT_MEASURED: Mapping[str, str] = {
    f"POST {_ID}/cancel": "it stores a wish, as a pause does, and what is cancelled can be asked nothing more",
    f"POST {_ID}/rerun-best": "none of what is stored has a search, so nothing was chosen",
    f"DELETE {_ID}": "it stores a wish; the files are removed later",
}
