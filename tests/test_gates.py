"Each gate, each of the three ways: the same verdict; a pass on good data, a refusal on bad."
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import toy
from mlops_kit.core import load_verdict
from mlops_kit.store import get_version

pytestmark = pytest.mark.slow
GATES = 'contract', 'data_quality', 'drift', 'performance'


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    "The toy world with one version, a good month and a bad one"
    from mlops_kit.store import fresh_store
    folder = toy.build(tmp_path_factory.mktemp('world'))
    store = fresh_store(folder/'mlflow.db')
    toy.enrol(folder, store)
    rng = np.random.default_rng(0)
    bad = pd.read_parquet(folder/'april.parquet')
    bad = bad.assign(wind=bad.wind*8, carrier=bad.carrier.where(rng.random(len(bad)) < .5, None), late=rng.permutation(bad.late))
    bad.to_parquet(folder/'bad.parquet', index=False)
    return folder, store


@pytest.fixture(scope='module', params=['april', 'bad'])
def three_ways(request, world):
    "One month judged in a notebook, by papermill alone and by the runner"
    from mlops_kit import judge, run_gates
    from mlops_kit.runner import find_gates
    folder, store = world
    data, policy, as_of = folder/f'{request.param}.parquet', folder/'policy.yaml', '2013-05-01'
    here = {v.gate: v for v in judge('toy/1', data, policy, as_of=as_of, store=store)}
    runs = {v.gate: v for v in run_gates('toy/1', data, policy, out=folder/'runs', as_of=as_of, store=store, progress=False)}
    alone = {}
    for gate in GATES:
        args = [a for k, v in dict(version='toy/1', data=data, policy=policy, out=folder/request.param).items() for a in ('-p', k, str(v))]
        subprocess.run([Path(sys.executable).parent/'papermill', find_gates()[gate], folder/f'{gate}.ipynb', *args], cwd=folder, capture_output=True)
        alone[gate] = load_verdict(folder/request.param/'preview'/gate/'verdict.json')
    return request.param, here, runs, alone


def test_the_verdict_is_the_same_three_ways(three_ways):
    _, here, runs, alone = three_ways
    for gate in GATES:
        checks = [[c.to_dict() for c in way[gate].checks] for way in (here, runs, alone)]
        assert checks[0] == checks[1] == checks[2], gate
        assert runs[gate].run_id and not here[gate].run_id and not alone[gate].run_id


@pytest.mark.parametrize('gate', GATES)
def test_good_data_passes_and_bad_data_is_refused(gate, three_ways):
    month, _, runs, _ = three_ways
    assert runs[gate].ok == (month == 'april'), runs[gate]
    assert runs[gate].checks


def test_a_gate_without_parameters_refuses(tmp_path):
    "A mistyped parameter can never judge a fixture"
    from mlops_kit.runner import find_gates
    p = subprocess.run([Path(sys.executable).parent/'papermill', find_gates()['drift'], tmp_path/'o.ipynb', '-p', 'verison', 'toy/1'], capture_output=True, text=True, cwd=tmp_path)
    assert p.returncode != 0 and 'parameter `version` is empty' in p.stderr


def test_reports_show_what_the_verdict_says(three_ways, world):
    _, _, runs, _ = three_ways
    folder = world[0]/'runs'/runs['drift'].run_id
    for gate in ('data_quality', 'drift'):
        page = (folder/gate/'report.html').read_text()
        assert runs[gate].files[0]['path'] == 'report.html' and len(page) < 8e6


def test_mlflow_shows_what_the_gates_said(three_ways, world):
    _, _, runs, _ = three_ways
    shown = get_version(world[1], 'toy', 1).tags['mlops_kit.verdicts']
    assert shown.startswith('for champion: ') and shown.endswith(f'run {runs["drift"].run_id}') and all(f'{g} {v.status}' in shown for g, v in runs.items())


def test_a_run_resumes_and_keeps_what_can_be_believed(three_ways, world):
    from mlops_kit import run_gates
    _, _, first, _ = three_ways
    folder, store = world
    run = folder/'runs'/first['drift'].run_id
    (run/'drift'/'verdict.json').unlink()
    times = {g: (run/g/'executed.ipynb').stat().st_mtime_ns for g in GATES}
    again = run_gates('toy/1', policy=folder/'policy.yaml', out=folder/'runs', resume=run.name, store=store, progress=False)
    assert [v.to_dict() for v in again if v.gate != 'drift'] == [first[v.gate].to_dict() for v in again if v.gate != 'drift']
    assert again['drift'].checks == first['drift'].checks
    assert {g for g in GATES if (run/g/'executed.ipynb').stat().st_mtime_ns != times[g]} == {'drift'}


def test_a_frame_is_judged_too(world):
    from mlops_kit import run_gates
    folder, store = world
    frame = pd.read_parquet(folder/'may.parquet')
    verdicts = run_gates('toy/1', frame, folder/'policy.yaml', out=folder/'runs', store=store, progress=False)
    assert verdicts.ok and list(verdicts.folder.glob('data-*.parquet'))
