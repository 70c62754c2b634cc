"""The requests: every GET that the API describes, except logs and event streams, and some of its POSTs.

The GETs are read from the API's own description, so a new GET is measured, or the benchmark fails.
"""

import itertools
import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.service.api.stored import Stored, raw_spec

# Endpoints that are left out: a log's answer can have any length, a stream does not end, and a report or a figure takes
# a second of a core, of which the API gives them a few at a time.
ASIDE = tuple(f"/experiments/{{experiment_id}}/{part}" for part in ("events", "logs", "report", "figures/{figure}"))
# Share of POSTs: 10 of 50 requests a second.
POST_SHARE = 0.2


@dataclass(frozen=True)
class Request:
    """One request, and the name under which its latency is counted."""

    name: str
    method: str
    path: str
    body: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return the request as plain values."""
        return asdict(self)


class Mix:
    """A generator of requests for the stored experiments, the same ones in every run."""

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
        """Yield `count` requests; every GET is as frequent as any other GET, every POST as any other POST."""
        gets, posts = itertools.cycle(self.gets), itertools.cycle(self.posts)
        every = round(1 / POST_SHARE)
        for number in range(count):
            yield self._post(next(posts)) if number % every == 0 else self._get(next(gets))

    # -- GET ---------------------------------------------------------------------------------------------------

    def _variants(self, path: str) -> list[str]:
        """Return an endpoint's path with each query that makes the endpoint do different work."""
        return [path + query for query in QUERIES.get(path, ("",))]

    def _get(self, name: str) -> Request:
        path = name
        for parameter, value in PARAMETERS.items():
            if parameter in path:
                path = path.replace(parameter, value(self))
        assert "{" not in path, f"{name} has a parameter for which PARAMETERS has no value"
        return Request(f"GET {name}", "GET", path)

    def any_id(self) -> str:
        """Return the id of any experiment."""
        return self._draw.choice(self._all)

    def verified_id(self) -> str:
        """Return the id of an experiment with replays."""
        return self._draw.choice(self._verified)

    def preset(self) -> str:
        """Return a preset's name."""
        return self._draw.choice(("table1-cifar100", "fig4b-energy-mini"))

    def number(self) -> str:
        """Return a number that occurs in the names of experiments."""
        return str(self._draw.randrange(self._stored.num_experiments))

    # -- POST --------------------------------------------------------------------------------------------------

    def _post(self, path: str) -> Request:
        filled, body = POSTS[path](self)
        return Request(f"POST {path}", "POST", filled, "" if body is None else json.dumps(body))

    def new_spec(self) -> dict[str, Any]:
        """Return a spec that was never posted."""
        return raw_spec(next(self._numbers))

    def queued_id(self) -> str:
        """Return the id of an experiment that waits."""
        return self._draw.choice(self._stored.ids["queued"])

    def failed_id(self) -> str:
        """Return the id of a failed experiment that was not retried before."""
        return self._stored.ids["failed"].pop()

    def succeeded_id(self) -> str:
        """Return the id of an experiment that succeeded."""
        return self._draw.choice(self._stored.ids["succeeded"])

    def replay(self) -> dict[str, Any]:
        """Return the request to replay a stage."""
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
# The POSTs that are measured, each with a function that returns its path and its body.
POSTS: Mapping[str, Callable[[Mix], tuple[str, object]]] = {
    "/experiments": lambda mix: ("/experiments", mix.new_spec()),
    "/experiments/validate": lambda mix: ("/experiments/validate", mix.new_spec()),
    f"{_ID}/pause": lambda mix: (f"/experiments/{mix.queued_id()}/pause", None),
    f"{_ID}/resume": lambda mix: (f"/experiments/{mix.queued_id()}/resume", None),
    f"{_ID}/retry": lambda mix: (f"/experiments/{mix.failed_id()}/retry", None),
    f"{_ID}/fork": lambda mix: (f"/experiments/{mix.succeeded_id()}/fork", {"name": "a fork"}),
    f"{_ID}/verify": lambda mix: (f"/experiments/{mix.succeeded_id()}/verify", mix.replay()),
}
# The endpoints that change something and are not measured, with the reason.
NOT_MEASURED: Mapping[str, str] = {
    f"POST {_ID}/cancel": "it stores a request, like a pause, and a cancelled experiment accepts no further request",
    f"POST {_ID}/rerun-best": "no stored experiment has a search, so there is no best configuration",
    f"DELETE {_ID}": "it stores a request; the files are removed later",
}
