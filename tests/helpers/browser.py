"""A notebook in JupyterLab in headless Chromium, used by keyboard alone. No test by itself: see test_browser.py.

    with Lab(folder) as lab, chromium(home) as context:
        notebook = Notebook(context, lab, "01_….ipynb")
        assert notebook.run_all()
        for explorer in notebook.explorers(): …

All that JupyterLab and Chromium write goes into ``folder`` or a temporary folder of Playwright's.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lab_server import PATIENCE, ROOT, Lab

FAILURES = ROOT / "browser-failures"  # git ignores it
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

SWITCHES = [
    "--no-sandbox",  # root can't have one, and the browser sees our own pages only
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",  # a container's is too small
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",  # as if offline
]


# --- Chromium --------------------------------------------------------------------------------------------------------


@cache
def find_chromium() -> str | None:
    """A Chromium that starts: the one that CHROMIUM names, else one on the path."""
    for name in (os.environ.get("CHROMIUM"), *NAMES):
        found = shutil.which(name) if name else None
        # Where Chromium comes as a snap, a script of its name only says so.
        if found and subprocess.run([found, "--version"], capture_output=True, timeout=PATIENCE).returncode == 0:
            return found
    return None


def why_not() -> str:
    """Why there can be no browser test here, "" if there can."""
    missing = [name for name in ("playwright", "jupyterlab", "ipywidgets") if importlib.util.find_spec(name) is None]
    if missing:
        return f"{', '.join(missing)} can't be imported: pip install 'sdbnn-lite[notebooks,test]'"
    if find_chromium() is None:
        return "no Chromium: install chromium (Debian: apt install chromium), or set CHROMIUM to its program"
    return ""


@contextmanager
def chromium(home: Path) -> Iterator[Any]:
    """A headless Playwright browser's context, in which pages share their cache; ``home`` is where it may write."""
    from playwright.sync_api import sync_playwright

    env = {**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(home), "XDG_CACHE_HOME": str(home)}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), headless=True, args=SWITCHES, env=env, timeout=1000 * PATIENCE
        )
        try:
            context = browser.new_context(viewport={"width": 1400, "height": 1000})
            context.set_default_timeout(1000 * PATIENCE)
            yield context
        finally:
            browser.close()


@contextmanager
def keep_screenshot(page: Any, name: str) -> Iterator[None]:
    """If the block fails, ``FAILURES/name.png`` shows what the page looked like."""
    try:
        yield
    except BaseException:
        FAILURES.mkdir(exist_ok=True)
        path = FAILURES / f"{name}.png"
        page.screenshot(path=path)
        print(f"screenshot: {path}")
        raise


def asked_for(page: Any) -> list[str]:
    """The addresses that ``page`` asks for from now on, but for files and what it holds itself."""
    asked: list[str] = []
    page.on("request", lambda one: None if one.url.startswith(("file:", "data:")) else asked.append(one.url))
    return asked


def at_widths(page: Any, path: Path) -> Iterator[int]:
    """Open the file as a phone shows it, then as a desk's screen does; yields how many pixels wide that is."""
    for width in (390, 1200):
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(path.as_uri())
        yield width


# --- a notebook and its explorers ------------------------------------------------------------------------------------

SCRIPT = Path(__file__).with_name("browser.js").read_text(encoding="utf-8")
# JupyterLab's own complaints, none so far.
NOT_OURS = re.compile(r"^$")
SLIDER_KEYS = [["ArrowRight"], ["ArrowLeft"], ["PageUp"], ["PageDown"], ["Home"], ["End"]]
NEXT = ["Space", "ArrowDown", "Enter"]  # an arrow key alone goes to the next cell: JupyterLab takes it


class Notebook:
    """One notebook, open in JupyterLab with a kernel of its own."""

    def __init__(self, context: Any, lab: Lab, path: str):
        self.errors: list[str] = []  # uncaught ones, and those on the console
        self.page = context.new_page()
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._on_console)
        self.page.add_init_script(SCRIPT)
        self.page.goto(f"{lab.url}/lab/tree/{path}?reset&token={lab.token}")
        self.wait("sdbnn.ready()")

    def _on_console(self, message: Any) -> None:
        if message.type == "error" and not NOT_OURS.search(message.text):
            self.errors.append(message.text)

    def close(self) -> None:
        """Close the page and end the kernel."""
        try:
            self.page.evaluate("sdbnn.panel().sessionContext.shutdown()")
        finally:
            self.page.close()

    def wait(self, condition: str) -> None:
        """Wait until the JavaScript expression ``condition`` is true."""
        self.page.wait_for_function(condition, polling=50)

    def run_all(self) -> Any:
        """Run all cells; True, or what went wrong."""
        self.page.evaluate("sdbnn.run()")
        self.wait("sdbnn.ran !== null")
        self.settle()
        (ok,) = self.page.evaluate("sdbnn.ran")
        return ok if ok is True else self.page.evaluate("sdbnn.errors()") or ok

    def settle(self) -> None:
        """Wait until the kernel has answered every widget and the page shows it."""
        self.page.evaluate("sdbnn.settle()")
        self.wait("sdbnn.settled")

    def explorers(self) -> list["Explorer"]:
        """The explorers from top to bottom."""
        return [Explorer(self, i) for i in range(self.page.evaluate("sdbnn.explorers().length"))]


@dataclass(frozen=True)
class Control:
    """One row of an explorer, as it is now."""

    row: int
    label: str
    kind: str  # slider, list or buttons
    value: str
    readout: str
    count: int  # of choices
    disabled: bool


@dataclass(frozen=True)
class Shown:
    """An explorer's picture and sentence, as they are now."""

    pictures: int
    src: str
    alt: str
    width: int  # of the picture in pixels; 0 where it can't be decoded
    sentence: str


class Explorer:
    """An explorer in a notebook, used by keyboard."""

    def __init__(self, notebook: Notebook, index: int):
        self.notebook, self.page, self.index = notebook, notebook.page, index

    def controls(self) -> list[Control]:
        """Everything that a key can change: the list of presets, if there is one, and the controls."""
        return [Control(row, **c) for row, c in enumerate(self.page.evaluate(f"sdbnn.controls({self.index})"))]

    def shown(self) -> Shown:
        return Shown(**self.page.evaluate(f"sdbnn.shown({self.index})"))

    def focus(self, row: int, n: int = 0) -> None:
        """Tab, or Shift+Tab, to a control (to its ``n``-th button). Fails where that never gets there."""
        for _ in range(500):
            where = self.page.evaluate(f"sdbnn.focus({self.index}, {row}, {n})")
            if where == 0:
                return
            self.page.keyboard.press("Tab" if where < 0 else "Shift+Tab")
        raise AssertionError(f"Tab never reaches {self.controls()[row].label!r}")

    def wait_for_other(self, row: int, value: str, seconds: float = 2) -> None:
        """Wait for another value of a control, which at the end of a list there won't be."""
        deadline = time.monotonic() + seconds
        while self.controls()[row].value == value and time.monotonic() < deadline:
            time.sleep(0.05)

    def moves(self, control: Control, most: int | None = None) -> Iterator[Control]:
        """Give the control one value after another by keyboard, ``most`` of them; yields it as it is after each key."""
        if control.kind == "buttons":
            plan = [(n, ["Space"]) for n in range(control.count)]
        elif control.kind == "list":
            plan = [(0, keys) for keys in [NEXT, ["Home"], *[NEXT] * (control.count - 1)]]
        else:
            plan = [(0, keys) for keys in SLIDER_KEYS]
        for n, keys in plan[:most]:
            self.focus(control.row, n)
            was = self.controls()[control.row].value
            for key in keys:
                self.page.keyboard.press(key)
            if control.kind == "list":  # an open list belongs to the browser; it tells the page a little later
                self.wait_for_other(control.row, was)
            self.notebook.settle()
            assert self.page.evaluate(f"sdbnn.focus({self.index}, {control.row}, {n})") == 0, (
                f"{control.label}: {keys[-1]} takes the focus away"
            )
            yield self.controls()[control.row]
