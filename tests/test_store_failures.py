"A store that fails at any point: one clear line within a stated time, nothing repeated, and the next command recovers."
import gc
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from failing import PAGES, Gateway, Served, Server, dying
from mlops_kit import store as st
from mlops_kit.core import EXIT, MlopsKitError, RegistryError
from world import POLICY, World, fitted, flights

pytestmark = pytest.mark.filterwarnings('ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning') # MLflow leaves the connection of a refused download open
LONG = bool(os.environ.get('MLOPS_KIT_TORTURE')) # Every point, not a sample
TEAM = POLICY.replace('{gates: [performance]}', '{gates: [performance], approvals: {required: 1, roles: [risk]}}')


def fails(fn, *said, within=5, code=EXIT['error']):
    "Be refused by one line with a hint, in time; return what was raised"
    start = time.monotonic()
    with pytest.raises(MlopsKitError) as e: fn()
    line = str(e.value)
    assert e.value.exit_code == code and '\n' not in line and 'Hint: ' in line and len(line) < 600, line
    assert time.monotonic() - start < within, (line, time.monotonic() - start)
    for o in said: assert re.search(o, line), line
    return e.value


def whole(world):
    "See that chain and aliases are as they should be, and return who holds them and how many entries there are"
    book = world.book()
    chain, entries = book.read()
    assert not [e.void for e in entries if e.void]
    assert st.aliases(world.store, 'tiny') == {alias: e.target['version'] for alias, e in chain.heads.items()}
    assert all(book.is_done(e) for e in chain.heads.values())
    return st.aliases(world.store, 'tiny'), [e.kind for e in entries]


@pytest.fixture
def model(tmp_path):
    (tmp_path/'model').mkdir()
    (tmp_path/'model'/'MLmodel').write_text('flavors: {}\n' + '#'*200_000)
    return tmp_path/'model'


# A tracking server, and what may stand before it

@pytest.fixture(scope='module')
def furnished(tmp_path_factory):
    "Ana registers, Ben answers for risk: 1 is champion; 2 is judged, then approved, then champion"
    world = Served(tmp_path_factory.mktemp('failing')/'world')
    world.folder.mkdir()
    world.server = Server(world.folder)
    try:
        world.uri = world.server.start().uri
        furnish(world)
        yield world
    finally: world.server.end()


def furnish(world):
    "Fill a world, and keep what it is like before each of the commands"
    world.furnish().person('Ben Ode', 'risk')
    world.policy.write_text(TEAM)
    with pytest.MonkeyPatch.context() as m:
        m.setenv('MLOPS_KIT_KEY', str(world.key))
        for ref in ('tiny/1', 'tiny/2'):
            world.register()
            world.judge(ref)
            world.keep(world.folder.with_name('judged'))
            world.says('approve', 'benrisk', ref)
            world.keep(world.folder.with_name('approved'))
            assert world.promote(ref).exit_code == 0
    world.keep(world.folder.with_name('crowned'))


@pytest.fixture
def world(furnished, monkeypatch):
    monkeypatch.setenv('MLOPS_KIT_KEY', str(furnished.key))
    furnished.server.kill()
    furnished.restore(furnished.folder.with_name('crowned'))
    furnished.server.start()
    return furnished


@pytest.fixture
def gateway(furnished):
    "Something between us and the server; the world is seen through it"
    gate = Gateway(furnished.server)
    furnished.uri = gate.uri
    yield gate
    furnished.uri = furnished.server.uri
    gate.end()
    gc.collect() # What MLflow left open goes here, not in somebody else's test


COMMANDS = { # What was kept before it, the command, the aliases after it, the writes of the sample
    'approve': ('judged', lambda w: w.says('approve', 'benrisk', 'tiny/2'), dict(champion=1, candidate=2), [1]),
    'promote': ('approved', lambda w: w.promote('tiny/2'), dict(champion=2, candidate=2), [1, 2, 3]),
    'rollback': ('crowned', lambda w: w.rollback(reason='refunds'), dict(champion=1, candidate=2), [1, 2]),
    'register': ('judged', lambda w: w.register(), dict(champion=1, candidate=3), [8])}


@pytest.mark.slow
@pytest.mark.parametrize('command', COMMANDS)
def test_a_server_killed_at_a_write_is_told_and_the_next_command_finishes(world, command):
    kept, run, aliases, sample = COMMANDS[command]
    points = [(at, after) for at in range(1, 30) for after in (False, True)] if LONG else [(at, False) for at in sample]
    for at, after in points:
        world.server.kill()
        world.restore(world.folder.with_name(kept))
        world.server.start()
        before, done = whole(world)[1], None
        with dying(at, world.server.kill, after) as died:
            try: done = run(world)
            except MlopsKitError as e: said = e
        if not died: break
        if not done: assert said.exit_code == 3 and re.search(r'does not answer|broke off', str(said)) and 'Hint: ' in str(said) and '\n' not in str(said), said
        world.server.start()
        if not done: world.rollback(to=1) if command == 'rollback' else run(world)
        now, kinds = whole(world)
        twice = not done and command == 'register' and (at, after) >= (8, True) # It was written down: typed again, it registers another version
        assert kinds[:len(before)] == before and kinds[len(before):].count(command) == 1 + twice, (at, after, kinds)
        assert now == aliases or command == 'register' and now['candidate'] in (3, 4) and now['champion'] == 1, (at, after, now)
    assert at < 29


def calls(world):
    "What the kit asks of a store, each with the requests that may write"
    store, run = world.store, world.run
    return dict(
        read=lambda: st.get_params(store, run), alias=lambda: st.holder_of(store, 'tiny', 'champion'), list=lambda: st.run_files(store, run),
        fetch=lambda: st.download_artifacts(store, run, '', world.folder/'fetched'), param=lambda: st.log_param_once(store, run, f'k{time.monotonic_ns()}', 'mine'),
        move=lambda: st.set_alias(store, 'tiny', 'spare', 1), start=lambda: st.start_run(store, 'tiny', 'r'), upload=lambda: st.upload(store, run, world.policy))


SAYS = {'500': 'answers with status 500', '502': 'status 502', '503': 'status 503', '404': 'status 404', 'html': 'not MLflow\'s: `<html>', 'half': 'was cut off', 'cut': 'was cut off',
        'lost': 'broke off', 'hangs': 'did not answer in time', 'empty': 'is about ``|is empty|invalid literal'}


@pytest.fixture
def asked(furnished, gateway):
    "What may be asked of a store with one run that has a file and a param"
    world = furnished
    world.run = st.start_run(world.store, 'tiny', 'r')
    st.log_param_once(world.store, world.run, 'k', 'v')
    st.upload(world.store, world.run, world.data)
    return calls(world)


@pytest.mark.slow
@pytest.mark.parametrize('how', SAYS)
def test_whatever_a_gateway_does_is_one_line_and_nothing_is_sent_twice(furnished, gateway, asked, monkeypatch, capfd, how):
    if how == 'hangs': monkeypatch.setenv('MLOPS_KIT_PATIENCE', '0.5')
    for name, ask in asked.items():
        gateway.seen.clear()
        gateway.how = lambda method, path: '' if '/health' in path else how
        if how == 'empty' and name in ('move', 'param'): continue # There, an empty answer means yes
        assert st.failed(fails(ask, SAYS[how], within=10))
        assert '.part-' not in ' '.join(p.name for p in furnished.folder.iterdir())
        assert len(gateway.seen) == len({*gateway.seen}) and sum(o[0] != 'GET' for o in gateway.seen) <= 1, (name, gateway.seen)
        gateway.let_through()
        ask()
        shutil.rmtree(furnished.folder/'fetched', ignore_errors=True)
    assert capfd.readouterr().err == ''


@pytest.mark.slow
def test_a_write_whose_answer_was_lost_is_settled_by_reading(furnished, gateway, asked):
    gateway.how = lambda method, path: '' if method == 'GET' else 'lost'
    asked['move']()
    assert asked['param']() and st.get_alias(furnished.store, 'tiny', 'spare') == 1
    st.create_model(furnished.store, 'other')
    assert st.create_experiment(furnished.store, 'others').name == 'others'
    fails(asked['start'], 'make the run `r`', 'reads first what was written')
    sent = [o for o in gateway.seen if o[2] == 'lost']
    assert len(sent) == 5 == len({*sent})


@pytest.mark.slow
def test_opening_a_store_that_is_not_well_takes_no_longer_than_stated(furnished, gateway, monkeypatch):
    world = furnished
    for how, said in [('503', 'status 503'), ('lost', 'broke off'), ('hangs', 'did not answer in time.*MLOPS_KIT_PATIENCE')]:
        gateway.how = lambda method, path: how
        fails(lambda: world.store, 'could not be opened', said, within=st.PATIENCE + 1)
    gateway.how, gateway.delay = (lambda method, path: 'slow'), .6
    monkeypatch.setenv('MLOPS_KIT_PATIENCE', '0.3')
    fails(lambda: world.store, 'in time', within=1)
    monkeypatch.setenv('MLOPS_KIT_PATIENCE', '2')
    assert world.alias()
    monkeypatch.setenv('MLOPS_KIT_PATIENCE', 'soon')
    fails(lambda: world.store, '`soon`', code=EXIT['usage'])


@pytest.mark.slow
def test_a_store_that_is_slow_is_let_alone(world, gateway, monkeypatch):
    store, gateway.delay = world.store, 10 if LONG else .2
    monkeypatch.setenv('MLOPS_KIT_PATIENCE', '15' if LONG else '3')
    gateway.how = lambda method, path: 'slow'
    assert world.rollback(reason='slow').exit_code == 0
    gateway.let_through()
    assert whole(world)[0] == dict(champion=1, candidate=2)


@pytest.mark.slow
def test_a_call_that_never_ends_is_given_up(furnished, gateway, monkeypatch):
    store = furnished.store
    monkeypatch.setenv('MLOPS_KIT_PATIENCE', '0.25')
    before, gateway.how = {k: os.environ.get(k) for k in st.SETTINGS}, lambda method, path: 'drips'
    fails(lambda: st.aliases(store, 'tiny'), 'find the model `tiny`: it did not answer in time', within=2)
    assert os.environ['MLFLOW_HTTP_REQUEST_MAX_RETRIES'] == '0' # What was given up still must not repeat anything
    gateway.let_through()
    assert st.aliases(store, 'tiny')['champion']
    gateway.free.set()
    for _ in range(100):
        if {k: os.environ.get(k) for k in st.SETTINGS} == before: return
        time.sleep(.1)
    raise AssertionError('the settings of the call that was given up stayed')


@pytest.mark.slow
def test_a_command_whose_store_fails_while_it_reads_says_so(world, gateway):
    for run in (lambda: world.rollback(reason='x'), lambda: __import__('mlops_kit').status('tiny', store=world.store), lambda: world.promote('tiny/1')):
        gateway.let_through()
        for n in range(0, 60 if LONG else 12, 1 if LONG else 3):
            gateway.seen.clear()
            gateway.how = lambda method, path: '503' if method != 'GET' or len(gateway.seen) > n else ''
            try: run()
            except MlopsKitError as e: assert e.exit_code == 3 and 'answers with status 503' in str(e) and '\n' not in str(e), e
            else: assert len(gateway.seen) <= n + 1 and n
    gateway.let_through()
    assert whole(world)[0] == dict(champion=2, candidate=2)


@pytest.mark.slow
def test_the_command_itself_says_one_line(world, gateway, cli):
    env = dict(MLFLOW_TRACKING_URI=gateway.uri, HOME=world.folder)
    gateway.how = lambda method, path: '' if '/health' in path else '503'
    code, out, err = cli('rollback', 'tiny', '--reason', 'refunds', cwd=world.folder, **env)
    assert (code, out) == (3, '') and re.fullmatch(r'store: \S+\nerror: [^\n]*status 503[^\n]* Hint: [^\n]+\n', err), (code, out, err)
    gateway.let_through()
    assert cli('rollback', 'tiny', '--reason', 'refunds', cwd=world.folder, **env)[0] == 0
    assert whole(world)[0] == dict(champion=1, candidate=2)


# PostgreSQL

@pytest.fixture(scope='module')
def database(postgres, tmp_path_factory):
    "A store in a PostgreSQL server, with one run"
    import psycopg
    with psycopg.connect(postgres.replace('postgres://', 'postgresql://'), autocommit=True) as c: c.execute('CREATE DATABASE failing')
    with pytest.MonkeyPatch.context() as m:
        m.setenv('MLOPS_KIT_ARTIFACTS', str(tmp_path_factory.mktemp('files')))
        m.setenv('MLOPS_KIT_PATIENCE', '60')
        store = st.connect(postgres.replace('postgres://', 'postgresql+psycopg://').rpartition('/')[0] + '/failing')
        store.run = st.start_run(store, 'tiny', 'r')
    return store


def control(url):
    "How to stop the PostgreSQL server, how to start it again, and its process"
    import psycopg

    from postgres import binaries, servant
    with psycopg.connect(url.replace('postgres://', 'postgresql://'), autocommit=True) as c: data = Path(c.execute('SHOW data_directory').fetchone()[0])
    options = (data/'postmaster.opts').read_text().split('postgres', 1)[1].split('"-p"', 1)[1]
    def pg_ctl(*words):
        run = [binaries()/'pg_ctl', '-D', data, '-w', '-l', data.parent/'log', *words]
        p = subprocess.run(run, user=None if os.geteuid() else servant(), cwd=data.parent, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert p.returncode == 0, (data.parent/'log').read_text()
    start = lambda: pg_ctl('-o', '"-p"' + options, 'start')
    return (lambda: pg_ctl('-m', 'immediate', 'stop')), start, int((data/'postmaster.pid').read_text().split()[0])


@pytest.mark.slow
def test_a_database_that_is_restarted(postgres, database):
    store, (stop, start, pid) = database, control(postgres)
    st.create_model(store, 'tiny')
    stop()
    start()
    assert st.log_param_once(store, store.run, 'k', 'mine') # The pool notices by itself
    stop()
    try:
        fails(lambda: st.log_param_once(store, store.run, 'k2', 'mine'), 'could not write the param `k2`', 'refused|closed')
        fails(lambda: st.get_params(store, store.run), 'could not read the run', 'refused|closed')
        fails(lambda: st.connect(store.address), 'could not be opened')
    finally: start()
    assert st.log_param_once(store, store.run, 'k2', 'mine') and st.get_params(store, store.run) == dict(k='mine', k2='mine')


@pytest.mark.slow
def test_a_decision_during_which_the_database_stops_or_restarts(postgres, database, tmp_path, monkeypatch, model):
    from mlops_kit.evidence import make_key
    from mlops_kit.ledger import identity, ledger, project
    store, (stop, start, pid), ana = database, control(postgres), make_key(tmp_path/'ana.pem', 'Ana')
    st.create_model(store, 'signed')
    files = st.log_files(store, model, 'signed', store.run)
    targets = [identity(vars(st.create_version(store, 'signed', files)) | dict(manifest=f'{n}'*64)) for n in (1, 2)]
    def decide():
        book = ledger(st.connect(store.address), 'signed', create=True)
        if not (head := book.head('candidate')) or head.target != targets[0]: book.append('register', 'candidate', targets[0], base=head and head.target, decision='registered', key=ana)
        return project(book, 'candidate').code
    def restart():
        stop()
        start()
    for n, (at, fault) in enumerate([(9, restart), (1, stop), (2, stop), (3, stop), (1, restart), (2, restart), (3, restart)], 1):
        targets.reverse()
        with dying(at, fault) as died:
            if fault is stop: fails(decide, 'refused|closed', within=10)
            else: decide()
        if fault is stop: start()
        assert bool(died) == (at < 9)
        assert decide() in (('moved', 'ok') if fault is stop else ('ok',)) and decide() == 'ok'
        book = ledger(st.connect(store.address), 'signed')
        assert st.get_alias(store, 'signed', 'candidate') == targets[0]['version']
        assert [e.void for e in book.entries(all=True)] == [None]*n


@pytest.mark.slow
def test_a_database_that_ends_the_connection_or_hangs(postgres, database, monkeypatch, capfd):
    import psycopg
    store, (stop, start, pid) = database, control(postgres)
    def cut(c):
        with psycopg.connect(postgres.replace('postgres://', 'postgresql://'), autocommit=True) as other:
            with c._tracking_client.store.ManagedSessionMaker() as session:
                mine = session.connection().exec_driver_sql('SELECT pg_backend_pid()').scalar()
                other.execute('SELECT pg_terminate_backend(%s)', [mine])
                session.connection().exec_driver_sql('SELECT 1')
    fails(lambda: store.write('count the sand', cut), 'count the sand: terminating connection|closed the connection', 'reads first')
    held = st.get_params(store, store.run)
    assert capfd.readouterr().err == ''
    monkeypatch.setenv('MLOPS_KIT_PATIENCE', '0.5')
    children = [int(o) for o in Path(f'/proc/{pid}/task/{pid}/children').read_text().split()]
    for p in [pid, *children]: os.kill(p, signal.SIGSTOP)
    try:
        fails(lambda: st.get_params(store, store.run), 'did not answer in time', within=4)
        fails(lambda: st.connect(store.address), 'did not answer in time', within=2)
    finally:
        for p in [pid, *children]: os.kill(p, signal.SIGCONT)
    assert st.get_params(store, store.run) == held


# An SQLite file

@contextmanager
def disk(folder, size):
    "A small disk of its own, which can be made read-only; needs root"
    folder.mkdir()
    if os.geteuid() or subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={size}', 'tmpfs', folder], capture_output=True).returncode: pytest.skip('only root can mount a disk')
    try: yield lambda *how: subprocess.run(['mount', '-o', ','.join(('remount', *how)), folder], check=True)
    finally: subprocess.run(['umount', '-l', folder], check=True)


def fill(folder, leave=0):
    "Use a disk up"
    with open(folder/'ballast', 'wb', buffering=0) as f:
        try:
            while True: f.write(b'x'*4096)
        except OSError: pass
        f.truncate(max(f.tell() - leave, 0))


def test_a_disk_that_is_full(tmp_path, model):
    with disk(tmp_path/'disk', '4m'):
        store = st.fresh_store(tmp_path/'disk'/'mlflow.db')
        run = st.start_run(store, 'tiny', 'r')
        fill(tmp_path/'disk', leave=65536)
        fails(lambda: st.log_files(store, model, 'tiny', run), 'could not upload the model: .*No space left', 'make room')
        fails(lambda: st.upload(store, run, model), 'could not upload', 'No space left', 'make room')
        fill(tmp_path/'disk')
        def write():
            for n in range(200): st.log_param_once(store, run, f'{n}', 'x'*5000)
        fails(write, 'could not write the param', 'disk is full|disk I/O', 'make room')
        fails(lambda: st.fetched(tmp_path/'disk'/'to', dict(f=9999), 'm', lambda to: (to.mkdir(), (to/'f').write_bytes(b'x'*9999))), 'cannot be written', 'No space left', 'make room')
        fails(lambda: st.connect(tmp_path/'disk'/'second.db'), 'could not be made', 'No space left|disk is full', 'make room')
        assert sorted(p.name for p in (tmp_path/'disk').iterdir()) == ['ballast', 'mlartifacts', 'mlflow.db']
        n = len(st.get_params(store, run))
        (tmp_path/'disk'/'ballast').unlink()
        assert st.log_param_once(store, run, 'k', 'v') and len(st.get_params(store, run)) == n + 1
        assert st.sizes(st.download(store, st.log_files(store, model, 'tiny', run), tmp_path/'back')) == st.sizes(model)


def close(store):
    "Close what MLflow keeps open of an SQLite file"
    for engine in (store.client._tracking_client.store.engine, store.client._get_registry_client().store.engine): engine.dispose()


def test_a_disk_that_becomes_read_only(tmp_path, model):
    with disk(tmp_path/'disk', '8m') as remount:
        store = st.fresh_store(tmp_path/'disk'/'mlflow.db')
        run = st.start_run(store, 'tiny', 'r')
        close(store) # Open files keep a disk from being remounted
        remount('ro')
        fails(lambda: st.log_param_once(store, run, 'k', 'v'), 'could not write the param `k`', 'readonly', 'read-only for you')
        fails(lambda: st.upload(store, run, model), 'could not upload', 'Read-only file system', 'read-only for you')
        fails(lambda: st.connect(tmp_path/'disk'/'second.db'), 'could not be made', 'Read-only file system')
        assert st.get_params(st.connect(tmp_path/'disk'/'mlflow.db'), run) == {}
        remount('rw')
        close(store) # As the next process would find it
        assert st.log_param_once(store, run, 'k', 'v')


@pytest.mark.slow
def test_a_file_that_may_grow_no_further(tmp_path):
    code = '''import resource, sys
from mlops_kit import store as st
from mlops_kit.core import RegistryError
s = st.fresh_store(sys.argv[1]); run = st.start_run(s, 'x', 'r')
size = __import__('os').path.getsize(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 40_960, size + 40_960))
try:
    for n in range(200): st.log_param_once(s, run, str(n), 'x'*5000)
except RegistryError as e: print(e.exit_code, e)
resource.setrlimit(resource.RLIMIT_FSIZE, (size//2, size//2))
try: st.connect(sys.argv[1] + '.2.db')
except RegistryError as e: print(e.exit_code, e)
print(len(st.get_params(s, run)) > 0)'''
    p = subprocess.run([sys.executable, '-c', code, tmp_path/'mlflow.db'], capture_output=True, text=True, timeout=120)
    lines = p.stdout.splitlines()
    assert p.stderr == '' and lines[-1] == 'True' and re.search(r'^3 .*could not write the param.*disk (I/O|is full).*Hint: make room', lines[0]) and re.search('^3 .*could not be made: File too large.*Hint: make room', lines[1]), (p.stdout, p.stderr)
    assert st.find_runs(st.connect(tmp_path/'mlflow.db'), 'x', '0', 'x'*5000)


@pytest.mark.slow # It waits as long as MLflow does, 20 s
def test_a_file_that_another_process_holds(store_uri):
    store = st.connect(store_uri)
    run = st.start_run(store, 'x', 'r')
    with closing(sqlite3.connect(store_uri.removeprefix('sqlite:///'))) as other:
        other.execute('BEGIN EXCLUSIVE')
        fails(lambda: st.connect(store_uri), 'could not be opened: database is locked', 'another process is writing')
        fails(lambda: store.write('count the sand', lambda c: c.log_param(run, 'k', 'other')), 'count the sand: database is locked', 'another process is writing', within=25)
        other.rollback()
    assert st.log_param_once(store, run, 'k', 'v')


def test_what_is_gone_is_not_a_failure(store_uri, tmp_path, model):
    store = st.connect(store_uri)
    run = st.start_run(store, 'tiny', 'r')
    made = st.log_files(store, model, 'tiny', run)
    shutil.rmtree(next(tmp_path.rglob(f'{made}/artifacts')))
    for ask in (lambda: st.download(store, made, tmp_path/'back'), lambda: st.download_artifacts(store, run, 'kept', tmp_path/'kept'), lambda: st.get_run(store, '0'*32)):
        with pytest.raises(RegistryError) as e: ask()
        assert not st.failed(e.value), e.value


def test_a_template_that_is_broken_is_made_anew(tmp_path, monkeypatch):
    good = st.template().read_bytes()
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    monkeypatch.setattr(st, 'migrated', lambda: shutil.copyfile(kept, tmp_path/'made.db'))
    (kept := tmp_path/'kept.db').write_bytes(good)
    (tmp_path/'mlops_kit').mkdir()
    for broken in (b'', good[:8192], b'no database'*1000):
        (tmp_path/'mlops_kit'/Path(st.template()).name).write_bytes(broken)
        assert st.model_names(st.fresh_store(tmp_path/f'{len(broken)}.db')) == [] and st.template().read_bytes() == good
    assert [p.name[:6] for p in (tmp_path/'mlops_kit').iterdir()] == ['mlflow']


def test_a_full_cache_leaves_nothing_half(tmp_path, monkeypatch):
    made = shutil.copyfile(st.template(), tmp_path/'made.db')
    monkeypatch.setattr(st, 'migrated', lambda: made)
    with disk(tmp_path/'disk', '4m'):
        monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path/'disk'))
        fill(tmp_path/'disk', leave=65536)
        assert st.template() == made and [*(tmp_path/'disk'/'mlops_kit').iterdir()] == []
        (tmp_path/'disk'/'ballast').unlink()
        assert st.template() == tmp_path/'disk'/'mlops_kit'/f'mlflow-{st.installed_version("mlflow")}.db'
