"""Specs that ask for too much, and texts and addresses that a user must not be able to store."""

import json

from tests.local_stack import Json

LOSS = {"name": "sdt"}
STAGE = {"kind": "train", "T": 2, "epochs": 1, "loss": LOSS}
BODY_BYTES = 1_000_000

# Texts with control, bidirectional or invisible characters. Each is sent as `name` and in one of the other `PLACES`.
BAD_TEXTS = (
    "a\x1b[31mb",
    "a\x1b]0;title\x07",
    "a\x9b2Jb",
    "a\0b",
    "a\rb",
    "a\x7fb",
    "a\x85b",
    "a\u2028b",
    "\u202etxt.exe",
    "a\u2066b",
    "a\u200fb",
    "a\u061cb",
    "a\u200bb",
    "a\u200db",
    "a\u2060b",
    "a\ufeffb",
    "a\u00adb",
    "a\u3164b",
    "a\U000e0041b",
    "a\ufffeb",
    "a\ufdd0b",
)
BAD_URLS = (
    "http://hooks.example:abc/",
    "http://127.0.0.1:99999/",
    "http://127.0.0.1:-1/",
    "http://127.0.0.1:0/",
    "http://127.0.0.1:٣/",
    "http://127.0.0.1:８０/",
    "http://127.0.0.1/\x1b[2J",
    "http://127.0.0.1/\r\nX: y",
    "http://me:pw@127.0.0.1/",
    "http://:pw@127.0.0.1/",
    "http://127.0.0.1@evil.example/",
    "http://127.0.0.1\\@evil/",
    "http://2130706433/",
    "http://0177.0.0.1/",
    "http://0x7f.0.0.1/",
    "http://127.1/",
    "http://0.0.0.0/",
    "http://[::ffff:127.0.0.1]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25lo]/",
    "http://169.254.169.254/latest",
    "http://100.100.100.200/",
    "http://[fd00:ec2::254]/",
    "http://[::1",
    "http:///x",
    "ftp://127.0.0.1/",
    "127.0.0.1",
    "http://127.0.0.1/#part",
    "http://elsewhere.example/",
)


def spec(**changes: object) -> Json:
    """Return a small spec that can be stored, with changes."""
    return {
        "name": "hostile",
        "dataset": {"name": "digits"},
        "model": {"name": "vgg_small", "width": 4},
        "arms": [{"name": "SDT", "stages": [STAGE]}],
        "seeds": [0],
        "priority": -100,  # it never starts before the experiment that is watched
        **changes,
    }


def staged(num_arms: int, num_stages: int, num_seeds: int) -> Json:
    """Return a spec with `num_arms` x `num_stages` x `num_seeds` stages."""
    arms = [{"name": f"arm {number}", "stages": [STAGE] * num_stages} for number in range(num_arms)]
    return spec(arms=arms, seeds=list(range(num_seeds)))


def random_search(num_stages: int, num_configurations: int) -> Json:
    """Return the spec of a random search, which has `num_stages` x `num_configurations` stages in a few kB."""
    space = {"optimizer.lr": {"log_range": [1e-4, 1e-1]}}
    search = {"method": "random", "num_configurations": num_configurations, "space": space}
    return {**staged(1, num_stages, 1), "search": search}


def grid(points: int) -> Json:
    """Return the spec of a search over a square grid."""
    space = {
        "optimizer.lr": {"log_range": [1e-4, 1e-1], "points": points},
        "optimizer.weight_decay": {"range": [0.0, 0.1], "points": points},
    }
    return {**staged(1, 100, 1), "search": {"method": "grid", "space": space}}


def large_json(kind: int, num_bytes: int = BODY_BYTES) -> bytes:
    """Return a JSON body of about `num_bytes`, of one of four kinds: text, numbers, keys, mappings in lists."""
    match kind % 4:
        case 0:
            return json.dumps(spec(description="x" * (num_bytes - 400))).encode()
        case 1:
            return json.dumps(spec(seeds=list(range(num_bytes // 8)))).encode()
        case 2:
            return json.dumps(spec(labels={f"key {number}": "" for number in range(num_bytes // 20)})).encode()
        case _:
            return json.dumps(spec(arms=[{"name": str(number), "x": {}} for number in range(num_bytes // 32)])).encode()


def large_yaml(num_bytes: int) -> bytes:
    """Return a YAML body of about `num_bytes`: many small items, which take the longest to read."""
    return b"name: hostile\nseeds: [" + b"1," * ((num_bytes - 40) // 2) + b"1]\n"
