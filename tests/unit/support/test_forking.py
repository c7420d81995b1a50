import signal
import subprocess
import sys
import tempfile

import pytest

from tests.support.forking import ForkedProcess, can_fork
from tests.support.processes import CLIENT, ROOT, SECRET_KEY, SERVER, Program, environment, run_command

pytestmark = pytest.mark.skipif(not can_fork(SERVER), reason="only where there is pidfd_open")


def test_a_forked_program_does_and_says_what_one_that_is_started_does(tmp_path):
    env = {"SECRET_KEY": SECRET_KEY, "DATABASE_URL": f"sqlite:///{tmp_path / 'log.db'}"}
    started = subprocess.run(
        [*SERVER, "epoch"], cwd=ROOT, env=environment(env), capture_output=True, text=True, check=False
    )

    forked = run_command("epoch", env=env, check=False)

    assert "has no tables" in started.stderr
    outcome = (started.returncode, started.stdout, started.stderr)
    assert (forked.returncode, forked.stdout, forked.stderr) == outcome


def test_only_our_own_programs_are_forked():
    assert can_fork((*CLIENT, "listen"))
    assert not can_fork((sys.executable, "-c", "print('server')"))
    assert not can_fork((sys.executable, "-m", "honcho", "start"))


# Waits for a server that is not there.
WAITING = (*CLIENT, "listen", "--url", "http://127.0.0.1:9", "--token", "none")


def test_a_forked_program_ends_by_the_signal_that_is_sent_to_it_alone(tmp_path):
    with (
        Program(WAITING, log_path=tmp_path / "one.log") as one,
        Program(WAITING, log_path=tmp_path / "another.log") as another,
    ):
        assert one.pid != another.pid
        one.kill()
        assert one.exit_code == -signal.SIGKILL
        assert another.running


def test_the_end_of_a_forked_program_can_be_waited_for():
    with tempfile.TemporaryFile() as output:
        process = ForkedProcess(
            WAITING, cwd=ROOT, env=environment(), stdout=output.fileno(), stderr=output.fileno()
        )
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.01)
        assert process.poll() is None
        process.kill()
        assert process.wait(timeout=10) == process.poll() == -signal.SIGKILL
        process.kill()
