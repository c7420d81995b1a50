"""The JavaScript package has its own tests, in its own language; here they count with the others."""

import subprocess

from tests.support.processes import ROOT, environment


def test_the_package_passes_its_own_tests():
    command = ("npm", "test", "--silent")
    ran = subprocess.run(
        command,
        check=False,
        cwd=ROOT / "clients" / "js",
        env=environment(),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "passed" in ran.stdout
