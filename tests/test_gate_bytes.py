"What is hashed of a gate notebook is what runs: no label in it, and nothing around it, decides what is checked."
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import pytest

from mlops_kit.core import EvidenceError, GateError, MlopsKitError
from mlops_kit.runner import (Ended, assigned, check_shape, gate_bytes, gate_environment, handed, notebook_cells, own_cells, packaged_gates, run_all,
    source_digest, verdict_of)
from test_runner import HONEST, SAVE, start, write_gate

EVIL = 'print("not hashed")'


def book(): return json.loads((packaged_gates()/'drift.ipynb').read_text(encoding='utf-8'))


def place(nb): return next(i for i, c in enumerate(nb['cells']) if 'parameters' in c['metadata'].get('tags', []))


def cell(source=EVIL, kind='code', **metadata):
    made = dict(cell_type=kind, id='x1', metadata=metadata, source=source)
    return made | (dict(execution_count=None, outputs=[]) if kind == 'code' else {})


def written(tmp_path, nb):
    (tmp_path/'drift.ipynb').write_text(json.dumps(nb), encoding='utf-8')
    return tmp_path/'drift.ipynb'


def tag(*tags, kind='code'): return lambda nb: nb['cells'].insert(place(nb) + 1, cell(kind=kind, tags=list(tags)))


def put(key, value): return lambda nb: nb.update({key: value})


def last(**change): return lambda nb: nb['cells'][-1].update(change)


CHANGES = dict(
    injected=tag('injected-parameters'), injected_with_others=tag('hide-input', 'injected-parameters'), injected_prose=tag('injected-parameters', kind='markdown'),
    skipped=tag('skip-execution'), raises=tag('raises-exception'), error_marker=tag('papermill-error-cell-tag', kind='markdown'), second_parameters=tag('parameters'),
    tags_as_text=lambda nb: nb['cells'].insert(0, cell(tags='injected-parameters')), no_metadata=last(metadata=None), odd_tags=last(metadata=dict(tags=[1])),
    format_3=put('nbformat', 3), format_true=put('nbformat', True), format_text=put('nbformat', '4'), cells_elsewhere=lambda nb: nb.update(worksheets=[dict(cells=nb['cells'])], nbformat=3),
    no_cells=put('cells', {}), odd_kind=last(cell_type='Code'), odd_source=last(source=[1]), no_source=last(source=None),
    skipped_last=last(metadata=dict(tags=['skip-execution'])), parameters_in_prose=lambda nb: nb['cells'][place(nb)].update(cell_type='markdown'),
    parameters_not_python=lambda nb: nb['cells'][place(nb)].update(source='version = '), nul=last(source='verdict\x00 = 1'))


@pytest.mark.parametrize('name', CHANGES)
def test_a_notebook_whose_labels_steer_is_refused(tmp_path, name):
    nb = book()
    CHANGES[name](nb)
    with pytest.raises(GateError) as e: check_shape(written(tmp_path, nb))
    assert e.value.exit_code == 2 and str(e.value).count('\n') <= 1 and 'Hint:' in str(e.value)


def test_no_two_notebooks_of_other_code_have_one_digest(tmp_path):
    plain, code = check_shape(packaged_gates()/'drift.ipynb'), [cell('a'), cell('b')]
    assert len({source_digest(o) for o in [code, code[::-1], [cell('ab')], [cell('a\nb')], [cell('a'), cell(''), cell('b')], [cell('a'), cell('b', 'raw')]]}) == 6
    with pytest.raises(GateError, match='NUL'): source_digest([cell('a\x00b')])
    for kind in ('markdown', 'raw'):
        nb = book()
        nb['cells'][-1] = cell(nb['cells'][-1]['source'], kind)
        assert check_shape(written(tmp_path, nb)) != plain
    nb = book()
    for c in nb['cells']: c['source'] = ''.join(c['source'])
    assert check_shape(written(tmp_path, nb)) == plain


def run_of(tmp_path, *code, name='g', **kwargs):
    "One gate that ran, its run and its folder"
    gates = {name: write_gate(tmp_path/'gates', name, *code)}
    run, folder = start(tmp_path, gates)
    return run, folder, gates, run_all(run, gates, folder, 1, 60, progress=False, **kwargs)[name]


@pytest.fixture(scope='module')
def honest(tmp_path_factory):
    run, folder, gates, v = run_of(tmp_path_factory.mktemp('honest'), HONEST, SAVE, name='g')
    assert v.status == 'pass', v
    return run, folder


def executed(honest): return nbformat.read(honest[1]/'g'/'executed.ipynb', 4)


def at(nb): return next(i for i, c in enumerate(nb.cells) if 'injected-parameters' in c.metadata.tags)


def extra(tags): return nbformat.v4.new_code_cell(EVIL, metadata=dict(tags=tags))


def set_source(text): return lambda nb: nb.cells[at(nb)].update(source=text(nb.cells[at(nb)].source))


FORGED = dict(
    second=lambda nb: nb.cells.insert(at(nb) + 1, extra(['injected-parameters'])), before=lambda nb: nb.cells.insert(0, extra(['injected-parameters'])),
    at_the_end=lambda nb: nb.cells.append(extra(['injected-parameters'])), moved=lambda nb: nb.cells.append(nb.cells.pop(at(nb))), none=lambda nb: nb.cells.pop(at(nb)),
    prose=lambda nb: nb.cells[at(nb)].update(cell_type='markdown'), more_code=set_source(lambda t: t + '\n' + EVIL), one_line=set_source(lambda t: t + f'; {EVIL}'),
    called=set_source(lambda t: t.replace('out = ', 'out = str(')+')'), other_value=set_source(lambda t: t.replace('toy/1', 'toy/2')), one_less=set_source(lambda t: t.strip().rpartition('\n')[0]),
    one_more=set_source(lambda t: t + '\nnb = ""'), twice=set_source(lambda t: t + '\nversion = "toy/1"'), shell=set_source(lambda t: '%%bash\n' + t), comment=set_source(lambda t: '# Parameters'),
    marked_code=lambda nb: nb.cells.append(extra(['papermill-error-cell-tag'])), other_prose=lambda nb: nb.cells.append(nbformat.v4.new_raw_cell('late')),
    other_order=lambda nb: nb.cells.append(nb.cells.pop(-2)))


@pytest.mark.parametrize('name', FORGED)
def test_an_executed_notebook_with_anything_else_in_it_is_not_believed(honest, tmp_path, name):
    import shutil
    from mlops_kit.runner import layout_digest
    run, folder = honest
    run = run | dict(layouts=dict(g=layout_digest(own_cells(folder/'g'/'executed.ipynb', run, folder))))
    nb = executed(honest)
    FORGED[name](nb)
    kept = tmp_path/'r1'/'g'
    shutil.copytree(folder/'g', kept)
    assert verdict_of(run, 'g', folder/'g', Ended('exit')).status == 'pass'
    whole = (folder/'g'/'executed.ipynb').read_bytes()
    try:
        nbformat.write(nb, folder/'g'/'executed.ipynb')
        v = verdict_of(run, 'g', folder/'g', Ended('exit'))
        assert (v.status, v.reason) == ('error', 'not_believed'), v
    finally:
        (folder/'g'/'executed.ipynb').write_bytes(whole)
        shutil.copyfile(kept/'verdict.json', folder/'g'/'verdict.json')


def test_evidence_that_ran_elsewhere_is_still_believed(honest, tmp_path):
    "An older kit's evidence has no layouts, and lies in another folder now"
    import shutil
    from mlops_kit.runner import believe
    run, folder = honest
    shutil.copytree(folder, tmp_path/'elsewhere')
    assert believe(run, 'g', tmp_path/'elsewhere'/'g').status == 'pass'
    nb = executed(honest)
    set_source(lambda t: t.replace('r1/run.json', 'r2/run.json').replace('r1/policy.yaml', 'r2/policy.yaml'))(nb)
    nbformat.write(nb, tmp_path/'elsewhere'/'g'/'executed.ipynb')
    with pytest.raises(EvidenceError, match='other parameters'): believe(run, 'g', tmp_path/'elsewhere'/'g')


def test_what_is_assigned_is_read_and_not_run():
    assert assigned('a = "x"\nb = "y" # c') == dict(a='x', b='y')
    for code in ['a = b = "x"', 'a.b = "x"', 'a = f()', 'a = "x"\na = "x"', 'import os', 'a: str = "x"', 'a =', 'a = "\x00"', '!ls']: assert assigned(code) == {}


def test_a_notebook_that_changes_before_it_runs_is_an_error(tmp_path):
    gates = dict(g=write_gate(tmp_path/'gates', 'g', HONEST, SAVE))
    run, folder = start(tmp_path, gates)
    write_gate(tmp_path/'gates', 'g', EVIL, HONEST, SAVE)
    with pytest.raises(GateError, match='changed since the run began'): gate_bytes(gates['g'], run['gates']['g'])
    v = run_all(run, gates, folder, 1, 60, progress=False)['g']
    assert (v.status, v.reason) == ('error', 'gate_changed') and not (folder/'g'/'executed.ipynb').exists()


def test_a_notebook_is_read_once_and_these_bytes_run(tmp_path, monkeypatch):
    "Swapped while it is read: what runs is what was digested"
    from mlops_kit import runner
    gates = dict(g=write_gate(tmp_path/'gates', 'g', HONEST, SAVE))
    run, folder = start(tmp_path, gates)
    read = runner.notebook_bytes

    def swapped(path):
        raw = read(path)
        if Path(path) == gates['g']: write_gate(tmp_path/'gates', 'g', EVIL, HONEST, SAVE)
        return raw
    monkeypatch.setattr(runner, 'notebook_bytes', swapped)
    assert run_all(run, gates, folder, 1, 60, progress=False)['g'].status == 'pass'
    assert 'not hashed' not in (folder/'g'/'executed.ipynb').read_text()


MARK = 'import os, pathlib; pathlib.Path(os.environ["MARK"]).write_text("ran")\n'


@pytest.mark.slow
def test_nothing_around_a_notebook_runs_in_its_kernel(tmp_path, monkeypatch):
    "Modules of the current folder, start-up files, settings and kernels of other names that variables name"
    work, home = tmp_path/'work', tmp_path/'home'
    for name in ('mlops_kit/__init__.py', 'json.py', 'promotion_gates/numpy.py', 'ipykernel_launcher.py', 'papermill.py', 'usercustomize.py', 'sitecustomize.py'):
        (work/name).parent.mkdir(parents=True, exist_ok=True)
        (work/name).write_text(MARK)
    startup = home/'ipython'/'profile_default'/'startup'
    startup.mkdir(parents=True)
    for path in (startup/'00.py', home/'start.py', home/'ipython'/'profile_default'/'ipython_config.py', home/'ipython_kernel_config.py', home/'jupyter_config.py'): path.write_text(MARK)
    spec = home/'jupyter'/'kernels'/'python3'/'kernel.json'
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps(dict(argv=[sys.executable, '-c', MARK], display_name='python3', language='python')))
    monkeypatch.chdir(work)
    for k, v in dict(MARK=tmp_path/'mark', IPYTHONDIR=home/'ipython', PYTHONSTARTUP=home/'start.py', JUPYTER_CONFIG_DIR=home, JUPYTER_CONFIG_PATH=home,
                     JUPYTER_PATH=home/'jupyter', JUPYTER_DATA_DIR=home/'jupyter', PYTHONPATH=':.:').items(): monkeypatch.setenv(k, str(v))
    said = 'import os, sys\nassert "" not in sys.path and os.getcwd() not in sys.path'
    assert run_of(tmp_path, said, HONEST, SAVE)[3].status == 'pass'
    assert not (tmp_path/'mark').exists()


def test_a_notebook_cannot_choose_its_language(tmp_path):
    nb = nbformat.read(write_gate(tmp_path/'gates', 'g', HONEST, SAVE), 4)
    nb.metadata = dict(kernelspec=dict(name='bash', language='bash', display_name='b'), language_info=dict(name='bash'), papermill=dict(parameters=dict(version='other')))
    nbformat.write(nb, tmp_path/'gates'/'g.ipynb')
    run, folder = start(tmp_path, dict(g=tmp_path/'gates'/'g.ipynb'))
    assert run_all(run, dict(g=tmp_path/'gates'/'g.ipynb'), folder, 1, 60, progress=False)['g'].status == 'pass'


@pytest.mark.slow
def test_a_gate_that_was_killed_leaves_nothing_in_the_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setenv('TMPDIR', str(tmp_path))
    monkeypatch.setattr(tempfile, 'tempdir', None)
    (tmp_path/'gates').mkdir()
    left = 'import tempfile, time; tempfile.mkdtemp()'
    gates = {n: write_gate(tmp_path/'gates', n, left, end) for n, end in dict(hangs='time.sleep(600)', dies='import os; os.kill(os.getppid(), 9)').items()}
    run, folder = start(tmp_path, gates)
    assert {v.status for v in run_all(run, gates, folder, 2, 12, progress=False).values()} == {'error'}
    assert sorted(o.name for o in tmp_path.iterdir()) == ['gates', 'runs']
