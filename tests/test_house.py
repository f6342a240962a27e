"The house keeps its own rules: layers, weight, style, and sources that equal what is committed."
import ast
import json
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT

BETWEEN = {'gates/isolation': '08a', 'gates/worker': '08b'} # Where a page in a folder stands among the numbered ones
NBS = sorted([*(ROOT/'nbs').glob('[0-9]*.ipynb'), *(ROOT/'nbs').glob('[a-z]*/*.ipynb')],
             key=lambda p: BETWEEN.get(str(p.relative_to(ROOT/'nbs').with_suffix('')), p.stem))
GATES = sorted((ROOT/'promotion_gates').glob('*.ipynb'))
HEAVY = 'mlflow', 'evidently', 'papermill', 'pandas', 'sklearn', 'scipy', 'pyarrow', 'duckdb', 'jinja2', 'pydantic'
OWNERS = dict(mlflow='store', evidently='report', papermill='runner', fairlearn='fairness', securesystemslib='evidence', jinja2='dossier')


def cells(path): return json.loads(path.read_text())['cells']
def source(cell): return ''.join(cell['source'])
def module_of(path): return re.search(r'#\| default_exp ([\w.]+)', path.read_text())[1]


def exported(path):
    return [source(c) for c in cells(path) if c['cell_type'] == 'code' and re.search(r'^#\|\s*export', source(c), re.M)]


def imports(code):
    "Every module that a piece of code imports, wherever it stands"
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import): yield from (o.name for o in node.names)
        if isinstance(node, ast.ImportFrom) and node.module: yield node.module


def test_there_is_something_to_look_at(): assert len(NBS) > 10 and len(GATES) >= 4


@pytest.mark.parametrize('path', NBS, ids=lambda p: p.stem)
def test_imports_go_up_the_table(path):
    order = {module_of(p): i for i, p in enumerate(NBS)}
    mine = order[module_of(path)]
    for code in exported(path):
        for name in imports(code):
            room = name.removeprefix('mlops_kit.')
            if name.startswith('mlops_kit.'): assert order[room] < mine, f'{path.stem} imports {room}, which stands below it'


@pytest.mark.parametrize('library, room', OWNERS.items())
def test_a_foreign_library_lives_in_one_room(library, room):
    homes = {module_of(p) for p in NBS for code in exported(p) for name in imports(code) if name.split('.')[0] == library}
    own = {'gates.worker'} if library == 'mlflow' else set() # What is sent to the process of a model has to load it there by itself
    assert homes - own <= {room}


def loaded_by(code):
    out = subprocess.run([sys.executable, '-c', f'{code}\nimport sys; print(*sys.modules)'], capture_output=True, text=True, check=True).stdout
    return {o.split('.')[0] for o in out.split('\n')[-2].split()}


@pytest.mark.parametrize('code', [
    'import mlops_kit',
    'from mlops_kit.cli import parser; parser()',
    'import mlops_kit.gates, mlops_kit.gates.candidate, mlops_kit.gates.worker, mlops_kit.runner, mlops_kit.promotion, mlops_kit.registry'])
def test_importing_is_light(code): assert not loaded_by(code) & set(HEAVY)


def test_every_public_name_can_be_called():
    import mlops_kit
    assert mlops_kit.__all__
    for name in mlops_kit.__all__: assert callable(getattr(mlops_kit, name)), name


def test_export_and_clean_leave_no_diff(tmp_path):
    for name in ('nbs', 'mlops_kit', 'promotion_gates', 'examples'):
        shutil.copytree(ROOT/name, tmp_path/name, ignore=shutil.ignore_patterns('__pycache__', '.ipynb_checkpoints'))
    for name in ('pyproject.toml', 'settings.ini', 'README.md'): shutil.copy(ROOT/name, tmp_path)
    (tmp_path/'.git').mkdir()
    files = lambda top: {p.relative_to(top): p.read_bytes() for d in ('nbs', 'mlops_kit', 'promotion_gates', 'examples')
                         for p in (top/d).rglob('*') if p.is_file() and '__pycache__' not in p.parts and '.ipynb_checkpoints' not in p.parts}
    before, bin = files(tmp_path), Path(sys.executable).parent
    for command in (['nbdev-export'], ['nbdev-clean'], ['nbdev-clean', '--fname', 'promotion_gates'], ['nbdev-clean', '--fname', 'examples']):
        subprocess.run([bin/command[0], *command[1:]], cwd=tmp_path, check=True, capture_output=True)
    after = files(tmp_path)
    assert {str(k) for k in before.keys() | after.keys() if before.get(k) != after.get(k)} == set()


def test_the_readme_is_what_the_index_says():
    sys.path.insert(0, str(ROOT/'docs'))
    try: from readme import readme
    finally: sys.path.pop(0)
    assert (ROOT/'README.md').read_text() == readme()


def test_style_and_narrative():
    p = subprocess.run([Path(sys.executable).parent/'chkstyle', 'nbs'], cwd=ROOT, capture_output=True, text=True)
    assert 'found 0 potential' in p.stdout, p.stdout


@pytest.mark.parametrize('path', [p for p in NBS if p.parent.name != 'nbs'], ids=lambda p: p.stem)
def test_a_page_in_a_folder_has_short_lines(path):
    assert [o for c in cells(path) if c['cell_type'] == 'code' for o in source(c).split('\n') if len(o) > 120] == []


def test_exported_cells_are_small():
    sizes = sorted(sum(1 for o in code.split('\n') if o.strip() and not o.startswith('#|')) for p in NBS for code in exported(p))
    sizes = [n for n in sizes if n]
    assert statistics.median(sizes) <= 12 and sizes[int(.9*(len(sizes)-1))] <= 25 and sizes[-1] <= 50


@pytest.mark.parametrize('path', GATES, ids=lambda p: p.stem)
def test_a_gate_is_one_question(path):
    code = [source(c) for c in cells(path) if c['cell_type'] == 'code']
    tree = ast.parse('\n'.join(code))
    assert len(cells(path)) <= 9
    assert source(cells(path)[0]).splitlines()[0].endswith('?')
    assert sum('parameters' in c['metadata'].get('tags', []) for c in cells(path)) == 1
    assert not [n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.ClassDef, ast.If, ast.For, ast.While, ast.Lambda))]
    assert sum('judge_gate(' in o for o in code) == 1 and 'require()' in code[-1] and '#| notest' in code[-1]


@pytest.mark.parametrize('path', NBS, ids=lambda p: p.stem)
def test_no_lesson_is_hidden(path):
    "A page has a question, examples with output, and assertions"
    code = [c for c in cells(path) if c['cell_type'] == 'code']
    assert source(cells(path)[1]).startswith('# ') and '\n> ' in source(cells(path)[1])
    assert any(c['outputs'] for c in code), 'no example shows its output'
    assert any(re.search(r'^(test_|assert|with expect_fail)', source(c), re.M) for c in code)


def test_the_project_speaks_of_itself_alone():
    words = re.compile(r'/w[o]rk/|/r[o]ot/|sub[a]gent|py[p]i\.org|files\.python[h]osted')
    names = subprocess.run(['git', 'ls-files'], cwd=ROOT, capture_output=True, text=True).stdout.split()
    if not names: pytest.skip('not a git checkout')
    text = [n for n in names if not n.endswith(('.png', '.parquet'))]
    assert [n for n in text if (ROOT/n).exists() and words.search((ROOT/n).read_text(errors='replace'))] == []
