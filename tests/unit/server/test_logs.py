import asyncio
import json
import logging
import threading

import pytest

from server.logs import configure_logs


@pytest.fixture(autouse=True)
def logging_as_before():
    root = logging.getLogger()
    before = (root.level, root.handlers[:])
    yield
    root.setLevel(before[0])
    root.handlers[:] = before[1]


def fail(token):  # noqa: ARG001 - a local variable that must not be logged
    raise ValueError("what went wrong")


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_traceback_has_no_local_variables(form, capfd):
    configure_logs(form=form, level="INFO")

    try:
        fail("a secret" + " token")
    except ValueError:
        logging.getLogger("test").exception("failed", extra={"request_id": "r1"})

    line = capfd.readouterr().err
    assert "what went wrong" in line
    assert "r1" in line
    assert "a secret token" not in line


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_traceback_does_not_show_the_row_that_postgresql_refused(form, capfd):
    configure_logs(form=form, level="INFO")
    detail = "DETAIL:  Failing row contains (1, a secret title,\n\nand its second line)."
    below = ValueError(f"a null value\n{detail}\nHINT:  what helps")
    above = RuntimeError(f"(ValueError) a null value\n{detail}\n[SQL: INSERT]")
    above.__cause__ = below

    logging.getLogger("test").error("failed", exc_info=above)

    line = capfd.readouterr().err
    assert "secret" not in line
    assert "second line" not in line
    assert line.count("a null value") == line.count("DETAIL") == 2
    assert "HINT:  what helps" in line
    assert "[SQL: INSERT]" in line


def test_json_is_one_line_an_event(capfd):
    configure_logs(form="json", level="INFO")

    logging.getLogger("test").info("启动 %s", "✓", extra={"port": 1})
    logging.getLogger("test").debug("quiet")

    (line,) = capfd.readouterr().err.splitlines()
    event = json.loads(line)
    assert (event["event"], event["level"], event["port"]) == ("启动 ✓", "info", 1)
    assert event["timestamp"].endswith("Z")


@pytest.mark.parametrize("value", ["half a \ud83d", 2**70, {1: "one"}, {"set"}])
def test_whatever_is_logged_becomes_a_line(capfd, value):
    configure_logs(form="json", level="INFO")

    logging.getLogger("test").info("odd: %s", value, extra={"value": value})

    (line,) = capfd.readouterr().err.splitlines()
    assert "odd" in json.loads(line)["event"]


async def test_the_lines_of_one_turn_of_the_loop_are_written_together_in_their_order(capfd):
    configure_logs(form="json", level="INFO")
    logger = logging.getLogger("test")

    logger.info("first")
    logger.info("second")
    assert capfd.readouterr().err == ""
    await asyncio.sleep(0)
    assert events(capfd) == ["first", "second"]

    logger.info("third")
    await asyncio.sleep(0)
    assert events(capfd) == ["third"]


@pytest.mark.parametrize("level", [logging.WARNING, logging.ERROR])
async def test_what_went_wrong_is_written_at_once_behind_what_waits(capfd, level):
    configure_logs(form="json", level="INFO")

    logging.getLogger("test").info("before")
    logging.getLogger("test").log(level, "wrong")

    assert events(capfd) == ["before", "wrong"]


async def test_what_is_logged_off_the_loop_is_written_at_once(capfd):
    configure_logs(form="json", level="INFO")
    logging.getLogger("test").info("on the loop")

    thread = threading.Thread(target=logging.getLogger("test").info, args=("off the loop",))
    thread.start()
    thread.join()

    assert events(capfd) == ["on the loop", "off the loop"]


async def test_lines_that_wait_are_bounded(capfd):
    configure_logs(form="json", level="INFO")

    for at in range(150):
        logging.getLogger("test").info("%s", at)

    assert len(events(capfd)) == 100


def test_lines_that_a_loop_left_are_written_behind_the_next(capfd):
    configure_logs(form="json", level="INFO")

    loop = asyncio.new_event_loop()
    loop.call_soon(logging.getLogger("test").info, "left")
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    logging.getLogger("test").info("next")

    assert events(capfd) == ["left", "next"]


def events(capfd) -> list[str]:
    return [json.loads(line)["event"] for line in capfd.readouterr().err.splitlines()]
