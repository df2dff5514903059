"""A JupyterLab server for tests, on a folder of its own. No test by itself: see test_browser.py."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from places import ROOT

PATIENCE = 600  # seconds for anything that only a slow machine could take that long for
SETTINGS = {
    "@jupyterlab/apputils-extension/notification.jupyterlab-settings": {"fetchNews": "false"},
    # Else cells outside the window have no text.
    "@jupyterlab/notebook-extension/tracker.jupyterlab-settings": {"windowingMode": "none"},
}


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
