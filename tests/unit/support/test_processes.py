import sys
from itertools import islice

import pytest

from tests.support.processes import (
    Program,
    ProgramError,
    ServerProcess,
    environment,
    free_port,
    left_running,
    ports_of,
)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.fixture
def log_path(tmp_path):
    return tmp_path / "program.log"


def test_a_line_of_the_log_is_waited_for(log_path):
    code = "import sys\nfor n in range(3): print('line', n)\nprint('on stderr', file=sys.stderr)\nimport signal; signal.pause()"
    with Program(python(code), log_path=log_path) as program:
        number = program.wait_for_log("line 1")
        assert number == 2
        assert program.wait_for_log("line", after=number) == 3
        program.wait_for_log("on stderr")


def test_the_log_is_kept_in_a_file_over_all_runs_but_watched_for_the_present_run(log_path):
    code = "import os; print('run', os.getpid())"
    program = Program(python(code), log_path=log_path)
    for _ in range(2):
        program.start()
        program.wait_for_log(f"run {program.pid}")
        program.kill()

    assert len(log_path.read_text().splitlines()) == 2
    assert program.lines == [f"run {program.pid}"]


def test_a_wait_fails_at_once_when_the_program_ended(log_path):
    with (
        Program(python("print('last words')"), log_path=log_path) as program,
        pytest.raises(ProgramError, match=r"no 'never'(.|\n)*last words"),
    ):
        program.wait_for_log("never", timeout=60)


def test_stop_returns_the_exit_code_and_kill_needs_no_consent(log_path):
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"
    polite = Program(python("print('up', flush=True); import signal; signal.pause()"), log_path=log_path)
    polite.start()
    assert polite.stop() == -15

    with Program(python(stubborn), log_path=log_path) as program:
        program.wait_for_log("up")
        program.kill()
        assert program.exit_code == -9


def test_what_is_neither_stopped_nor_ended_is_found(log_path):
    program = Program(python("import signal; signal.pause()"), log_path=log_path)
    program.start()
    assert program in left_running()

    program.kill()
    assert program not in left_running()


def test_the_environment_of_the_caller_stays_outside(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "sqlite:///mine.db")

    assert "DATABASE_URL" not in environment()
    assert environment({"PORT": "1"})["PORT"] == "1"


def test_a_port_is_given_to_one_worker_and_not_again_soon():
    one, other = (set(islice(ports_of(worker, 6), 3_000)) for worker in (0, 5))

    assert len(one) == len(other) == 3_000
    assert not one & other
    assert len({free_port() for _ in range(300)}) == 300


READY = """
import http.server, os, sys

class Ready(http.server.BaseHTTPRequestHandler):
    answers = iter([503, 503])

    def do_GET(self):
        self.send_response(next(Ready.answers, 200) if self.path == "/readyz" else 404)
        self.end_headers()

http.server.HTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Ready).serve_forever()
"""


def server(command, log_path, **options):
    return ServerProcess("sqlite:///unused.db", log_path=log_path, command=command, **options)


def test_a_server_is_started_when_it_says_that_it_is_ready_and_keeps_its_port(log_path):
    with server(python(READY), log_path) as process:
        assert process.wait_for_log('"GET /readyz HTTP/1.1" 200') == 3
        url, pid = process.url, process.pid
        process.restart()
        assert process.url == url
        assert process.pid != pid
        process.kill()
        process.start()


def test_a_server_that_ends_before_it_is_ready_fails_at_once_with_its_log(log_path):
    process = server(python("raise SystemExit('bad settings')"), log_path, ready_within_s=60)

    with pytest.raises(ProgramError, match=r"exit code 1(.|\n)*bad settings"):
        process.start()


def test_a_server_that_is_never_ready_is_not_left_running(log_path):
    process = server(python("import signal; signal.pause()"), log_path, port=free_port(), ready_within_s=0.2)

    with pytest.raises(ProgramError, match="/readyz: ConnectionRefusedError"):
        process.start()
    assert not process.running
