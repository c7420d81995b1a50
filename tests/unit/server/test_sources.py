import json

import pytest

from server.settings import SettingsError, read_settings

SECRET = "0123456789abcdef" * 2
CVAT = {"name": "cvat", "url": "https://cvat.example/notify/summary", "secret": "hunter2!" * 4}


@pytest.fixture
def read(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET_KEY", SECRET)

    def read(value):
        monkeypatch.setenv("SUMMARY_SOURCES", value if isinstance(value, str) else json.dumps(value))
        return read_settings().summary_sources

    return read


@pytest.fixture
def faults(read):
    def faults(value):
        with pytest.raises(SettingsError) as error:
            read(value)
        return str(error.value).splitlines()

    return faults


def test_sources_are_read_in_their_order(read):
    other = {**CVAT, "name": "label_studio-2", "url": "http://127.0.0.1:9001/"}

    first, second = read([CVAT, other])

    assert (first.name, first.url, first.secret) == (CVAT["name"], CVAT["url"], CVAT["secret"])
    assert (second.name, second.url) == ("label_studio-2", "http://127.0.0.1:9001/")


def test_without_the_setting_nobody_is_asked(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET_KEY", SECRET)

    assert read_settings().summary_sources == ()


@pytest.mark.parametrize(
    "url", ["http://localhost:1/x", "http://127.0.0.1", "http://[::1]:8/", "https://a.example"]
)
def test_plain_http_is_for_this_machine(read, url):
    assert read([{**CVAT, "url": url}])[0].url == url


@pytest.mark.parametrize(
    "value",
    [
        "", "{", "[" * 100_000, "null", "5", "{}", "[]", [5], [None], [[]], [{}],
        *([{name: value for name, value in CVAT.items() if name != left_out}] for left_out in CVAT),
        *([{**CVAT, name: odd}] for name in CVAT for odd in (None, 5, "", [], "\x00")),
        *([{**CVAT, "name": odd}] for odd in ("A", "1a", "a b", "a" * 33, "ä", "a\n")),
        *([{**CVAT, "url": odd}] for odd in ("http://cvat.example", "ftp://127.0.0.1", "cvat.example", "https://", "https://[x", "https://a:99999", "https://a..b/", "https://.")),
        [{**CVAT, "secret": "x" * 31}], [{**CVAT, "more": 1}], [CVAT, CVAT],
        [{**CVAT, "name": f"a{number}"} for number in range(11)],
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
def test_what_cannot_be_used_is_told_in_one_line_without_its_values(faults, value):
    told = faults(value)

    assert len(told) == 1
    assert told[0].startswith("SUMMARY_SOURCES: ")
    assert "hunter2" not in told[0]
    assert "cvat.example" not in told[0]


def test_neither_the_secret_nor_the_url_is_ever_shown(read):
    shown = repr(read([CVAT]))

    assert "hunter2" not in shown
    assert "cvat.example" not in shown
