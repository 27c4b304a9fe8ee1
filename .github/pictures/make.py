"""Make the pictures of the README: commands in a terminal, their pages in a browser.

python .github/pictures/make.py

It needs the `test` extra and Chromium or Chrome, and takes about four minutes.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.text import Text

HERE = pathlib.Path(__file__).parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
COLUMNS = 110
PAGES = {
    "sweep-page": ("digits/report.html", "Learning curves"),
    "diagnosis-page": ("diagnosis.html", "Signal and gradient"),
    "scale-page": ("scale.html", "Signal and gradient"),
    "learning-page": ("learn.html", "Vanishing and exploding"),
}
"""By picture: the page, and the heading at its upper edge."""


def run(folder: pathlib.Path, *arguments: str, expects: int = 0) -> str:
    """Run a command of jinit as in a terminal, and return what it prints."""
    settings = {"FORCE_COLOR": "1", "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    command = [sys.executable, "-m", "jinit", *arguments]
    print("jinit", *arguments, flush=True)
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | settings,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != expects:
        raise SystemExit(f"{arguments} exited with {done.returncode}, expected {expects}")
    return done.stdout


def draw_session(name: str, lines: dict[str, str]) -> None:
    """Write commands and what they printed as an SVG file."""
    with pathlib.Path(os.devnull).open("w") as nowhere:
        console = Console(file=nowhere, record=True, width=COLUMNS, force_terminal=True)
        for command, output in lines.items():
            console.print(Text(f"$ {command}", "bold"))
            console.print(Text.from_ansi(output.rstrip("\n") + "\n"))
        picture = console.export_svg(title="jinit")
    # Pictures must not ask for fonts from the network.
    picture = re.sub(r"@font-face \{.*?\}\n?", "", picture, flags=re.DOTALL)
    (HERE / f"{name}.svg").write_text(picture, "utf-8")


def photograph(folder: pathlib.Path) -> None:
    """Write screenshots of the upper parts of all pages."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise SystemExit(f"expected a browser, one of {', '.join(BROWSERS)}")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        for name, (file, heading) in PAGES.items():
            page = opened.new_page(viewport={"width": 1000, "height": 800}, color_scheme="light")
            page.goto((folder / file).as_uri())
            page.wait_for_selector(":root[data-ready]", state="attached")
            title = page.get_by_role("heading", name=heading).first
            title.evaluate("element => element.scrollIntoView()")
            page.wait_for_timeout(500)
            page.screenshot(path=HERE / f"{name}.png")
        opened.close()


def main() -> None:
    """Make all pictures."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        shutil.copy(HERE / "start.py", folder / "train.py")
        diagnose = run(folder, "diagnose", "train:start", expects=1)
        run(folder, "diagnose", "train:start", "--report", "diagnosis.html", expects=1)
        run(folder, "scale", "train:start")
        run(folder, "learn")
        sweep = run(folder, "sweep", "--out", "digits")
        run(folder, "report", "digits")
        shutil.copy(folder / "digits" / "sweep.png", HERE / "sweep.png")
        draw_session("diagnose", {"jinit diagnose train:start": diagnose})
        draw_session("sweep", {"jinit sweep": sweep})
        photograph(folder)


if __name__ == "__main__":
    main()
