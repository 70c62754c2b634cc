"""The house rules that no common linter has: `python -m tests.tools.house_rules` prints the places that break them."""

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.root import ROOT
from tests.tools.house_rules.decisions import ALLOWED, decisions_by_text
from tests.tools.house_rules.names import repeated_classes, repeated_modules
from tests.tools.house_rules.privates import private_names
from tests.tools.house_rules.tree import Finding, Source, sources
from tests.tools.house_rules.wording import MAX_FMT_SKIPS, dialect, fmt_skips

RULES: dict[str, Callable[[list[Source]], Iterable[Finding]]] = {
    "one name, one class": repeated_classes,
    "one name, one module": repeated_modules,
    "no decision by text": decisions_by_text,
    f"the formatter is switched off at most {MAX_FMT_SKIPS} times": fmt_skips,
    "plain words": dialect,
    "tests use no private names": private_names,
}


def main() -> int:
    """Print the findings in a checkout, by rule, and their number; return 1 if there are any, else 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.house_rules", description=__doc__)
    parser.add_argument("root", nargs="?", type=Path, default=ROOT, help="the checkout")
    files = sources(parser.parse_args().root)
    total = 0
    for name, rule in RULES.items():
        findings = sorted(rule(files))
        total += len(findings)
        print(f"{name}: {len(findings) or 'kept'}", *findings, sep="\n  ")
    print(f"{len(files)} files, {total} findings; {len(ALLOWED)} functions may decide by text")
    return int(total > 0)


if __name__ == "__main__":
    sys.exit(main())
