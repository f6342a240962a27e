"The small examples run, and tell the story that is stored with them: three tasks, a pipeline and a pyfunc."
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from conftest import ROOT

EXAMPLES = sorted((ROOT/'examples').glob('*.ipynb'))


def told(nb):
    "What the cells show, without paths"
    return [re.sub(r'/\S*/story-', 'story-', o['data']['text/plain']) for c in nb.cells if c.cell_type == 'code' for o in c.outputs if o.output_type == 'execute_result']


def test_every_task_has_an_example():
    tasks = [re.search(r'task: (\w+)', p.read_text())[1] for p in EXAMPLES]
    assert sorted(tasks) == ['binary', 'multiclass', 'regression']
    for p in EXAMPLES:
        for step in ('register(', 'judge(', 'promote(', 'rollback('): assert step in p.read_text(), f'{p.name} lacks {step}'


@pytest.mark.slow
@pytest.mark.parametrize('path', EXAMPLES, ids=lambda p: p.stem)
def test_an_example_tells_what_is_stored_with_it(path, tmp_path):
    env = os.environ | dict(COLUMNS='120', HOME=str(tmp_path/'home'), MLOPS_KIT_KEY='')
    p = subprocess.run([sys.executable, '-m', 'papermill', '-k', 'python3', '--no-progress-bar', str(path), str(tmp_path/path.name)], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert p.returncode == 0, p.stderr[-2000:]
    stored, ran = (told(nbformat.read(o, 4)) for o in (path, tmp_path/path.name))
    assert stored and stored == ran
