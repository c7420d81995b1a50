"""The guide for front ends shows what the examples do, word for word: those are tried in a browser."""

import re

import pytest

from tests.support.processes import ROOT

GUIDE = (ROOT / "docs" / "frontends.md").read_text()
SHOWN = re.findall(r"`(clients/examples/src/\S+)`\n\n```\w+\n(.*?)```", GUIDE, re.DOTALL)


@pytest.mark.parametrize(("path", "code"), SHOWN, ids=[path for path, _ in SHOWN])
def test_the_guide_shows_what_the_example_has(path: str, code: str):
    assert code in (ROOT / path).read_text()


def test_the_guide_shows_every_front_end():
    assert {path.split("/")[3].removesuffix(".js") for path, _ in SHOWN} == {"plain", "vue", "react"}
