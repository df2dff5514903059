"""What tests of image sets share."""

import pytest


@pytest.fixture
def no_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("SDBNN_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
