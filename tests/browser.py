"""A notebook in JupyterLab in headless Chromium, used by keyboard alone. No test by itself: see test_browser.py.

    with Lab(folder) as lab, chromium() as browser:
        notebook = Notebook(browser, lab, "01_….ipynb")
        assert notebook.run_all()
        for explorer in notebook.explorers(): …

All that JupyterLab and Chromium write goes into ``folder`` or a temporary folder of Playwright's.
"""

import importlib.util
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FAILURES = ROOT / "browser-failures"  # git ignores it
PATIENCE = 180  # seconds for anything that only a slow machine could take that long for
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
SETTINGS = {
    "@jupyterlab/apputils-extension/notification.jupyterlab-settings": {"fetchNews": "false"},
    # Else cells outside the window have no text.
    "@jupyterlab/notebook-extension/tracker.jupyterlab-settings": {"windowingMode": "none"},
}


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
    """A headless Playwright browser; ``home`` is where it may write."""
    from playwright.sync_api import sync_playwright

    env = {**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(home), "XDG_CACHE_HOME": str(home)}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), headless=True, args=SWITCHES, env=env, timeout=1000 * PATIENCE
        )
        try:
            yield browser
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


# --- JupyterLab ------------------------------------------------------------------------------------------------------


class Lab:
    """A JupyterLab server on ``folder/root``, without any setting of the user's; ends with the ``with`` block."""

    def __init__(self, folder: Path):
        self.folder, self.root = folder, folder / "root"
        self.root.mkdir(parents=True, exist_ok=True)
        self.token = secrets.token_hex()
        self.process = None
        for name, content in SETTINGS.items():
            path = folder / "settings" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content))

    def __enter__(self) -> "Lab":
        for _ in range(3):  # another program may take the free port before the server does
            if self._start():
                return self
        raise RuntimeError(f"JupyterLab doesn't start:\n{self.log()}")

    def __exit__(self, *_: Any) -> None:
        self.process.terminate()  # the server ends its kernels, too
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def _start(self) -> bool:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        options = [
            "--no-browser",
            "--allow-root",
            "--ip=127.0.0.1",
            f"--port={port}",
            "--ServerApp.port_retries=0",
            f"--ServerApp.root_dir={self.root}",
            "--LabApp.expose_app_in_browser=True",
            # If the tests are killed, the server goes by itself.
            "--MappingKernelManager.cull_idle_timeout=600",
            "--MappingKernelManager.cull_connected=True",
            "--ServerApp.shutdown_no_activity_timeout=900",
        ]
        with open(self.folder / "log", "w") as log:
            command = [sys.executable, "-m", "jupyterlab", *options]
            self.process = subprocess.Popen(
                command, cwd=self.root, env=self._environment(), stdout=log, stderr=log, start_new_session=True
            )
        try:
            deadline = time.monotonic() + PATIENCE
            while time.monotonic() < deadline and self.process.poll() is None:
                if self._answers():
                    return True
                time.sleep(0.2)
        except BaseException:
            self.__exit__()
            raise
        self.__exit__()
        return False

    def _answers(self) -> bool:
        request = urllib.request.Request(f"{self.url}/api/status", headers={"Authorization": f"token {self.token}"})
        try:
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy can't reach this machine
            return opener.open(request, timeout=10).status == 200
        except OSError:
            return False

    def _environment(self) -> dict[str, str]:
        kept = {
            k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "JPY_")) and k != "PYTEST_CURRENT_TEST"
        }
        own = {
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "data",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "JUPYTERLAB_SETTINGS_DIR": "settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
            "IPYTHONDIR": "ipython",
        }
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        token = {"JUPYTER_TOKEN": self.token, "PYTHONPATH": path}
        return kept | {name: str(self.folder / folder) for name, folder in own.items()} | token

    def log(self) -> str:
        """The end of what the server wrote."""
        return (self.folder / "log").read_text()[-3000:]


# --- a notebook and its explorers ------------------------------------------------------------------------------------

# Functions for the page. An explorer is the outermost VBox of an output; its rows are its children.
SCRIPT = """
window.sdbnn = {
    panel: () => window.jupyterapp?.shell?.currentWidget,
    ready() {
        const context = this.panel()?.sessionContext, kernel = context?.session?.kernel;
        return Boolean(context?.isReady && kernel?.status === "idle" && kernel?.connectionStatus === "connected");
    },
    run() {
        this.watch();
        this.ran = null;
        jupyterapp.commands.execute("notebook:run-all-cells").then(ok => this.ran = [ok], e => this.ran = [String(e)]);
    },
    // Messages of widgets that the kernel hasn't answered yet. It may do so in a thread of their own (a subshell), so
    // waiting for an executed cell would not do.
    watch() {
        this.pending = new Set();
        this.panel().sessionContext.session.kernel.anyMessage.connect((_, {msg, direction}) => {
            const kind = msg.header.msg_type;
            if (direction === "send" && kind === "comm_msg") this.pending.add(msg.header.msg_id);
            const idle = kind === "status" && msg.content.execution_state === "idle";
            if (idle) this.pending.delete(msg.parent_header.msg_id);
        });
    },
    // Settled: the kernel has answered every widget, and the page shows it.
    settle() {
        this.settled = false;
        const node = this.panel().node, begin = performance.now();
        let last = begin;
        const watch = new MutationObserver(() => last = performance.now());
        watch.observe(node, {subtree: true, childList: true, attributes: true, characterData: true});
        const tick = () => {
            const quiet = performance.now() - last > 100, images = [...node.querySelectorAll("img")];
            if (this.pending.size) last = performance.now();
            if (quiet && !this.pending.size && images.every(image => image.complete)) {
                watch.disconnect();
                this.settled = true;
            } else {
                setTimeout(tick, 20);
            }
        };
        tick();
    },
    explorers: () => [...document.querySelectorAll(".jp-OutputArea-output .widget-vbox")]
        .filter(box => !box.parentElement.closest(".widget-vbox")),
    stops: row => [...row.querySelectorAll(".noUi-handle, select, button")],
    rows(i) { return [...this.explorers()[i].children].filter(row => this.stops(row).length) },
    controls(i) {
        return this.rows(i).map(row => {
            const stop = this.stops(row)[0];
            const kind = stop.matches(".noUi-handle") ? "slider" : stop.matches("select") ? "list" : "buttons";
            return {label: row.querySelector(".widget-label")?.innerText ?? "", kind, ...this.value(row, kind)};
        });
    },
    value(row, kind) {
        if (kind === "slider") {
            const readout = row.querySelector(".widget-readout")?.innerText ?? "";
            return {value: row.querySelector(".noUi-handle").getAttribute("aria-valuetext"), readout, count: 1};
        }
        if (kind === "list") {
            const list = row.querySelector("select");
            return {value: list.value, readout: list.value, count: list.options.length};
        }
        const buttons = this.stops(row), on = buttons.findIndex(button => button.matches(".mod-active"));
        return {value: String(on), readout: buttons[on]?.innerText ?? "", count: buttons.length};
    },
    shown(i) {
        const box = this.explorers()[i], pictures = box.querySelectorAll("img");
        return {
            pictures: pictures.length,
            src: pictures[0]?.getAttribute("src") ?? "",
            alt: pictures[0]?.getAttribute("alt") ?? "",
            width: pictures[0]?.naturalWidth ?? 0,
            sentence: box.querySelector("[role=status]")?.innerText ?? "",
        };
    },
    // Where the focus is as seen from a control's first place for it (or its n-th): 0 there, -1 before, 1 behind.
    focus(i, row, n) {
        const target = this.stops(this.rows(i)[row])[n], here = document.activeElement;
        if (here === target) return 0;
        return here.compareDocumentPosition(target) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1;
    },
    errors: () => window.sdbnn.panel().content.model.toJSON().cells.flatMap(cell => cell.outputs ?? [])
        .filter(output => output.output_type === "error").map(output => `${output.ename}: ${output.evalue}`),
};
"""
# JupyterLab's own complaints, none so far.
NOT_OURS = re.compile(r"^$")
SLIDER_KEYS = [["ArrowRight"], ["ArrowLeft"], ["PageUp"], ["PageDown"], ["Home"], ["End"]]
NEXT = ["Space", "ArrowDown", "Enter"]  # an arrow key alone goes to the next cell: JupyterLab takes it


class Notebook:
    """One notebook, open in JupyterLab with a kernel of its own."""

    def __init__(self, browser: Any, lab: Lab, path: str):
        context = browser.new_context(viewport={"width": 1400, "height": 1000})
        context.set_default_timeout(1000 * PATIENCE)
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
            self.page.context.close()

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
