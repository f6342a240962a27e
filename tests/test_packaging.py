"What is built can be installed elsewhere and does the main job there."
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from conftest import ROOT

pytestmark = pytest.mark.slow


def sh(*args, **kwargs):
    p = subprocess.run([str(a) for a in args], capture_output=True, text=True, **kwargs)
    assert p.returncode == 0, (p.stdout + p.stderr)[-4000:]
    return p.stdout


@pytest.fixture(scope='module')
def built(tmp_path_factory):
    "sdist and wheel, built from what git knows"
    src, out = tmp_path_factory.mktemp('src'), tmp_path_factory.mktemp('dist')
    names = sh('git', 'ls-files', '--cached', '--others', '--exclude-standard', cwd=ROOT).split('\n')
    for name in filter(None, names):
        if (ROOT/name).is_file():
            (src/name).parent.mkdir(parents=True, exist_ok=True)
            (src/name).write_bytes((ROOT/name).read_bytes())
    sh(sys.executable, '-m', 'build', '--outdir', out, src)
    return next(out.glob('*.whl')), next(out.glob('*.tar.gz'))


def test_gates_schemas_and_templates_travel_inside(built):
    wheel, sdist = built
    inside = zipfile.ZipFile(wheel).namelist()
    for name in ('promotion_gates/drift.ipynb', 'data/verdict.schema.json', 'data/run.schema.json', 'data/dossier.html.j2', 'data/dossier_gates.html.j2', 'data/flights.policy.yaml'):
        assert f'mlops_kit/{name}' in inside
    assert any(n.endswith('/promotion_gates/drift.ipynb') for n in tarfile.open(sdist).getnames())


def test_no_field_stands_in_two_places():
    import tomllib
    from configparser import ConfigParser
    project = tomllib.loads((ROOT/'pyproject.toml').read_text())['project']
    cfg = ConfigParser(delimiters=['='])
    cfg.read(ROOT/'settings.ini')
    assert not set(project) & set(cfg['DEFAULT']) and 'version' not in cfg['DEFAULT']


CHAMPION = """import json, mlflow, sys
mlflow.set_tracking_uri(sys.argv[1])
client = mlflow.MlflowClient()
load = lambda ref: mlflow.sklearn.load_model(f'models:/flight-delay{ref}')
import pandas as pd
rows = pd.read_parquet(sys.argv[2]).head(50)[list(load('@champion')[0].feature_names_in_)]
same = [n for n in range(1, 5) if (load('@champion').predict_proba(rows) == load(f'/{n}').predict_proba(rows)).all()]
print(json.dumps([int(client.get_model_version_by_alias('flight-delay', 'champion').version), same]))"""


def test_the_wheel_tells_the_story_in_an_empty_environment(built, tmp_path):
    "Install the wheel with its demo extra outside the repository, run the demo there"
    wheel, _ = built
    sh(sys.executable, '-m', 'venv', tmp_path/'env')
    sh(tmp_path/'env/bin/pip', 'install', '-q', '-c', ROOT/'constraints.txt', f'{wheel}[demo]')
    env = {k: v for k, v in os.environ.items() if not k.startswith(('MLFLOW', 'MLOPS_KIT', 'PYTHON'))} | dict(HOME=str(tmp_path), DO_NOT_TRACK='1')
    out = tmp_path/'the story'
    said = sh(tmp_path/'env/bin/mlops-kit', 'demo', '--out', out, cwd=tmp_path, env=env, timeout=900)
    assert [f'Act {i}.' in said for i in range(1, 6)] == [True]*5 and 'ended as told' in said
    assert 'mlflow ui --backend-store-uri' in said.splitlines()[-1]
    dossier = Path(next(o for o in said.splitlines() if o.startswith('The dossier')).split(': ', 1)[1])
    assert dossier.is_file() and out in dossier.parents
    assert not list(out.rglob('*.pem')), 'the private key stays at home'
    plain = sh(tmp_path/'env/bin/python', '-c', CHAMPION, f'sqlite:///{out}/mlflow.db', str(out/'flights'/'2013-07.parquet'), cwd=tmp_path, env=env)
    assert json.loads(plain.splitlines()[-1]) == [1, [1]], 'plain MLflow loads the first model and no other'
