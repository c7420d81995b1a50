"""The JavaScript packages have their own tests, in their own language; here they count with the others."""

import subprocess

import pytest

from tests.support.processes import ROOT, environment


@pytest.mark.parametrize("package", ["js", "web"])
def test_a_package_passes_its_own_tests(package: str):
    command = ("npm", "test", "--silent")
    ran = subprocess.run(
        command,
        check=False,
        cwd=ROOT / "clients" / package,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "passed" in ran.stdout
