"""The benches work: each ends with a table and its figures as JSON. How fast anything is, nobody judges."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.audio import need_tools
from tests.bench.__main__ import BENCHES

pytestmark = [need_tools, pytest.mark.slow]


@pytest.mark.timeout(660)
def test_each_bench_ends_with_a_table_and_json() -> None:
    command = [sys.executable, "-m", "tests.bench", "--short"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert ran.returncode == 0, ran.stderr
    results = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
    assert [result["bench"] for result in results] == list(BENCHES)
    for result in results:
        assert result["rounds"] == 1
        for figure in result["figures"]:
            assert figure["value"] > 0
            assert f"  {figure['name']} " in ran.stdout


def test_a_bench_that_there_is_not_is_an_error() -> None:
    command = [sys.executable, "-m", "tests.bench", "none"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 2
    assert "no bench is called none" in ran.stderr
