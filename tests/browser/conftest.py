"""A real Chromium without a network, in which pages are opened from files."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
REQUIRED = "JINIT_TESTS_NEED_BROWSER"
"""Variable of the environment with which a missing browser is a failure; CI sets it."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        if os.environ.get(REQUIRED):
            pytest.fail(f"no browser: expected one of {', '.join(NAMES)}")
        pytest.skip(f"no browser is installed: expected one of {', '.join(NAMES)}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open a file, wait until its charts are drawn, and return the page.

    At the end of the test, no page may have asked for anything outside of its file, or have written
    to its console, except for the one message that the test expects of it.
    """
    contexts, complaints, expected = [], [], []

    def note(text: str, expects: str) -> None:
        is_expected = expects and expects in text
        (expected if is_expected else complaints).append(text)

    def open_file(file: Path, width: int = 1200, scheme: str = "light", expects: str = "") -> Page:
        context = browser.new_context(
            offline=True, viewport={"width": width, "height": 900}, color_scheme=scheme
        )
        contexts.append(context)
        page, address = context.new_page(), file.absolute().as_uri()
        page.on("console", lambda message: note(message.text, expects))
        page.on("pageerror", lambda error: note(str(error), expects))
        page.on(
            "request", lambda each: None if is_inside(each.url, address) else note(each.url, "")
        )
        page.goto(address)
        page.wait_for_selector(":root[data-ready]", state="attached")
        assert bool(expected) == bool(expects)
        return page

    yield open_file
    for context in contexts:
        context.close()
    assert complaints == []


def is_inside(url: str, address: str) -> bool:
    return url == address or url.startswith(("data:", "blob:"))
