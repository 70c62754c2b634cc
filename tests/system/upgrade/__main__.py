"""The upgrade of a real stack: experiments of the version before open, continue and end the same, bit by bit.

    python -m tests.system.upgrade [--keep]

The version before runs experiments to their end, pauses some and makes one fail; then the version of this checkout is
started on the same data. It prints a line for each promise. If one is broken, the exit status is 1, and the folder
with the data is kept and printed.
"""

import argparse
import shutil
import signal
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from tests.system.upgrade import after, before
from tests.system.upgrade.base import BASE, BaseMissing, prepare
from tests.system.upgrade.place import Place
from tests.system.upgrade.report import Report, say
from tests.system.upgrade.specs import DIGITS
from tests.system.upgrade.stack import running

CHECKOUT = Path(__file__).parents[3]


def main(argv: list[str] | None = None) -> int:
    """Upgrade from one version to the other; return the exit status."""
    keep = _parse(argv).keep
    for number in (signal.SIGINT, signal.SIGTERM):  # exit by an exception, so that all contexts end
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    start = time.monotonic()
    try:
        say(f"the version before, {BASE[:12]}, is being installed, unless it already is")
        base = prepare(CHECKOUT)
    except BaseMissing as missing:
        print(missing, file=sys.stderr)
        return 2
    say(f"installed in {base}, after {time.monotonic() - start:.0f} s")
    folder, report = Path(tempfile.mkdtemp(prefix="tet-upgrade-")), Report()
    try:
        upgrade(base, Place.make(folder), report)
        keep = keep or bool(report.broken)
    except Exception:
        keep = True
        raise
    finally:
        if keep:
            say(f"kept, with its logs: {folder}")
        else:
            shutil.rmtree(folder)
    say(f"{report.summary()}, in {(time.monotonic() - start) / 60:.1f} min")
    return 1 if report.broken else 0


def upgrade(base: Path, place: Place, report: Report) -> None:
    """Run the version before, then this version in its place, and check the promises."""
    try:
        with running(base, place) as old:
            say(f"the version before is up, with torch {old.about()}")
            stored = before.make(old)
        report.hold("the version before has ended", partial(after.left_over, old))
        with running(CHECKOUT, place) as new:
            say(f"the new version is up, with torch {new.about()}")
            for promise, check in after.promises(new, stored, base / DIGITS):
                report.hold(promise, check)
        report.hold("the new version has ended", partial(after.left_over, new))
    finally:
        for process in place.end_all():
            say(f"ended by force: {process}")


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.system.upgrade", description=__doc__.partition("\n")[0])
    parser.add_argument("--keep", action="store_true", help="keep the data even if no promise is broken")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
