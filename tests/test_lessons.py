"Every page of nbs/ runs from top to bottom, and the README shows what its page printed."
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT


@pytest.mark.slow
def test_lessons():
    p = subprocess.run([Path(sys.executable).parent/'nbdev-test', '--n-workers', '2', '--skip-file-re', r'^[_.]|^index\.'], cwd=ROOT, capture_output=True, text=True, timeout=1200)
    assert p.returncode == 0, (p.stdout + p.stderr)[-6000:]


@pytest.mark.slow
def test_the_readme_shows_what_its_page_prints(tmp_path):
    "The outputs stored with the page are those of a run: none was typed, and none is of an older version"
    sys.path.insert(0, str(ROOT/'docs'))
    from readme import readme
    p = subprocess.run([sys.executable, '-m', 'papermill', '-k', 'python3', '--no-progress-bar', 'index.ipynb', str(tmp_path/'index.ipynb')], cwd=ROOT/'nbs', capture_output=True, text=True, timeout=600)
    assert p.returncode == 0, p.stderr[-2000:]
    said = lambda text: re.sub(r'\s+', ' ', re.sub(r'weight [\d.]+%', 'weight', text)) # Importance is measured as often as time allows
    assert said((ROOT/'README.md').read_text()) == said(readme(tmp_path/'index.ipynb'))
