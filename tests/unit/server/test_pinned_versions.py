"""No pin goes back behind the release that mended what a stranger could do to a server or a page."""

import json

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.support.processes import ROOT

PYTHON = {"python-socketio": "5.16.4", "python-engineio": "4.13.2", "aiohttp": "3.14.4"}
JAVASCRIPT = {"socket.io-parser": "4.2.7"}


@pytest.mark.parametrize("path", ["requirements.txt", "requirements-dev.txt"])
def test_no_python_package_that_strangers_talk_to_has_a_known_fault(path):
    pins = [Requirement(line) for line in (ROOT / path).read_text().splitlines()]

    assert_not_older({pin.name: str(pin.specifier).removeprefix("==") for pin in pins}, PYTHON)


def test_no_javascript_package_that_strangers_talk_to_has_a_known_fault():
    packages = json.loads((ROOT / "clients/js/package-lock.json").read_text())["packages"]

    assert_not_older(
        {place.removeprefix("node_modules/"): one["version"] for place, one in packages.items()}, JAVASCRIPT
    )


def assert_not_older(pinned: dict[str, str], mended: dict[str, str]) -> None:
    assert [name for name in mended if Version(pinned[name]) < Version(mended[name])] == []
