"The runner believes only what a gate wrote, for this run, about these bytes."
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from conftest import ROOT
from mlops_kit.core import EvidenceError, GateError, digest, load_verdict, to_json
from mlops_kit.runner import PARAMETERS, RUN_SCHEMA, check_shape, kept_verdict, run_all

PARAMS = '\n'.join(f'{p}: str = ""' for p in PARAMETERS)
SHA = digest('x')
VERSION = dict(name='toy', version=1, model_id='m-1', created=1, manifest=SHA)
HONEST = '''import json
from mlops_kit.core import Check, Verdict
r = json.load(open(run))
judged = {k: r[k] for k in ('version', 'champion', 'alias', 'as_of', 'data', 'policy', 'contract', 'reference')}
judged |= dict(manifest=r['version']['manifest'], notebook=r['gates'][NAME])
verdict = Verdict(NAME, [Check('rows', 'pass', 'enough rows')], judged, r['run_id'])'''
SAVE = 'verdict.save(out)'

BROKEN = {
    'crashes': (['1/0'], 'ZeroDivisionError', 'crashed'),
    'leaves_early': (['import sys; sys.exit(0)', HONEST, SAVE], 'ended early', 'crashed'),
    'loses_its_kernel': (['import os; os._exit(1)'], 'wrote no verdict', 'crashed'),
    'kills_its_kernel': (['import os; os.kill(os.getpid(), 9)'], 'wrote no verdict', 'crashed'),
    'hangs': (['import time; time.sleep(600)'], 'ran longer than', 'timed_out'),
    'saves_then_hangs': ([HONEST, SAVE, 'import time; time.sleep(600)'], 'ran longer than', 'timed_out'),
    'writes_nan': ([HONEST, SAVE, 'p = __import__("pathlib").Path(out)/r["run_id"]/NAME/"verdict.json"',
                    'p.write_text(p.read_text().replace(\'"value": null\', \'"value": NaN\'))'], 'NaN', 'not_believed'),
    'breaks_the_schema': ([HONEST, SAVE, 'p = __import__("pathlib").Path(out)/r["run_id"]/NAME/"verdict.json"',
                           'p.write_text(p.read_text().replace(\'"checks"\', \'"chekcs"\'))'], 'schema', 'not_believed'),
    'lies_about_its_status': ([HONEST + '\nverdict.checks[0].status = "fail"', SAVE, 'p = __import__("pathlib").Path(out)/r["run_id"]/NAME/"verdict.json"',
                               'p.write_text(p.read_text().replace(\'\\n "status": "fail"\', \'\\n "status": "pass"\'))'], 'add up', 'not_believed'),
    'speaks_of_another_run': ([HONEST + '\nrun_id, verdict.run_id = verdict.run_id, "other"', 'from mlops_kit.core import gate_folder, save_verdict',
                               'save_verdict(verdict, gate_folder(out, run_id, NAME)/"verdict.json")'], 'another run', 'not_believed'),
    'speaks_of_another_version': ([HONEST + '\njudged["version"] = judged["version"] | dict(version=2)', SAVE], 'another version', 'not_believed'),
    'speaks_of_other_data': ([HONEST + '\njudged["data"] = []', SAVE], 'another data', 'not_believed'),
    'is_stale': ([HONEST + '\nverdict.started = "2001-01-01T00:00:00Z"', SAVE], 'older than the run', 'not_believed')}


def write_gate(folder, name, *code, tags=('parameters',), params=PARAMS):
    folder.mkdir(parents=True, exist_ok=True)
    made = [nbformat.v4.new_code_cell(params, metadata=dict(tags=list(tags)))] + [nbformat.v4.new_code_cell(c) for c in (f'NAME = "{name}"', *code)]
    nb = nbformat.v4.new_notebook(cells=made, metadata=dict(kernelspec=dict(name='python3', display_name='python3', language='python')))
    nbformat.write(nb, folder/f'{name}.ipynb')
    return folder/f'{name}.ipynb'


def start(tmp_path, gates):
    "A run's record, as the runner writes it"
    run = dict(schema=RUN_SCHEMA, run_id='r1', created='2020-01-01T00:00:00Z', alias='champion', version=VERSION, champion=None, address=str(tmp_path),
               data=[dict(uri='d', rows=1, digest=SHA)], policy=SHA, contract=None, gates={n: check_shape(p) for n, p in gates.items()},
               reference={}, as_of='2020-01-01T00:00:00Z', last_decision=None, profile=SHA, store='')
    folder = tmp_path/'runs'/'r1'
    folder.mkdir(parents=True)
    (folder/'run.json').write_text(to_json(run))
    return run, folder


@pytest.mark.slow
def test_a_broken_gate_is_an_error_and_the_others_are_kept(tmp_path):
    "Every way to break at once, side by side with an honest gate"
    gates = {n: write_gate(tmp_path/'gates', n, *code) for n, (code, *_) in BROKEN.items()} | dict(honest=write_gate(tmp_path/'gates', 'honest', HONEST, SAVE))
    run, folder = start(tmp_path, gates)
    found = run_all(run, gates, folder, jobs=4, timeout=20, progress=False)
    assert found['honest'].status == 'pass'
    for name, (_, why, reason) in BROKEN.items():
        v = load_verdict(folder/name/'verdict.json')
        assert (v.status, v.reason) == ('error', reason), (name, v)
        assert why in v.checks[0].message, (name, v.checks[0].message)
        assert v.to_dict() == found[name].to_dict()


@pytest.mark.slow
def test_a_verdict_that_another_gate_rewrites_is_not_believed(tmp_path):
    rewrite = ['import pathlib, time', 'p = pathlib.Path(out)/"r1"/"honest"/"verdict.json"', 'while not p.exists(): time.sleep(.1)', 'time.sleep(6)',
               'p.write_text(p.read_text().replace("enough rows", "more than enough"))', HONEST, SAVE]
    gates = dict(honest=write_gate(tmp_path/'gates', 'honest', HONEST, SAVE), other=write_gate(tmp_path/'gates', 'other', '\n'.join(rewrite)))
    run, folder = start(tmp_path, gates)
    found = run_all(run, gates, folder, 2, 60, progress=False)
    assert found['other'].status == 'pass' and (found['honest'].status, found['honest'].reason) == ('error', 'not_believed')
    assert 'changed after the gate had ended' in load_verdict(folder/'honest'/'verdict.json').checks[0].message


def test_a_gate_asks_in_its_own_name(monkeypatch):
    from mlops_kit.gates import judge_gate
    monkeypatch.setenv('MLOPS_KIT_GATE', 'season')
    with pytest.raises(GateError, match='notebook of gate `season` asks as `drift`'): judge_gate('drift', 'toy/1', 'd', 'p', 'o', 'run.json')


def test_a_verdict_left_over_from_before_is_not_believed(tmp_path):
    gates = dict(g=write_gate(tmp_path/'gates', 'g', HONEST, SAVE))
    run, folder = start(tmp_path, gates)
    run_all(run, gates, folder, 1, 60, progress=False)
    assert kept_verdict(run, 'g', folder/'g').status == 'pass'
    assert kept_verdict(run | dict(run_id='r2'), 'g', folder/'g') is None
    assert kept_verdict(run | dict(policy=digest('y')), 'g', folder/'g') is None
    executed = folder/'g'/'executed.ipynb'
    executed.write_text(executed.read_text().replace('enough rows', 'plenty of rows'))
    assert kept_verdict(run, 'g', folder/'g') is None


@pytest.mark.parametrize('change, says', [
    (dict(tags=()), '0 cells tagged `parameters`'),
    (dict(params=PARAMS.replace('policy', 'polcy')), "unknown: ['polcy']"),
    (dict(params=PARAMS + '\nthreshold: float = 0.1'), "unknown: ['threshold']"),
    (dict(params='version: str = ""'), 'missing')])
def test_a_notebook_that_is_no_gate_is_refused(tmp_path, change, says):
    with pytest.raises(GateError, match='.') as e: check_shape(write_gate(tmp_path, 'g', HONEST, **change))
    assert says in str(e.value) and e.value.exit_code == 2


def test_a_file_that_is_no_notebook_is_refused(tmp_path):
    (tmp_path/'g.ipynb').write_text('no json')
    with pytest.raises(GateError, match='cannot be read'): check_shape(tmp_path/'g.ipynb')


@pytest.mark.slow
def test_a_killed_runner_leaves_no_gate_behind(tmp_path):
    "kill -9 of the runner ends its gates and their kernels"
    gate = write_gate(tmp_path/'gates', 'g', 'import os, time; open(out + "/kernel.pid", "w").write(str(os.getpid())); time.sleep(600)')
    run, folder = start(tmp_path, dict(g=gate))
    code = 'import json, sys; from pathlib import Path; from mlops_kit.runner import run_all; run, g, f = json.loads(sys.argv[1]); run_all(run, dict(g=g), Path(f), 1, 600, progress=False)'
    p = subprocess.Popen([sys.executable, '-c', code, json.dumps([run, str(gate), str(folder)])])
    pid = tmp_path/'runs'/'kernel.pid'
    for _ in range(200):
        if pid.exists() and pid.read_text(): break
        time.sleep(.1)
    p.send_signal(signal.SIGKILL)
    p.wait()
    for _ in range(100):
        if not alive(int(pid.read_text())): break
        time.sleep(.1)
    assert not alive(int(pid.read_text()))


def alive(pid):
    try: return Path(f'/proc/{pid}/stat').read_text().split(') ')[1][0] != 'Z'
    except FileNotFoundError: return False
