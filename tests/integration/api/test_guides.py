"""What the guides tell people to type works as it stands."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from server import settings
from tests.support.http import Api, bearer, log_in
from tests.support.processes import ROOT, Program, environment

README = (ROOT / "README.md").read_text()
HTTP = (ROOT / "docs" / "http.md").read_text()
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()
MONITORING = (ROOT / "docs" / "monitoring.md").read_text()
PYTHON = (ROOT / "docs" / "python.md").read_text()


@pytest.fixture
def running(server):
    assert shutil.which("curl"), "curl is needed: tests/install_services.sh says how to get it"
    return server


def blocks(text: str) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def type_in(script: str, cwd: Path, **env: str) -> str:
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=cwd,
        env=environment(env),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result
    return result.stdout


def test_the_http_guide_runs_from_top_to_bottom(running, tmp_path):
    output = type_in("\n".join(blocks(HTTP)), tmp_path, NOTIFY_URL=running.url)

    for part in (
        '"username":"admin"',
        '"任务待审核"',
        '"status":201',
        '"status":422',
        '"unread":0',
        "notify_log_units_total",
    ):
        assert part in output


def test_the_readme_sends_its_first_notification(running, tmp_path):
    (script,) = (block for block in blocks(README) if "curl" in block)

    output = type_in(script.replace("http://localhost:8000", running.url), tmp_path)

    assert '"postings":{"user:1":' in output
    titles = Api(running.url, bearer(log_in(running.url, "zhangsan")["access_token"]))
    assert "Hello" in [item["title"] for item in titles.get("inbox").body["items"]]
    titles.close()


def test_the_readme_sends_by_the_python_client(running):
    (command,) = (block for block in blocks(README) if "clients.python send" in block)
    token = log_in(running.url, "admin")["access_token"]

    type_in(
        command.replace(".venv/bin/python", sys.executable), ROOT, NOTIFY_TOKEN=token, NOTIFY_URL=running.url
    )


def test_what_one_program_of_the_python_guide_publishes_the_other_receives(server, tmp_path):
    receive, publish = (
        Program(
            [sys.executable, "-c", script.replace("http://localhost:8000", server.url)],
            log_path=tmp_path / "program.log",
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT)},
        )
        for script in re.findall(r"^```python\n(.*?)^```", PYTHON, re.DOTALL | re.MULTILINE)
    )

    with receive:
        receive.wait_for_log("live")
        with publish:
            publish.wait_for_log("{'user:1': ")
        receive.wait_for_log("任务待审核")


def test_every_setting_has_its_place_in_the_configuration_guide():
    source = Path(settings.__file__).read_text()
    read = set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', source))
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", CONFIGURATION, re.MULTILINE))

    assert read
    assert documented == read


def test_every_route_is_in_the_http_guide(running):
    api = Api(running.url)
    paths = api.get("openapi.json").body["paths"]
    api.close()
    said = HTTP.replace("$API", "/api/v1")
    for variable, name in (
        ("ID", "id"),
        ("PERSON", "user"),
        ("PROJECT", "project"),
        ("KEY", "key"),
        ("SESSION", "session"),
        ("TASK", "task"),
    ):
        said = said.replace(f"${variable}", f"{{{name}}}")

    assert [path for path in paths if path not in said] == []


def test_every_code_in_the_http_guide_is_one_of_ours():
    codes = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| [45]\d\d \|([^|]*)\|", HTTP, re.MULTILINE))))
    sources = "".join(
        path.read_text() for folder in ("api", "core", "server") for path in (ROOT / folder).rglob("*.py")
    )

    assert len(codes) > 10
    assert [code for code in sorted(codes) if f'"{code}"' not in sources] == []


def test_every_metric_is_in_the_monitoring_guide_and_named_as_it_is_scraped():
    measured = "".join((ROOT / "server" / name).read_text() for name in ("readings.py", "metrics.py"))
    kinds = re.findall(r'(counter|gauge|Counter|Histogram)\W+"(notify_\w+)"', measured)
    scraped = {name + "_total" * (kind.lower() == "counter") for kind, name in kinds}
    said = {
        path: set(re.findall(r"`(notify_\w+)`", path.read_text())) for path in (ROOT / "docs").glob("*.md")
    }

    assert len(scraped) > 20
    assert said[ROOT / "docs" / "monitoring.md"] == scraped
    assert {path.name: names - scraped for path, names in said.items() if names - scraped} == {}


def test_every_line_in_the_monitoring_guide_is_logged():
    logs = MONITORING.partition("## Logs")[2].partition("## Exit codes")[0]
    rows = re.findall(r"^\| (`.+?) \|", logs, re.MULTILINE)
    spans = re.findall(r"`(.+?)`", "\n".join(rows))
    parts = [part.strip() for span in spans for part in re.findall(r"[\w ]{3,}", span)]
    folders = ("api", "core", "realtime", "server")
    sources = "".join(path.read_text() for folder in folders for path in (ROOT / folder).rglob("*.py"))

    assert len(parts) > 30
    assert [part for part in parts if part not in sources] == []
