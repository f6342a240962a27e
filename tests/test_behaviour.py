"Whatever a saved model does to its process, the gate answers, and names it."
import sys
from pathlib import Path
from types import SimpleNamespace as Config

import numpy as np
import pandas as pd
import pytest

from mlops_kit import behaviour
from mlops_kit.behaviour import REASONS, behaviour_checks, clean_python, pinned
from mlops_kit.core import EvidenceError
from mlops_kit.gates.worker import REASONS as WORKERS_REASONS, guarded, start_worker

ROWS = pd.DataFrame(dict(hour=[6., 17, 18, 7, 19, 20, 8, 9, 21, 22]*3, wind=[1., 2, 5, 3, 4, 5, 6, 1, 7, 8]*3, carrier=['UA', 'AA']*15))
USUAL = Config(environment='current', reason='a test', timeout=8, latency={}, max_latency_ratio=3., max_memory_mb=None, max_size_mb=1e-6)


def saved(folder, predict):
    "Save a pyfunc model that answers with a function"
    import mlflow

    class Model(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None): return predict(model_input)

    found = mlflow.models.infer_signature(ROWS, [.5])
    mlflow.pyfunc.save_model(str(folder), python_model=Model(), signature=found, pip_requirements=['mlflow==3.17.2'])
    return folder


def start_of(folder, **kwargs): return lambda python: start_worker(folder, 'regression', guarded(), anyway=True, weigh=True, **kwargs)


def judged(folder, predict, **kwargs):
    config = Config(**vars(USUAL) | kwargs)
    return {c.id.removeprefix('behaviour:'): c for c in behaviour_checks(saved(folder, predict), start_of(folder, seconds=config.timeout), ROWS, config, folder)}


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore')
def test_a_model_that_hangs_dies_and_shouts_takes_nobody_along(tmp_path):
    def trouble(x):
        import os
        import time
        if x.wind.isna().any(): time.sleep(60)
        if np.isinf(x.hour).any(): os._exit(0)
        if (x.carrier == 'never seen before').any(): print('a'*50_000_000, flush=True) or time.sleep(5)
        if (x.carrier == '').any(): return np.full(len(x), np.nan)
        if not len(x): return np.zeros(3)
        return x.hour/24
    found = judged(tmp_path/'m', trouble, timeout=4)
    says = {k: c.reason for k, c in found.items() if c.status == 'fail'}
    assert says == dict(missing='hung', extreme='died', unseen='printed', empty_text='not_finite', no_rows='wrong_shape', size='too_large')
    assert {'turned', 'parts', 'latency:1', 'latency:1000'} <= {k for k, c in found.items() if c.status == 'pass'}
    assert all(c.reason in ('', *REASONS, *WORKERS_REASONS) for c in found.values())


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore')
def test_chance_and_a_model_that_raises_are_named(tmp_path):
    found = judged(tmp_path/'a', lambda x: np.random.default_rng().random(len(x)))
    assert [found[k].reason for k in ('again', 'turned', 'parts')] == ['not_deterministic', 'depends_on_order', 'depends_on_batch']

    def raising(x): raise KeyError('no such carrier')
    found = judged(tmp_path/'b', raising)
    assert found['answers'].reason == 'raised' and 'no such carrier' in found['answers'].message
    assert found['latency:1'].status == 'error'


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore')
def test_what_does_not_load_is_asked_nothing(tmp_path):
    (saved(tmp_path/'m', len)/'python_model.pkl').write_bytes(b'torn')
    found = behaviour_checks(tmp_path/'m', start_of(tmp_path/'m'), ROWS, USUAL, tmp_path)
    assert [(c.id, c.status, c.reason) for c in found] == [('behaviour:pinned', 'pass', ''), ('behaviour:loads', 'fail', 'does_not_load')]


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore')
def test_it_scores_as_the_gates_do(tmp_path):
    from mlops_kit.registry import fill, read_training, scorer
    from world import fitted, flights
    fill(tmp_path/'m', fitted(), read_training(fitted(), flights(), None, 'late'), owner='x')
    for weigh in (False, True):
        worker = start_worker(tmp_path/'m', 'binary', guarded(), weigh=weigh)
        assert worker.predict(flights()[['hour', 'wind']]).tolist() == scorer(tmp_path/'m', 'binary')(flights()).tolist()
        assert worker.facts()['classes'] == [0, 1] and (worker.facts()['bytes'] > 0) == weigh
        worker.close()


@pytest.mark.parametrize('line', ['-r /etc/passwd', '--index-url https://example.org', '-e .', './evil', 'evil @ https://example.org/evil.tar.gz', 'evil @ file:///evil', 'a==1 --hash=x'])
def test_requirements_install_packages_by_name_and_run_nothing(tmp_path, monkeypatch, line):
    monkeypatch.setattr(behaviour, 'run_command', lambda *a: pytest.fail('something was installed'))
    with pytest.raises(EvidenceError, match='asks for something else'): clean_python(['scikit-learn==1.9.1', line], tmp_path)


def test_an_environment_is_made_of_wheels(tmp_path):
    for command in behaviour.recipe(tmp_path/'env', tmp_path/'wanted.txt')[1:]: assert '--only-binary' in command and ':all:' in command


def test_an_environment_that_cannot_be_built_is_an_error(tmp_path, monkeypatch):
    (tmp_path/'requirements.txt').write_text('scikit-learn==1.9.1\n')
    monkeypatch.setattr(behaviour, 'recipe', lambda part, wanted: [[sys.executable, '-c', 'import os, sys; os.makedirs(sys.argv[1]); sys.exit("ERROR: no route to the index")', part]])
    found = behaviour_checks(tmp_path, None, ROWS, Config(**vars(USUAL) | dict(environment='clean')), tmp_path)
    assert [(c.status, c.reason) for c in found] == [('pass', ''), ('error', 'no_environment')] and 'no route to the index' in found[1].message
    assert not [o for o in (tmp_path/'environments').iterdir()]
    monkeypatch.setattr(behaviour, 'recipe', lambda part, wanted: [['no-such-program']])
    with pytest.raises(EvidenceError, match='cannot be run'): clean_python(['a==1'], tmp_path)
    monkeypatch.setattr(behaviour, 'recipe', lambda part, wanted: [[sys.executable, '-c', 'import time; time.sleep(9)']])
    with pytest.raises(EvidenceError, match='was not built within 0.2 s'): clean_python(['a==1'], tmp_path, .2)


def test_two_who_build_one_environment_share_it(tmp_path, monkeypatch):
    made = 'import pathlib, sys; o = pathlib.Path(sys.argv[1])/"bin"; o.mkdir(parents=True); (o/"python").write_text("")'
    monkeypatch.setattr(behaviour, 'recipe', lambda part, wanted: [[sys.executable, '-c', made, part]])
    first = clean_python(['a==1', 'b==2'], tmp_path)
    monkeypatch.setattr(behaviour, 'recipe', lambda part, wanted: pytest.fail('built again'))
    assert clean_python(['b==2', 'a==1'], tmp_path) == first


@pytest.mark.parametrize('line, ok', [('a==1.0', True), ('a[b]==1.0', True), ('a==1.0; python_version > "3"', True), ('a @ https://x.org/a.whl', True),
                                      ('a>=1', False), ('a', False), ('a==1.*', False), ('a==1,<2', False), ('-r other.txt', False)])
def test_what_is_pinned(tmp_path, line, ok):
    (tmp_path/'requirements.txt').write_text(f'# comment\n{line}\n')
    assert (pinned(Path(tmp_path))[1] == []) == ok


def test_the_policy_wants_a_reason_for_the_current_environment():
    from mlops_kit.core import PolicyError
    from mlops_kit.policy import parse_policy
    text = 'model: m\ntask: binary\ntarget: y\nowner: a\nstages: {champion: {gates: [behaviour]}}\ngates: {behaviour: {%s}}\n'
    assert parse_policy(text % 'latency: {1: {p95: 50.0}}').gate('behaviour').latency[1].p95 == 50
    for bad, says in {'environment: current': 'no reason is given', 'latency: {5: {p95: 50}}': 'latency', 'max_latency_ratio: 0': 'greater than 0', 'timeout: 0': 'timeout'}.items():
        with pytest.raises(PolicyError, match=says): parse_policy(text % bad)
