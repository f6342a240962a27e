"Every page of nbs/ runs from top to bottom."
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT


@pytest.mark.slow
def test_lessons():
    p = subprocess.run([Path(sys.executable).parent/'nbdev-test', '--n-workers', '2'], cwd=ROOT, capture_output=True, text=True, timeout=1200)
    assert p.returncode == 0, (p.stdout + p.stderr)[-6000:]
