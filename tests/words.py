"""Run the scenes of the kit with the words of its literals altered, and say how each ended.

`python tests/words.py FOLDER [FROM TO]` alters the literals FROM to TO, all unless given, none for `0 0`, and prints one JSON document: how many there
are, which, and how each scene ended. What a scene says is compared by exit codes, statuses, decisions and codes, never by sentences."""
import ast
import importlib.abc
import importlib.machinery
import json
import os
import re
import sys
from pathlib import Path

WORDS = re.compile(r"[^\W\d_]{2,}[,;:.]? +(\S+ +)*?[^\W\d_]{2,}")
CODE = re.compile(r"</?[a-z!]|^\s*(select|with|create|insert|update|delete|alter|set|pragma|explain)\b|\bLIKE '|= '|\bimport \w+[\n;]|^[\w.-]+:[\w-]+;|\(\?[:=!i]|\\[wsd]|^#\||\bDESC$|^[a-z_]+ = \w+$|^[a-z0-9_ ]*_[a-z0-9_ ]*$", re.I) # HTML, SQL, Python, CSS, patterns, lists of names
VALUES = {'rolled back', 'waiting for approval', 'process only'} # Kept in ledgers and files: values, not sentences
READS = {'compile', 'match', 'search', 'fullmatch', 'sub', 'findall', 'finditer', 'split'} # Of `re`: a pattern is code


def altered(text, ticked=False):
    "Each letter the next one; what stands between backticks or braces stays. Also says whether a backtick is still open."
    out, braces = [], 0
    for c in text:
        if c == '`': ticked = not ticked
        braces += (c == '{') - (c == '}')
        keep = ticked or braces > 0 or not c.isascii() or not c.isalpha()
        out.append(c if keep else chr((ord(c.lower()) - 96) % 26 + 97) if c.islower() else chr((ord(c) - 64) % 26 + 65))
    return ''.join(out), ticked


PATTERNS = {'FOREIGN'} # Words of foreign libraries, in tables of patterns


class Alter(ast.NodeTransformer):
    "Alter the literals of words whose number is chosen"
    def __init__(self, room, chosen, seen): self.room, self.chosen, self.seen = room, chosen, seen

    def take(self, text, line):
        if not WORDS.search(text) or CODE.search(text) or text in VALUES: return False
        self.seen.append(f'{self.room}.py:{line}: {text[:90]!r}')
        return self.chosen(len(self.seen) - 1)

    def visit_Constant(self, node):
        if isinstance(node.value, str) and self.take(node.value, node.lineno): return ast.copy_location(ast.Constant(altered(node.value)[0]), node)
        return node

    def visit_JoinedStr(self, node):
        for part in node.values:
            if isinstance(part, ast.FormattedValue): part.value = self.visit(part.value)
        parts = [o for o in node.values if isinstance(o, ast.Constant)]
        if not self.take('X'.join(o.value for o in parts), node.lineno): return node
        ticked = False
        for o in parts: o.value, ticked = altered(o.value, ticked)
        return node

    def visit_Assign(self, node): return node if getattr(node.targets[0], 'id', '') in PATTERNS else self.generic_visit(node)

    def visit_Expr(self, node): return node if isinstance(node.value, ast.Constant) else self.generic_visit(node) # Docstrings

    def visit_Call(self, node):
        if isinstance(node.func, ast.Attribute) and node.func.attr == 'split' and isinstance(node.func.value, ast.Constant): return node # A list of names
        if isinstance(node.func, ast.Attribute) and getattr(node.func.value, 'id', '') == 're' and node.func.attr in READS:
            node.args = node.args[:1] + [self.visit(o) for o in node.args[1:]]
            return node
        return self.generic_visit(node)


class Finder(importlib.abc.MetaPathFinder):
    "Find the rooms of the kit, and alter their words before they run"
    def __init__(self, chosen): self.chosen, self.seen = chosen, []

    def find_spec(self, name, path, target=None):
        if not name.startswith('mlops_kit.'): return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec and isinstance(spec.loader, importlib.machinery.SourceFileLoader): spec.loader = Loader(spec.loader.name, spec.loader.path, self)
        return spec


def room_of(path):
    "The name of a room, such as `ledger` or `gates.worker`"
    parts = Path(path).with_suffix('').parts
    return '.'.join(parts[len(parts) - parts[::-1].index('mlops_kit'):])


def rooms():
    "Every module of the package"
    import mlops_kit
    return sorted(p for p in Path(mlops_kit.__file__).parent.rglob('*.py') if not p.name.startswith('_'))


class Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name, path, finder):
        super().__init__(name, path)
        self.finder = finder

    def get_code(self, name):
        room = room_of(self.path)
        tree = Alter(room, lambda n: self.finder.chosen(f'{room}', n), seen := []).visit(ast.parse(self.get_data(self.path)))
        self.finder.seen += seen
        return compile(ast.fix_missing_locations(tree), self.path, 'exec')


def literals():
    "Every literal of words of the package, in the order of rooms"
    found = []
    for p in rooms():
        seen = []
        Alter(room_of(p), lambda n: False, seen).visit(ast.parse(p.read_bytes()))
        found += [(room_of(p), n, o) for n, o in enumerate(seen)]
    return found


TEAM = '''model: tiny
task: binary
target: late
owner: Ana Silva
signing: {required: true}
waivers: {max_days: 90}
stages: {champion: {gates: [contract, data_quality, drift, performance], approvals: {required: 1, roles: [risk]}}, challenger: {gates: [performance]}}
gates: {performance: {min_rows: 10, metrics: {roc_auc: {min: 0.6}}}, drift: {mode: warn}, data_quality: {mode: warn}}
'''
CONTRACT = '''kind: DataContract
apiVersion: v3.1.0
id: tiny
name: tiny
version: 1.0.0
status: active
schema:
  - name: tiny
    properties:
      - {name: hour, logicalType: number, required: true}
      - {name: wind, logicalType: number}
      - {name: late, logicalType: integer}
    quality:
      - {name: rows, metric: rowCount, mustBeGreaterOrEqualTo: 5, description: no run was stopped}
'''


def scenes(folder):
    "How each scene ends: codes and values alone"
    from datetime import date, timedelta
    from mlops_kit.audit import verify, verify_bundle
    from mlops_kit.core import MlopsKitError
    from mlops_kit.promotion import status
    from mlops_kit.store import set_alias
    from world import World
    ended, world = {}, World(Path(folder)/'world').furnish()
    os.environ['MLOPS_KIT_KEY'] = str(world.key)
    world.policy.write_text(TEAM)
    for name in ('Ben Ode', 'Dee Fox'): world.person(name, 'risk')
    contract = world.folder/'tiny.odcs.yaml'
    contract.write_text(CONTRACT)

    def told(o):
        "The values of an answer"
        name = type(o).__name__
        if name == 'Decision':
            gates = [[v.gate, v.status, sorted((c.id, c.status, c.reason) for c in v.checks)] for v in o.verdicts]
            return [o.decision, o.exit_code, bool(o.entry), [bool(w['why']) for w in o.waivers], gates]
        if name == 'Audit': return [o.exit_code, sorted(f'{f.what} {f.ok}' for f in o.checks)] # Evidence is listed by its random id
        if name == 'Status': return [o.exit_code, [[s.state, bool(s.conflict), bool(s.next)] for s in o.models]]
        if name == 'Received': return [o.exit_code, len(o.taken), len(o.refused), o.known]
        return [name, getattr(o, 'exit_code', None)]

    def scene(name, act):
        try: ended[name] = told(act())
        except MlopsKitError as e:
            ended[name] = [type(e).__name__, e.exit_code]
            print(name, e, file=sys.stderr)
        try: ended[f'{name}: status'] = told(status('tiny', world.store))
        except MlopsKitError as e: ended[f'{name}: status'] = [type(e).__name__, e.exit_code]
        ended[f'{name}: entries'] = [[e.kind, e.void.code if e.void else ''] for e in world.book().entries(all=True)]

    soon, past = str(date.today() + timedelta(days=5)), '2020-01-01'
    scene('no model', lambda: world.promote('tiny/1'))
    register = lambda n, **kwargs: scene(f'register {n}', lambda: world.register(contract=contract, **kwargs))
    register(1)
    scene('no evidence', lambda: world.promote('tiny/1'))
    scene('judge 1', lambda: world.judge('tiny/1'))
    scene('waits', lambda: world.promote('tiny/1'))
    scene('wait for the other alias', lambda: world.judge('tiny/1', to='challenger'))
    scene('object', lambda: world.says('reject', 'benrisk', 'tiny/1', reason='not yet'))
    scene('objected', lambda: world.promote('tiny/1'))
    scene('withdraw', lambda: world.says('withdraw', 'benrisk', 'tiny/1'))
    scene('author agrees', lambda: world.says('approve', 'ana', 'tiny/1'))
    scene('agree', lambda: world.says('approve', 'deerisk', 'tiny/1'))
    scene('agree again', lambda: world.says('approve', 'deerisk', 'tiny/1'))
    scene('dry', lambda: world.promote('tiny/1', dry_run=True))
    scene('promote 1', lambda: world.promote('tiny/1'))
    scene('promote again', lambda: world.promote('tiny/1'))
    register(2, upside_down=True)
    scene('judge 2', lambda: world.judge('tiny/2'))
    scene('refused', lambda: world.promote('tiny/2'))
    scene('waive in the past', lambda: world.says('waive', 'benrisk', 'tiny/2', gate='performance', until=past, reason='a strike'))
    scene('waive', lambda: world.says('waive', 'benrisk', 'tiny/2', gate='performance', until=soon, reason='a strike'))
    scene('agree 2', lambda: world.says('approve', 'deerisk', 'tiny/2'))
    scene('promote 2', lambda: world.promote('tiny/2'))
    scene('verify', lambda: verify('tiny', world.store, progress=False, export=world.folder/'tiny.zip'))
    scene('verify a bundle', lambda: verify_bundle(world.folder/'tiny.zip', progress=False))
    scene('expected another', lambda: world.rollback(expect=1))
    scene('roll back', lambda: world.rollback(reason='it is blocked by the bank'))
    scene('roll back too far', lambda: world.rollback(to=9))
    register(3)
    scene('moved by hand', lambda: set_alias(world.store, 'tiny', 'champion', 3))
    scene('in conflict', lambda: world.promote('tiny/3'))
    scene('roll back in conflict', lambda: world.rollback())
    scene('load in conflict', lambda: verify('tiny', world.store, progress=False))
    scene('reconcile', lambda: world.reconcile())
    scene('outdated evidence', lambda: world.promote('tiny/2'))
    world.policy.write_text(TEAM.replace('min: 0.6', 'min: 0.5'))
    scene('another policy', lambda: world.judge('tiny/3'))
    scene('other rules wait', lambda: world.promote('tiny/3'))
    world.policy.write_text(TEAM.replace('min_rows', 'min_row'))
    scene('a broken policy', lambda: world.promote('tiny/3'))
    world.policy.write_text(TEAM)
    scene('inbox', lambda: world.make_inbox())
    scene('hand in', lambda: world.hand_in('reject', 'benrisk', 'tiny/1', reason='was stopped', rollback=True))
    scene('receive', lambda: world.receive())
    tamper(world, scene, lambda: verify('tiny', world.store, progress=False))
    return ended


def tamper(world, scene, look):
    "What somebody does to a store, and what an audit finds"
    import sqlite3
    from mlops_kit.entry import ENTRY, Entry, identity, key_of_seq
    from mlops_kit.evidence import canonical, read_key, sign
    from mlops_kit.ledger import signed_entry
    from mlops_kit.store import log_param_once
    chain, key = world.book().read()[0], read_key(world.folder/'benrisk.pem')
    for name, gap, signed in [('a stranger', 0, False), ('a signed word behind a gap', 2, True)]:
        e = signed_entry(Entry(0, 'reject', 'tiny', 'champion', target=identity(chain.heads['candidate'].target), decision='rejected', reason='no'), chain, chain.pin['keys'], key)
        e.seq += gap
        e.signature = sign(e.signed, key, ENTRY)['signatures'][0]['sig'] if signed else 'ab'
        log_param_once(world.store, chain.runs[-1], key_of_seq(e.seq), canonical(e.body).decode())
        scene(name, look)
    with sqlite3.connect(world.folder/'mlflow.db') as db: db.execute("UPDATE params SET value = replace(value, 'not yet', 'not now') WHERE key LIKE 'seq-%'")
    scene('a changed entry', look)
    named = next(e.evidence['run_id'] for e in chain.moves['champion'] if e.kind == 'promote') # Always of the same scene: folders have random names
    verdict = next(o for o in sorted((world.folder/'mlartifacts').rglob('drift/verdict.json')) if named in o.parts)
    verdict.write_text(verdict.read_text().replace('"pass"', '"warn"', 1))
    scene('a changed verdict', look)


if __name__ == '__main__':
    folder, chosen = sys.argv[1], {(room, n) for room, n, _ in literals()[int(sys.argv[2]):int(sys.argv[3])]} if len(sys.argv) > 2 else None
    for name in [o for o in sys.modules if o.startswith('mlops_kit')]: del sys.modules[name]
    sys.meta_path.insert(0, Finder(lambda room, n: chosen is None or (room, n) in chosen))
    print(json.dumps(scenes(folder)))
