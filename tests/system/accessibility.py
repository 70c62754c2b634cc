"""Accessibility faults of HTML files in a browser, found by axe-core: contrast, names, structure, tables and so on.

python -m tests.system.accessibility FILE ...

It prints the faults of each file. The exit status is 1 if one is serious, 2 without a file. It needs Debian's packages
chromium and chromium-driver.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

from axe_core_python.selenium import Axe
from selenium import webdriver

from tests.system.chromium import chromium

# What axe-core calls the impact of a fault, if it keeps people from reading a page.
SERIOUS = ("serious", "critical")


@dataclass(frozen=True)
class Fault:
    """A rule that a page breaks: axe-core's name, its impact, and the elements that break it."""

    rule: str
    impact: str
    elements: tuple[str, ...]

    @property
    def is_serious(self) -> bool:
        """Whether the fault keeps people from reading the page."""
        return self.impact in SERIOUS

    def __str__(self) -> str:
        return f"{self.impact}: {self.rule}: {', '.join(self.elements[:5])}"


def faults(browser: webdriver.Chrome, page: Path) -> list[Fault]:
    """Open a page, and return its faults.

    Raises:
        AssertionError: If axe-core found nothing to check, which would look like a page without faults.
    """
    browser.get(page.resolve().as_uri())
    found = Axe().run(browser)
    assert found["passes"], f"axe-core checked nothing in {page}"
    return [
        Fault(each["id"], each["impact"], tuple(node["target"][0] for node in each["nodes"]))
        for each in found["violations"]
    ]


def main(pages: list[Path]) -> int:
    """Print the faults of these pages; return the exit status."""
    if not pages:
        print(__doc__, file=sys.stderr)
        return 2
    is_serious = False
    with chromium() as browser:
        for page in pages:
            found = faults(browser, page)
            is_serious |= any(fault.is_serious for fault in found)
            print(f"{page}: {len(found)} faults", *found, sep="\n  ")
    return 1 if is_serious else 0


if __name__ == "__main__":
    sys.exit(main([Path(argument) for argument in sys.argv[1:]]))
