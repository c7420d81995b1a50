"""Tabs of one person in a real browser: one connection, one toast, and a leader that may close or freeze."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from tests.support.browser import CHROMIUM
from tests.support.listeners import JS
from tests.support.processes import Program, free_port
from tests.support.stage import demo_server


@pytest.mark.skipif(CHROMIUM is None and "CI" not in os.environ, reason="no Chromium on this machine")
async def test_tabs_share_one_connection_and_one_toast(sqlite_demo: Path, tmp_path: Path):
    port = free_port()
    database = shutil.copy(sqlite_demo, tmp_path / "log.db")
    server = demo_server(f"sqlite:///{database}", tmp_path, env={"CORS_ORIGINS": f"http://127.0.0.1:{port}"})
    await asyncio.to_thread(server.start)
    try:
        command = ("node", "tabs.mjs", server.url, str(port), str(CHROMIUM))
        with Program(command, log_path=tmp_path / "tabs.log", cwd=JS) as tabs:
            await asyncio.to_thread(tabs.wait_for_log, "a reload shows and toasts nothing again", timeout=90)
            async with asyncio.timeout(15):
                while tabs.running:
                    await asyncio.sleep(0.05)
            assert tabs.exit_code == 0, tabs.lines
    finally:
        await asyncio.to_thread(server.stop)
