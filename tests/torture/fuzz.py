"""Change one thing at a time in a store or a bundle, and demand that `verify` says where.

    python tests/torture/fuzz.py --mutations 2000 --seed 1 --out fuzz.json

A *spot* is one thing that can be changed: a file, a param, a row, an alias, a whole folder. What happens to it: one bit is flipped, it is deleted,
truncated, swapped with a sibling, or replaced by an older sibling. Each change is undone before the next.
"""
import argparse
import json
import os
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from eventful import lived  # noqa: E402

from mlops_kit.audit import audit, member_text, read_entries, sealed, store_source, verify, verify_bundle  # noqa: E402
from mlops_kit.core import MlopsKitError, digest, to_json, write_file  # noqa: E402

OPS = 'flip', 'delete', 'truncate', 'swap', 'replay'

# What may be changed without breaking a promise, and why. Each is changed too, and has to leave the audit as it was.
HARMLESS = {
    'decision.json, history.json': 'written beside the evidence when it was complete: copies for people, made from the ledger, which is what counts',
    'mark of completion, deleted': 'the entry decided; the mark only says that its writer came back to look. It is reported, and the next command writes it again',
    'mark of completion, time or token': 'nothing reads them: they make one writer\'s mark unlike another\'s',
    'row of a version, for display': 'description, user, stage, link, run and time of the last update: MLflow shows them, nothing rests on them',
    'row of a version, its second address left out where it is the first one': 'MLflow then loads from `source`, which is checked',
    'tags': 'MLflow lets anybody change them, so nothing rests on them',
    'metrics and params of the training run': 'shown by MLflow; what counts is in the lineage, which the manifest covers',
    'evidence that no entry names, all of it': 'nobody relied on it, and nobody can say what was never named',
    'alias that the policy does not know': 'people\'s own'}


@dataclass
class Spot:
    "One thing that can be changed"
    medium: str # `store` or `bundle`
    kind: str # Such as `model file`
    name: str # For the report
    group: str # Siblings have the same
    order: int # Older siblings have a lower one
    get: object # Function: bytes, or None where it is not there
    put: object # Function of bytes or None
    place: tuple # The audit has to name one of these
    ops: tuple = OPS
    text: bool = False # Keep it printable
    least: int = 0 # Bytes that a truncation leaves

    def __repr__(self): return f'{self.medium}: {self.kind} {self.name}'


def file_spot(medium, kind, path, group, order, place, name):
    def put(raw):
        if raw is None: return path.unlink()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
    return Spot(medium, kind, name, f'{kind} {group}', order, lambda: path.read_bytes() if path.exists() else None, put, place)


def folder_spot(medium, kind, path, group, order, place):
    "A whole folder: its value is a copy of it"
    def get(): return {p.relative_to(path).as_posix(): p.read_bytes() for p in sorted(path.rglob('*')) if p.is_file()}
    def put(files):
        shutil.rmtree(path, ignore_errors=True)
        for k, raw in (files or {}).items():
            (path/k).parent.mkdir(parents=True, exist_ok=True)
            (path/k).write_bytes(raw)
    return Spot(medium, kind, path.name, f'{kind} {group}', order, get, put, place, ('delete', 'swap', 'replay'))


def kind_of(rel):
    "What a file of evidence is"
    last = rel.rsplit('/', 1)[-1]
    return {'statement.json': 'statement', 'verdict.json': 'verdict', 'executed.ipynb': 'executed notebook', 'run.json': 'run.json'}.get(last, 'evidence file')


class Fuzz:
    "A world, an exported bundle of it, and every spot in both"
    def __init__(self, folder):
        self.folder = Path(folder)
        self.world = lived(self.folder/'world')
        self.store = self.world.store
        self.zip = self.folder/'tiny.zip'
        told = verify('tiny', self.store, export=self.zip, progress=False)
        assert told.exit_code == 0, told
        self.head = f'{told.head["seq"]}:{told.head["digest"]}'
        self.bundle = self.folder/'bundle'
        with ZipFile(self.zip) as z: z.extractall(self.bundle)
        self.db = sqlite3.connect(self.world.folder/'mlflow.db', isolation_level=None)
        self.db.execute('PRAGMA busy_timeout = 5000')
        self.read_world()

    def read_world(self):
        "What stands where, to say which place an audit has to name"
        source = store_source(self.store, 'tiny')
        chain = read_entries(source)[0]
        self.ledger, self.home = source.ledger, {k: run for run in chain.runs for k in source.params(run)}
        self.params = {k: source.params(run)[k] for k, run in self.home.items()}
        self.number = {v['model_id']: n for n, v in source.versions.items()}
        self.evidence = sorted(source.evidence, key=lambda o: source.params(o)['run'])
        self.labels = {o: dict(source.params(o)) for o in source.evidence}
        entries = self.world.book().entries(all=True)
        self.named = {e.evidence['run_id'] for e in entries if e.evidence and e.kind != 'policy'}
        self.pins = {e.evidence['digest']: e for e in entries if e.kind == 'policy'}
        self.last, self.void = max(e.seq for e in entries), [e.seq for e in entries if e.void]
        self.adopted = {e.target['manifest']: e.target['version'] for e in entries if e.kind == 'adopt'}

    # Audits

    def audit(self, medium):
        if medium == 'store': return audit(store_source(self.store, 'tiny'), head=self.head)
        return verify_bundle(self.bundle, head=self.head, progress=False)

    # Spots

    def spots(self): return [*self.file_spots('store'), *self.file_spots('bundle'), *self.param_spots('store'), *self.param_spots('bundle'), *self.row_spots(), *self.top_spots(), *self.wide_spots()]

    def roots(self, medium):
        "Folders of models, evidence and pins"
        top = self.world.folder/'mlartifacts'
        if medium == 'bundle': return [self.bundle/kind/id for kind in ('models', 'adopted', 'evidence', 'pins') if (self.bundle/kind).is_dir() for id in sorted(os.listdir(self.bundle/kind))]
        kept = top/'mlops_kit/ledgers/tiny'
        models = [p.parent for p in sorted(top.rglob('MLmodel')) if any(o in p.parts for o in self.number)]
        return models + [top/'mlops_kit/evidence/tiny'/e/'artifacts' for e in self.evidence] + [kept/self.ledger/'artifacts/adopted'/m for m in self.adopted] + [
            kept/e.evidence['run_id']/'artifacts/pins'/p for p, e in self.pins.items()]

    def of_root(self, root):
        "What a folder is: its id, kind, order and the place that an audit has to name"
        id = root.parent.name if root.name == 'artifacts' else root.name
        n = self.number.get(id) or int(id if root.parent.name == 'models' else 0)
        if n: return id, 'model', n, f'version {n}'
        if id in self.adopted: return id, 'adopted', 0, f'version {self.adopted[id]}'
        if id in self.labels: return id, 'evidence', self.evidence.index(id), f'evidence {id[:8]}'
        return id, 'pin', 0, f'entry {self.pins[id].seq}'

    def file_spots(self, medium):
        for root in self.roots(medium):
            id, what, order, place = self.of_root(root)
            if what in ('model', 'evidence'): yield folder_spot(medium, f'all of a {what}', root, '', order, (place,))
            for p in sorted(root.rglob('*')):
                if not p.is_file(): continue
                rel = p.relative_to(root).as_posix()
                if what == 'evidence' and (rel in ('decision.json', 'history.json', 'dossier.html') or rel.startswith('decisions/')): continue
                kind = 'manifest' if rel.endswith('manifest.json') else 'model file' if what in ('model', 'adopted') else 'pin' if what == 'pin' else kind_of(rel)
                yield file_spot(medium, kind, p, rel, order, (place,), f'{place} {rel}')
        if medium == 'bundle':
            for p in sorted((self.bundle/'runs').glob('*.json')):
                yield file_spot(medium, 'params of a run', p, '', 0, (f'runs/{p.name}', p.stem, p.stem[:8]) + (('the ledger',) if p.stem in self.home.values() else ()), p.name)
            yield file_spot(medium, 'table of contents', self.bundle/'bundle.json', '', 0, ('bundle.json',), 'bundle.json')

    def param(self, medium, run, key):
        "How a param is read and written"
        if medium == 'store':
            def get():
                row = self.db.execute('SELECT value FROM params WHERE run_uuid = ? AND key = ?', (run, key)).fetchone()
                return row and row[0].encode()
            def put(raw):
                self.db.execute('DELETE FROM params WHERE run_uuid = ? AND key = ?', (run, key))
                if raw is not None: self.db.execute('INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)', (key, raw.decode(), run))
            return get, put
        path = self.bundle/'runs'/f'{run}.json'
        def read(): return json.loads(path.read_text())
        def get(): return (v := read().get(key)) and v.encode()
        def put(raw): self.put_params(run, {k: v for k, v in read().items() if k != key} | ({} if raw is None else {key: raw.decode()}))
        return get, put

    def put_params(self, run, params):
        "Write the params of a run of the bundle, and the table of contents to fit, as a forger would"
        top = self.bundle/'bundle.json'
        d = json.loads(top.read_text())
        write_file(self.bundle/'runs'/f'{run}.json', text := member_text(params))
        write_file(top, member_text(sealed(d | dict(runs=d['runs'] | {run: digest(text)}))))

    def param_spots(self, medium):
        for key in self.params:
            seq = int(key.split('-')[1])
            kind, ops = ('entry', OPS) if key.startswith('seq') else ('mark of completion', ('truncate', 'swap', 'replay'))
            if kind == 'entry': kind = f'entry: {json.loads(self.params[key]).get("kind")}'
            place = (f'entry {seq}', f'entries {seq} ') + (('the ledger',) if kind == 'entry: note' else ()) # Behind it lies a run that nobody finds without it
            get, put = self.param(medium, self.home[key], key)
            yield Spot(medium, kind, key, kind.split(':')[0], seq, get, put, place, ops, True)
            if kind == 'mark of completion': yield Spot(medium, 'digest in a mark', key, 'digest', seq, *inner(get, put, 'entry'), place, ('flip', 'truncate', 'delete'), True)
        for order, run in enumerate(self.evidence):
            for key in self.labels[run]:
                yield Spot(medium, 'label of evidence', f'{run[:8]} {key}', f'label {key}', order, *self.param(medium, run, key), (f'evidence {run[:8]}',), OPS if run in self.named or key != 'manifest' else OPS[:1] + OPS[2:], True)

    def cell(self, table, where, column):
        "How a cell of a row is read and written; a deleted one is a deleted row"
        columns = [r[1] for r in self.db.execute(f'PRAGMA table_info({table})')]
        match = ' AND '.join(f'{k} = ?' for k in where)
        row = self.db.execute(f'SELECT * FROM {table} WHERE {match}', [*where.values()]).fetchone()
        number = isinstance(row[columns.index(column)], int)
        def get():
            found = self.db.execute(f'SELECT {column} FROM {table} WHERE {match}', [*where.values()]).fetchone()
            return found and str(found[0]).encode()
        def put(raw):
            self.db.execute(f'DELETE FROM {table} WHERE {match}', [*where.values()])
            if raw is None: return
            value = raw.decode()
            new = dict(zip(columns, row)) | {column: int(value) if number and value.isdecimal() else value}
            self.db.execute(f'INSERT INTO {table} VALUES ({",".join("?" * len(columns))})', [*new.values()])
        return get, put

    def row_spots(self):
        for model_id, n in self.number.items():
            place, where = (f'version {n}', 'alias candidate', f'tiny/{n}', 'the versions of `tiny`'), dict(name='tiny', version=n)
            twice = self.db.execute('SELECT source = storage_location FROM model_versions WHERE name = ? AND version = ?', ('tiny', n)).fetchone()[0]
            for column in ('creation_time', 'source', 'storage_location'):
                yield Spot('store', 'row of a version', f'{n} {column}', f'version {column}', n, *self.cell('model_versions', where, column), place, OPS, True, int(twice and column == 'storage_location'))
            yield Spot('store', 'row of a model', f'{n} artifact_location', 'model', n, *self.cell('logged_models', dict(model_id=model_id), 'artifact_location'), (*place, model_id), OPS, True)
        yield Spot('store', 'binding of the ledger', 'artifact_location', 'binding', 0, *self.cell('experiments', dict(name='mlops_kit/ledger/tiny'), 'artifact_location'), ('mlops_kit/ledger/tiny', 'ledger', 'the run'), ('flip', 'truncate'), True)
        for order, alias in enumerate(('candidate', 'champion')):
            yield Spot('store', 'alias', alias, 'alias', order, *self.cell('registered_model_aliases', dict(name='tiny', alias=alias), 'version'), (f'alias {alias}', 'the aliases of'), OPS, True)
        for run in self.evidence:
            yield Spot('store', 'row of evidence', run[:8], 'run', 0, *self.cell('runs', dict(run_uuid=run), 'artifact_uri'), (f'evidence {run[:8]}', run), ('flip', 'truncate', 'swap', 'delete')[:4 if run in self.named else 3], True)

    def top(self, *keys):
        "How a field of a bundle's table of contents is read and written"
        path = self.bundle/'bundle.json'
        def get():
            d = json.loads(path.read_text())
            for k in keys: d = d.get(k) if isinstance(d, dict) else None
            return None if d is None else json.dumps(d).encode()
        def put(raw):
            top = d = json.loads(path.read_text())
            for k in keys[:-1]: d = d.setdefault(k, {})
            d.pop(keys[-1], None)
            if raw is not None:
                try: d[keys[-1]] = json.loads(raw)
                except ValueError: d[keys[-1]] = raw.decode()
            path.write_text(member_text(sealed(top)))
        return get, put

    def top_spots(self):
        "What a bundle says of aliases and versions"
        def spot(kind, name, place, *keys):
            group, order = keys[-1] if len(keys) != 2 else keys[0], int(keys[1]) if keys[1:] and keys[1].isdecimal() else 0
            return Spot('bundle', kind, name, f'{kind} {group}', order, *self.top(*keys), (*place, 'bundle.json'), OPS, True)
        for alias in ('candidate', 'champion'): yield spot('alias', alias, (f'alias {alias}',), 'aliases', alias)
        for n in self.number.values():
            for key in ('model_id', 'created', 'elsewhere'): yield spot('row of a version', f'{n} {key}', (f'version {n}', 'models/'), 'versions', str(n), key)
            yield spot('row of a version', f'{n}', (f'version {n}', 'models/', 'alias candidate'), 'versions', str(n))
        for key in ('model', 'ledger'): yield spot('table of contents', key, ('entry', self.ledger, 'run'), key)

    def wide_spots(self):
        "Cut off the last entries, with their marks and what they did to the aliases: only the head that was kept tells"
        for medium in ('store', 'bundle'):
            for n in range(self.last, 1, -1):
                yield Spot(medium, 'the ledger cut off', f'before entry {n}', 'cut', n, *self.cut(medium, n), ('the ledger',), ('delete',))

    def cut(self, medium, n):
        "Entries, marks and aliases from an entry on: without them the ledger is as it was before"
        heads = read_entries(store_source(self.store, 'tiny'), n - 1)[0].heads
        spots = [self.param(medium, self.home[k], k) for k in self.params if int(k.split('-')[1]) >= n]
        for alias in ('candidate', 'champion'):
            get, put = self.alias(medium, alias)
            back = str(heads[alias].target['version']).encode() if alias in heads else None
            spots.append((get, lambda raw, put=put, back=back: put(back if raw is None else raw)))
        def get(): return [get() for get, _ in spots]
        def put(values):
            for (_, put), v in zip(spots, values or [None]*len(spots)): put(v)
        return get, put

    def alias(self, medium, alias): return self.cell('registered_model_aliases', dict(name='tiny', alias=alias), 'version') if medium == 'store' else self.top('aliases', alias)

    # Mutations

    def mutate(self, spot, op, spots, rng):
        "Do it; return what puts everything back, or None where there is nothing to change"
        old = spot.get()
        if old is None: return None
        others = [o for o in spots if o.medium == spot.medium and o.group == spot.group and o is not spot and (op == 'swap' or o.order < spot.order)]
        if op in ('swap', 'replay'):
            other = rng.choice(others) if others else None
            new = other and other.get()
            if new is None or new == old: return None
            spot.put(new)
            if op == 'swap': other.put(old)
            self.also = other.place if op == 'swap' else ()
            def undo():
                spot.put(old)
                if op == 'swap': other.put(new)
            return undo
        self.also = ()
        if op in ('flip', 'truncate') and not old: return None
        spot.put({'delete': lambda: None, 'truncate': lambda: old[:rng.randrange(spot.least, len(old))], 'flip': lambda: flipped(old, rng, spot.text)}[op]())
        return (lambda: spot.put(old)) if spot.get() != old else None

    def named_right(self, spot, found):
        "Tell whether an audit, or the error that it ended with, names a place that was changed"
        said = [str(found)] if isinstance(found, Exception) else [f'{f.where} {f.said}' for f in found.broken + found.unchecked]
        return any(p in f'{o} ' for o in said for p in spot.place + tuple(self.also))

    def one(self, spot, op, spots, rng):
        "One mutation: None where there was nothing to change, else what was found"
        undo = self.mutate(spot, op, spots, rng)
        if not undo: return None
        try: found = self.audit(spot.medium)
        except MlopsKitError as e: found = e
        except Exception as e: return f'{spot}, {op}: CRASHED: {type(e).__name__} {e}'
        finally: undo()
        ok = isinstance(found, Exception) or found.exit_code in (1, 3)
        if ok and self.named_right(spot, found): return 'detected'
        return f'{spot}, {op}: ' + ('not named: ' + '; '.join([str(found)] if isinstance(found, Exception) else [repr(f) for f in found.broken + found.unchecked][:4]) if ok else 'NOT DETECTED')

    def run(self, mutations, seed, progress=False):
        from tqdm import tqdm
        rng, spots, start = random.Random(seed), [*self.spots()], time.time()
        todo = [(s, op) for s in spots for op in s.ops]
        rng.shuffle(todo)
        by, missed, done, media = {}, [], 0, {}
        with tqdm(total=mutations, file=sys.stderr, disable=not progress) as bar:
            while done < mutations:
                if not todo: todo = [(s, op) for s in rng.sample(spots, len(spots)) for op in ('flip', 'truncate') if op in s.ops]
                spot, op = todo.pop()
                found = self.one(spot, op, spots, rng)
                if not found: continue
                done += 1
                bar.update()
                kind = by.setdefault(spot.kind.split(':')[0], {})
                kind[op] = kind.get(op, 0) + 1
                media[spot.medium] = media.get(spot.medium, 0) + 1
                if found != 'detected': missed.append(found)
        for medium in ('store', 'bundle'): assert self.audit(medium).exit_code == 0, f'the {medium} was not put back'
        return dict(mutations=done, detected=done - len(missed), missed=missed, seconds=round(time.time() - start, 1), seed=seed, media=media, spots=len(spots), kinds=by)

    # What may be changed

    def harmless(self):
        "Change what may be changed; the reasons whose change an audit complained of"
        return {why: HARMLESS[why] for why, do in self.may_change() if not self.stays(do)}

    def stays(self, do):
        undo = do()
        try: return all(self.audit(medium).exit_code == 0 for medium in ('store', 'bundle'))
        finally: undo()

    def may_change(self):
        evidence = self.world.folder/'mlartifacts/mlops_kit/evidence/tiny'
        def write(path, raw):
            old = path.read_bytes()
            path.write_bytes(raw)
            return lambda: path.write_bytes(old)
        def sql(do, *args):
            "Change rows, and put back the whole database"
            kept = sqlite3.connect(':memory:')
            self.db.backup(kept)
            self.db.execute(do, args)
            return lambda: kept.backup(self.db)
        def param(key, change):
            get, put = self.param('store', self.home[key], key)
            old = get()
            put(change(old))
            return lambda: put(old)
        done = max(k for k in self.params if k.startswith('done'))
        for p in sorted(evidence.glob('*/artifacts/decision.json')) + sorted(evidence.glob('*/artifacts/history.json')): yield 'decision.json, history.json', lambda p=p: write(p, b'{}')
        yield 'mark of completion, deleted', lambda: param(done, lambda o: None)
        yield 'mark of completion, time or token', lambda: param(done, lambda o: json.dumps(json.loads(o) | dict(token='0'*32), separators=(',', ':'), sort_keys=True).encode())
        for column in ('description', 'user_id', 'current_stage', 'run_link', 'status_message'): yield 'row of a version, for display', lambda c=column: sql(f"UPDATE model_versions SET {c} = 'x'")
        yield 'row of a version, for display', lambda: sql('UPDATE model_versions SET last_updated_time = 1')
        for nothing in ("''", 'NULL'): yield 'row of a version, its second address left out where it is the first one', lambda o=nothing: sql(f'UPDATE model_versions SET storage_location = {o} WHERE storage_location = source')
        yield 'tags', lambda: sql("UPDATE model_version_tags SET value = 'x'")
        yield 'tags', lambda: sql("UPDATE tags SET value = 'x'")
        yield 'metrics and params of the training run', lambda: sql("UPDATE params SET value = 'x' WHERE key LIKE 'decisiontree%'")
        free = next(o for o in self.evidence if o not in self.named)
        yield 'evidence that no entry names, all of it', lambda: sql("UPDATE runs SET lifecycle_stage = 'deleted' WHERE run_uuid = ?", free)
        yield 'evidence that no entry names, all of it', lambda: sql("DELETE FROM params WHERE run_uuid = ? AND key = 'manifest'", free)
        yield 'alias that the policy does not know', lambda: sql("INSERT INTO registered_model_aliases VALUES ('mine', 1, 'tiny', 'default')")


def inner(get, put, key):
    "How one field of a JSON value is read and written"
    pack = lambda d: json.dumps(d, separators=(',', ':'), sort_keys=True).encode()
    return lambda: (d := json.loads(get())).get(key) and d[key].encode(), lambda raw: put(pack({k: v for k, v in json.loads(get()).items() if k != key} | ({} if raw is None else {key: raw.decode()})))


def flipped(raw, rng, text=False):
    "Flip one bit; in text, one that leaves it text"
    i = rng.randrange(len(raw))
    bits = [b for b in range(8) if not text or 32 <= raw[i] ^ 1 << b < 127]
    return raw[:i] + bytes([raw[i] ^ 1 << rng.choice(bits)]) + raw[i + 1:]


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--mutations', type=int, default=2000)
    p.add_argument('--seed', type=int, default=1)
    p.add_argument('--out', help='where the figures go, as JSON')
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as tmp:
        fuzz = Fuzz(tmp)
        found = fuzz.run(a.mutations, a.seed, progress=True)
        found['harmless'], found['complained'] = HARMLESS, fuzz.harmless()
    if a.out: Path(a.out).write_text(to_json(found) + '\n')
    for o in found['missed']: print(o)
    print(f'{found["detected"]} of {found["mutations"]} mutations detected and named, in {found["seconds"]} s; {len(found["complained"])} harmless changes complained of')
    sys.exit(int(bool(found['missed'] or found['complained'])))


if __name__ == '__main__': main()
