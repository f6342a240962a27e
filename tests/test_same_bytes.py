"The rows that were read are the rows that were hashed, and the same of policies, contracts and keys."
import gzip
import json
import os
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_kit import table
from mlops_kit.core import DataError, digest, file_digest
from mlops_kit.table import Files, note_files, open_table
from world import World

N = 200


def frame(value): return pd.DataFrame(dict(x=np.full(N, float(value)), late=np.arange(N) % 2, name=[f'{value}{i % 5}' for i in range(N)]))


def write(path, value):
    df = frame(value)
    if path.name.endswith('.parquet'): pq.write_table(pa.Table.from_pandas(df, preserve_index=False), path, compression='none')
    elif path.name.endswith('.gz'): path.write_bytes(gzip.compress(df.to_csv(index=False).encode(), mtime=0))
    else: df.to_csv(path, index=False)
    return path


def twins(tmp_path, name):
    "Two files of one size and one time of change; a link that names the first"
    paths = [write(tmp_path/f'{k}_{name}', value) for k, value in dict(honest=1, other=2).items()]
    assert len({o.stat().st_size for o in paths}) == 1
    for o in paths: os.utime(o, ns=(10**18, 10**18))
    (tmp_path/'data').mkdir()
    link = tmp_path/'data'/name
    link.symlink_to(paths[0])
    time.sleep(.03)
    return link, *paths


def flip(link, to):
    "Name another file in one step"
    aside = link.with_name(f'.{link.name}')
    aside.symlink_to(to)
    os.replace(aside, link)


def rewrite(path, value):
    "Write other rows into the same file and set its clock back"
    old = path.stat()
    raw = write(path.with_name(f'aside_{path.name}'), value).read_bytes()
    assert len(raw) == old.st_size
    with open(path, 'r+b') as f: f.write(raw)
    os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns))
    assert (path.stat().st_ino, path.stat().st_mtime_ns, path.stat().st_size) == (old.st_ino, old.st_mtime_ns, old.st_size)


READS = dict(arrow=lambda t: t.arrow(['x']), batches=lambda t: list(t.batches(['x'])), codes=lambda t: t.codes('name'), ask=lambda t: t.ask(s=t.expr.x.sum()),
             sql=lambda t: t.sql('select sum(x) from {t}'), run=lambda t: t.run(t.expr.x.sum()), kinds=lambda t: t.kinds, digest=lambda t: t.digest)
FORMS = ['t.parquet', 't.csv', 't.csv.gz']


def named(link, how): return dict(path=str(link), glob=f'{link.parent}/t*', folder=str(link.parent), many=[str(link)])[how]


@pytest.mark.parametrize('read', READS)
@pytest.mark.parametrize('how', ['path', 'glob', 'folder', 'many'])
def test_a_symlink_that_is_swapped_between_is_found(tmp_path, read, how):
    link, honest, other = twins(tmp_path, 't.parquet')
    t = open_table(named(link, how))
    flip(link, other)
    with pytest.raises(DataError, match='changed while it was read') as e: READS[read](t)
    assert e.value.exit_code == 3
    flip(link, honest)
    with pytest.raises(DataError, match='changed while it was read'): READS[read](t)


@pytest.mark.parametrize('name', FORMS)
@pytest.mark.parametrize('change', ['flip', 'rewrite', 'replace', 'remove', 'folder'])
def test_every_way_to_change_a_file_is_found(tmp_path, name, change):
    link, honest, other = twins(tmp_path, name)
    t = open_table(link)
    digest_then = t.digest
    assert digest_then == file_digest(honest)
    if change == 'flip': flip(link, other)
    if change == 'rewrite': rewrite(honest, 2)
    if change == 'replace': os.replace(other, honest)
    if change == 'remove': honest.unlink()
    if change == 'folder':
        (tmp_path/'data').rename(tmp_path/'before')
        (tmp_path/'data').mkdir()
        link.symlink_to(other)
    for look in (t.check, lambda: t.arrow(['x'])):
        with pytest.raises(DataError, match='changed while it was read') as e: look()
        assert e.value.exit_code == 3


@pytest.mark.parametrize('name', FORMS)
def test_a_swap_that_is_taken_back_gives_the_rows_that_were_hashed(tmp_path, name, monkeypatch):
    "The path names another file whenever something is opened, and the honest one whenever somebody looks"
    link, honest, other = twins(tmp_path, name)
    t = open_table(link)
    flip(link, other)
    looked = Files.check_all

    def look(self):
        flip(link, honest)
        try: looked(self)
        finally: flip(link, other)
    monkeypatch.setattr(Files, 'check_all', look)
    assert set(t.arrow(['x'])[0].to_pylist()) == {1.0} and t.digest == file_digest(honest) and t.ask(s=t.expr.x.sum())['s'] == N


@pytest.mark.parametrize('name', FORMS)
def test_a_file_that_is_written_to_while_it_is_read_is_found(tmp_path, name, monkeypatch):
    link, honest, _ = twins(tmp_path, name)
    placed, done = Files.place, []

    def written(self, path):
        if str(path) == str(link) and not done: done.append(rewrite(honest, 2))
        return placed(self, path)
    monkeypatch.setattr(Files, 'place', written)
    with pytest.raises(DataError, match='changed while it was read') as e: open_table(link).arrow(['x'])
    assert e.value.exit_code == 3 and done


def test_many_files_are_kept_open_and_closed(tmp_path):
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        for i in range(300): write(tmp_path/f'{i:04}.parquet', 1)
        open_files = lambda: len(os.listdir('/proc/self/fd'))
        before = open_files()
        t = open_table(tmp_path)
        assert t.rows == 300*N and open_files() >= 300
        del t
        import gc
        gc.collect()
        assert open_files() < before + 40
    finally: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_folders_that_are_columns_stay_columns(tmp_path):
    for month in (1, 2):
        (tmp_path/f'month={month}').mkdir()
        write(tmp_path/f'month={month}'/'t.parquet', month)
    assert open_table(tmp_path).frame(['x', 'month']).drop_duplicates().values.tolist() == [[1, 1], [2, 2]]


@pytest.mark.parametrize('name', ['t.parquet', 't.csv'])
def test_a_race_never_gives_other_rows_than_were_hashed(tmp_path, name):
    "A thread swaps as fast as it can; whatever is read without an error is what was hashed"
    link, honest, other = twins(tmp_path, name)
    says, stop, seen = {file_digest(honest): 1.0, file_digest(other): 2.0}, threading.Event(), dict(read=0, refused=0)

    def swap():
        while not stop.is_set():
            for to in (other, honest):
                flip(link, to)
                time.sleep(.0005)
    worker = threading.Thread(target=swap, daemon=True)
    worker.start()
    try:
        end = time.monotonic() + 6
        while time.monotonic() < end:
            try:
                t = open_table(link)
                values, found = t.arrow(['x'])[0].to_pylist(), t.digest
                t.check()
            except DataError as e:
                assert e.exit_code == 3, e
                seen['refused'] += 1
                continue
            assert set(values) == {says[found]}
            seen['read'] += 1
    finally:
        stop.set()
        worker.join()
    assert sum(seen.values()) > 10, seen


def test_a_file_of_this_very_moment_is_looked_at_again(tmp_path, monkeypatch):
    slept = []
    monkeypatch.setattr(table.time, 'sleep', slept.append)
    note_files([write(tmp_path/'t.csv', 1)])
    assert slept == [table.TICK]
    monkeypatch.setattr(table.time, 'time', lambda: 4e9)
    note_files([tmp_path/'t.csv'])
    assert len(slept) == 1


def test_memory_stays_small_where_a_csv_ends_in_text(tmp_path, monkeypatch):
    (tmp_path/'t.csv').write_text('a,b\n1,x\n2,"two\nlines"\n')
    monkeypatch.setattr(Path, 'read_bytes', lambda self: pytest.fail('read whole'))
    assert open_table(tmp_path/'t.csv').rows == 2


# Gates: every process opens the data again by its path

@pytest.fixture(scope='module')
def kept(tmp_path_factory):
    world = World(tmp_path_factory.mktemp('bytes')/'w').furnish()
    world.policy.write_text('model: tiny\ntask: binary\ntarget: late\nowner: Ana Silva\nstages: {champion: {gates: [performance]}}\ngates: {performance: {min_rows: 10, metrics: {roc_auc: {min: 0.6}}}}\n')
    world.register()
    return world


@pytest.fixture
def world(kept, tmp_path):
    kept.keep(tmp_path/'kept')
    yield kept
    kept.restore(tmp_path/'kept')


def other_rows(world):
    df = pd.read_parquet(world.data)
    return df.assign(late=1 - df.late)


def test_a_gate_that_reads_other_rows_could_not_judge(world):
    from mlops_kit.gates import ask, open_candidate
    c = open_candidate('tiny/1', world.data, world.policy, store=world.store)

    def late(c):
        found = c.table.frame(['late']).late.mean()
        world.data.write_bytes(world.data.read_bytes())
        from mlops_kit.core import check
        return [check('late:mean', found >= 0, 'late', 'late')]
    with pytest.raises(DataError, match='changed while it was read') as e: ask('mine', c, late)
    assert e.value.exit_code == 3


def test_training_data_that_is_swapped_in_after_the_look_is_refused(world, monkeypatch):
    "The runner judges by the table that it refused training data on, and opens nothing twice"
    from mlops_kit import runner
    opened, seen = table.open_table, []
    monkeypatch.setattr(table, 'open_table', lambda data, *a, **k: seen.append(data) or opened(data, *a, **k))
    runner.prepared('tiny/1', world.data, world.policy, world.runs, 'champion', None, world.store)
    assert [o for o in seen if str(o) == str(world.data)] == [str(world.data)]


def test_a_run_whose_data_changed_before_a_gate_is_an_error(world):
    from mlops_kit.core import EvidenceError
    from mlops_kit.gates import candidate_of_run
    from mlops_kit.runner import prepared
    folder, _ = prepared('tiny/1', world.data, world.policy, world.runs, 'champion', None, world.store)
    other_rows(world).to_parquet(world.data)
    with pytest.raises(EvidenceError, match='the data has changed'): candidate_of_run(folder/'run.json')


# What people write: read once

def swapped_after(monkeypatch, path, text):
    "Another text lies at `path` as soon as it was read once"
    read, done = Path.read_bytes, []

    def swapped(self):
        raw = read(self)
        if self == Path(path): done.append(1) or Path(path).write_text(text)
        return raw
    monkeypatch.setattr(Path, 'read_bytes', swapped)
    return done


def test_a_policy_that_is_swapped_after_reading_decides_nothing(world, monkeypatch):
    from mlops_kit.runner import prepared
    honest = world.policy.read_text()
    done = swapped_after(monkeypatch, world.policy, honest.replace('min_rows', 'min_rwos'))
    folder, _ = prepared('tiny/1', world.data, world.policy, world.runs, 'champion', None, world.store)
    monkeypatch.undo()
    run = json.loads((folder/'run.json').read_text())
    assert len(done) == 1 and (folder/'policy.yaml').read_text() == honest and run['policy'] == digest(honest)


CONTRACT = 'apiVersion: v3.1.0\nkind: DataContract\nid: t\nversion: 1.0.0\nstatus: active\nschema: [{name: t, properties: [{name: hour}, {name: wind}, {name: late}]}]\n'


def test_a_contract_that_is_swapped_after_reading_promises_nothing(world, monkeypatch):
    from mlops_kit.registry import register
    from world import fitted, flights
    path = world.folder/'c.odcs.yaml'
    path.write_text(CONTRACT)
    done = swapped_after(monkeypatch, path, CONTRACT.replace('hour', 'huor'))
    version = register(fitted(False), world.name, train=flights(), target='late', policy=world.policy, store=world.store, contract=path)
    monkeypatch.undo()
    from mlops_kit.registry import model_files
    folder = model_files(version, world.folder/'cache', world.store)
    assert len(done) == 1 and version.lineage['contract']['digest'] == digest(CONTRACT) == file_digest(folder/'mlops_kit/contract.yaml')


def test_keys_are_read_once(tmp_path):
    from mlops_kit.evidence import make_key, public_key_file
    from mlops_kit.policy import load_policy
    from mlops_kit.registry import policy_keys
    (tmp_path/'policy.yaml').write_text('model: tiny\ntask: binary\ntarget: late\nowner: Ana\nstages: {champion: {gates: [performance]}}\n')
    ana = make_key(tmp_path/'a.pem', 'Ana')
    public_key_file(ana, tmp_path/'keys')
    policy = load_policy(tmp_path/'policy.yaml')
    before = policy_keys(policy)
    public_key_file(make_key(tmp_path/'b.pem', 'Mallory'), tmp_path/'keys')
    assert list(policy_keys(policy)) == list(before) == [ana.keyid] and len(policy_keys(load_policy(tmp_path/'policy.yaml'))) == 2


def test_who_may_read_a_key_is_asked_of_the_open_file(tmp_path, monkeypatch):
    "A key that others can read is swapped for one that they cannot, after it was read"
    from mlops_kit.core import EvidenceError
    from mlops_kit.evidence import make_key, read_key
    make_key(tmp_path/'a.pem', 'Ana')
    (tmp_path/'a.pem').chmod(0o644)
    monkeypatch.setattr(Path, 'stat', lambda self, **k: pytest.fail('asked the path'))
    with pytest.raises(EvidenceError, match='others can read the key'): read_key(tmp_path/'a.pem')
