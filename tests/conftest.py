"What several test files share."
import os
import subprocess
import sys
from pathlib import Path

import pytest

os.environ['MLFLOW_DISABLE_TELEMETRY'] = 'true'
os.environ['DO_NOT_TRACK'] = '1'
os.environ['MPLBACKEND'] = 'agg'
for o in ('GITHUB_ACTIONS', 'GITHUB_STEP_SUMMARY', 'NO_COLOR', 'FORCE_COLOR', 'COLUMNS'): os.environ.pop(o, None) # Where the tests run is not what they are about
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True, scope='module')
def same_key():
    "Whose key a module's worlds sign with goes with the module"
    before = {k: v for k, v in os.environ.items() if k.startswith('MLOPS_KIT')}
    yield
    for k in [k for k in os.environ if k.startswith('MLOPS_KIT') and k not in before]: del os.environ[k]
    os.environ.update(before)


@pytest.fixture(autouse=True)
def same_environment():
    "What a test tells MLflow through the environment goes with the test"
    mine = lambda: {k: v for k, v in os.environ.items() if 'MLFLOW' in k}
    before = mine()
    yield
    for k in mine().keys() - before.keys(): del os.environ[k]
    os.environ.update(before)


@pytest.fixture(autouse=True, scope='session')
def explained():
    "A reason code that our own code gives while tests run is in the reference, however it was put together"
    from mlops_kit import core
    sys.path.insert(0, str(ROOT/'docs'))
    from reference import reasons
    made, seen = core.Check.__init__, {}
    def init(self, *args, **kwargs):
        made(self, *args, **kwargs)
        if not self.reason or self.reason in seen: return
        frame = sys._getframe(1)
        if frame.f_code is core.check.__code__: frame = frame.f_back
        if frame.f_globals['__name__'].startswith('mlops_kit.') and frame.f_globals['__name__'] != core.__name__: seen[self.reason] = f'{frame.f_globals["__name__"]}.{frame.f_code.co_name}'
    core.Check.__init__ = init
    yield
    core.Check.__init__ = made
    known = {code for code, _ in reasons()}
    assert {code: where for code, where in seen.items() if code not in known} == {}


@pytest.fixture
def store_uri(tmp_path):
    "The address of a fresh, migrated SQLite store"
    from mlops_kit.store import fresh_store
    return fresh_store(tmp_path/'mlflow.db').uri


@pytest.fixture
def cli():
    "Run the installed command and return exit code, stdout and stderr"
    def run(*args, cwd=None, timeout=300, **env):
        p = subprocess.run([str(Path(sys.executable).parent/'mlops-kit'), *map(str, args)], cwd=cwd, capture_output=True,
                           text=True, timeout=timeout, env=os.environ | {k: str(v) for k, v in env.items()}, stdin=subprocess.DEVNULL)
        return p.returncode, p.stdout, p.stderr
    return run


@pytest.fixture(scope='session')
def postgres():
    "The address of a real PostgreSQL server, made for this session"
    from postgres import binaries, server
    if not binaries(): pytest.skip('no PostgreSQL server here: install Debian\'s `postgresql`')
    with server() as url: yield url


@pytest.fixture(scope='session')
def mlflow_server(tmp_path_factory):
    "A real tracking server on SQLite, made for this session: a `servers.Server` with `.address`; who kills it makes one of his own"
    from servers import mlflow_server
    with mlflow_server(tmp_path_factory.mktemp('server')/'files') as server: yield server


@pytest.fixture(scope='session')
def spark():
    "A Spark session on this machine"
    import shutil
    if not shutil.which('java'): pytest.skip('no Java here: install Debian\'s `openjdk-17-jre-headless`')
    pyspark = pytest.importorskip('pyspark', reason='no Spark here: `make spark` installs it')
    from pyspark.sql import SparkSession
    os.environ['PYSPARK_PYTHON'] = sys.executable
    quiet = {'spark.ui.enabled': 'false', 'spark.sql.shuffle.partitions': '2', 'spark.driver.bindAddress': '127.0.0.1', 'spark.driver.host': '127.0.0.1', 'spark.sql.session.timeZone': 'UTC'}
    maker = SparkSession.builder.master('local[2]')
    for k, v in quiet.items(): maker = maker.config(k, v)
    session = maker.getOrCreate()
    yield session
    session.stop()
