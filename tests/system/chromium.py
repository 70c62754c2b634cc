"""Debian's chromium without a window, driven by Selenium. It needs the packages chromium and chromium-driver."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

BROWSER, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
HEIGHT = 1100


@contextmanager
def chromium() -> Iterator[webdriver.Chrome]:
    """Start a browser with a fresh profile, and yield it.

    Raises:
        FileNotFoundError: If the browser is not installed; the message has the command that installs it.
    """
    if not (BROWSER.exists() and DRIVER.exists()):
        raise FileNotFoundError(f"{BROWSER} or {DRIVER} is missing: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", f"--window-size=1900,{HEIGHT}"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    try:
        yield browser
    finally:
        browser.quit()
