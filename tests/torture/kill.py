"""Kill every command at every write, and at random moments; then see what the next command leaves.

    python tests/torture/kill.py --store sqlite|postgres|server|server+postgres --out FILE.json [--only promote,rollback] [--random 50]
"""
import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from mlops_kit.core import write_file
from torture.checks import broken, told
from world import POLICY, World, command

TEAM = POLICY.replace('gates: [performance]}', 'gates: [performance], approvals: {required: 1, roles: [risk]}}')
ALONE = POLICY.replace('signing: {required: true}\n', '')
SOON = str(date.today() + timedelta(days=20))
BEN = dict(by='benrisk')


@dataclass
class Scene:
    "One command, and the world that it is killed in"
    what: str # Method of `World`
    kwargs: dict = field(default_factory=dict)
    before: tuple = () # (method, kwargs) of what happens first
    base: str = 'team' # The world that all begins in: 'team' or 'empty'
    code: int = 0 # Exit code of a run that nobody kills
    more: bool = False # Typed again it decides again: a registration is a new version
    conflict: bool = False # A person moved the alias, or set it without the kit, before


def says(kind, ref='tiny/3', **kwargs): return 'says', dict(kind=kind, ref=ref, **BEN) | kwargs


PILOT = dict(ref='tiny/2', gate='performance', reason='a pilot', until=SOON)
CROWNED = says('approve'), ('promote', dict(ref='tiny/3'))
CHANGED = ('changed', dict(old='0.6', new='0.55', ref='tiny/3')),
INBOX = ('make_inbox', {}), ('hand_in_version', dict(upside_down=True)), ('hand_in', dict(kind='approve', ref='tiny/3', **BEN))
PLAIN = ('write', dict(policy=ALONE)), ('register', dict(policy=None)), ('judge', dict(ref='tiny/1'))
SCENES = {
    'register': Scene('register', more=True),
    'register the first': Scene('register', base='empty', more=True),
    'judge': Scene('judge', dict(ref='tiny/3')),
    'approve': Scene(*says('approve')),
    'reject': Scene(*says('reject', reason='no')),
    'withdraw': Scene(*says('withdraw'), before=(says('approve'),)),
    'waive': Scene(*says('waive', **PILOT)),
    'promote': Scene('promote', dict(ref='tiny/3'), before=(says('approve'),)),
    'promote the first': Scene('promote', dict(ref='tiny/1'), base='empty', before=PLAIN),
    'promote what was waived': Scene('promote', dict(ref='tiny/2'), before=(says('waive', **PILOT), says('approve', 'tiny/2'))),
    'refuse': Scene('promote', dict(ref='tiny/2'), code=1),
    'change the policy': Scene('promote', dict(ref='tiny/3'), before=CHANGED),
    'change the policy alone': Scene('change', before=(('agreed', dict(old='0.6', new='0.55')),)),
    'change the keys': Scene('change', before=(('agreed', dict(fired='dee')),)),
    'adopt': Scene('adopt', base='empty', before=(('log', {}),), conflict=True),
    'make an inbox': Scene('make_inbox', base='empty'),
    'hand in a version': Scene('hand_in_version', before=INBOX[:1]),
    'receive': Scene('receive', before=INBOX),
    'roll back': Scene('rollback', before=CROWNED),
    'roll back to': Scene('rollback', dict(to=1), before=CROWNED),
    'reconcile': Scene('reconcile', before=(('by_hand', dict(number=2)),), more=True, conflict=True)}


class Crowd(World):
    "A world with a few more things that can happen in it"
    def agreed(self, old='', new='', fired=None):
        "Change the policy's file or the keys beside it, and have that approved"
        self.policy.write_text(self.policy.read_text().replace(old, new))
        if fired: next((self.folder/'keys').glob(f'{fired}-*.json')).unlink()
        self.says('approve', 'benrisk', self.name, policy=self.policy)

    def changed(self, ref, **kwargs):
        "Change the policy's file, and have that approved, and a version that is judged by it"
        self.agreed(**kwargs)
        self.says('approve', 'benrisk', ref, evidence=self.judge(ref).run)

    def write(self, policy): self.policy.write_text(policy)

    def by_hand(self, number, alias='champion'):
        "What a person does in MLflow's own pages"
        self.store.client.set_registered_model_alias(self.name, alias, str(number))


def furnish(world):
    "Ana registers, Ben and Dee answer for risk; 1 is champion, 2 is upside down, 3 is judged; both bases are kept"
    world.furnish().team(TEAM)
    world.keep(base(world, 'empty'))
    for upside_down in (False, True, False): world.register(upside_down=upside_down)
    world.judge('tiny/1')
    world.says('approve', 'benrisk', 'tiny/1')
    assert world.promote('tiny/1').exit_code == 0
    for n in (2, 3): world.judge(f'tiny/{n}')
    world.keep(base(world, 'team'))
    return world


def base(world, name): return world.folder.with_name(f'{world.folder.name}-{name}')


@dataclass
class Stage:
    "A scene that is set: the world is kept where the command begins"
    world: World
    scene: Scene
    kept: Path
    before: list = None # What was decided before
    after: list = None # What is decided by a run that nobody kills
    writes: list = None # Labels of its writes
    seconds: float = 0 # How long it takes

    def points(self): return [f'{i}{when}' for i in range(1, len(self.writes)+1) for when in ('', ':after')]


def set_stage(world, name):
    "Prepare a scene and run its command once, to number its writes"
    scene, kept = SCENES[name], base(world, 'begin')
    world.restore(base(world, scene.base))
    for what, kwargs in scene.before: getattr(world, what)(**kwargs)
    shutil.rmtree(kept, ignore_errors=True)
    world.keep(kept)
    s = Stage(world, scene, kept, told(world))
    o = command(world, scene.what, **scene.kwargs)
    assert o.code == scene.code and o.writes, (name, o)
    s.after, s.writes, s.seconds = told(world), o.writes, o.seconds
    assert not (wrong := broken(world)), (name, wrong)
    return s


def fits(s, now, most=None):
    "Say whether what was decided so far is a part of what the command decides, and nothing else"
    if s.scene.more: return [] if len(now) <= len(most or s.after) + (most is None) else [f'decided more than once: {now}']
    goal = s.after if most is None else most
    return [] if now == goal[:len(now)] and now[:len(s.before)] == s.before else [f'decided {now}, not {goal}']


def next_command(s, what):
    "Run the next command after a kill, and list what does not hold then"
    before = told(s.world)
    o = command(s.world, s.scene.what, **s.scene.kwargs) if what == 'again' else command(s.world, what)
    after, torn = told(s.world), s.scene.conflict and o.code == 6
    wrong = broken(s.world, conflict=torn) + fits(s, after)
    if what == 'again' and o.code != s.scene.code: wrong.append(f'typed again it ends with {o.code}: {o.said}')
    if what == 'again' and not s.scene.more and after != s.after: wrong.append(f'typed again it has decided {after}, not {s.after}')
    if what == 'again' and s.scene.more and len(after) < len(s.after): wrong.append(f'typed again it has decided {after} only')
    if what != 'again' and (o.code != 6 * torn or after != before): wrong.append(f'`{what}` ends with {o.code} and leaves {after} of {before}: {o.said}')
    return wrong, torn


def killed(s, at='', after=None, then=('again',)):
    "Kill the command once, look at once, and let each of `then` be the next command; what is wrong, and what was counted"
    count, wrong = Counter(), []
    s.world.restore(s.kept)
    o = command(s.world, s.scene.what, crash_at=at, after=after, **s.scene.kwargs)
    if not o.killed: return count, [] if after else [f'{at}: it was not killed']
    count['kills'] = 1
    wrong += [f'{at or after} killed: {w}' for w in broken(s.world, settled=False, conflict=s.scene.conflict) + fits(s, told(s.world))]
    torn = base(s.world, 'torn')
    if len(then) > 1:
        shutil.rmtree(torn, ignore_errors=True)
        s.world.keep(torn)
    for what in then:
        if what == 'again' and finished(s): continue
        if what != then[0]: s.world.restore(torn)
        found, conflict = next_command(s, what)
        count['next commands'] += 1
        count['conflicts'] += conflict
        wrong += [f'{at or after} then {what}: {w}' for w in found]
    return count, wrong


def finished(s):
    "Tell whether only the answer was lost, or what MLflow shows of it: `rollback` without a version, typed again after that, goes further back"
    if s.scene.what != 'rollback' or s.scene.kwargs: return False
    return told(s.world) == s.after and s.world.book().is_done(s.world.book().head('champion'))


def torture(world, only=None, then=('again', 'status', 'history'), points=None, times=0, seed=0, show=lambda o: None):
    "Go through the scenes; what was counted in each, and what is broken"
    found, wrong, dice = {}, [], random.Random(seed)
    for name in only or SCENES:
        start, s, count = time.monotonic(), set_stage(world, name), Counter()
        kills = [dict(at=o) for o in s.points() if not points or o in points] + [dict(after=dice.uniform(0, s.seconds)) for _ in range(times)]
        for kill in kills:
            n, bad = killed(s, then=then, **kill)
            count[('random kills' if 'after' in kill else 'kill points')] += n.pop('kills', 0)
            count.update(n)
            wrong += [f'{name}, {o}' for o in bad]
            for o in bad: show(f'  BROKEN {name}, {o}')
        found[name] = dict(writes=len(s.writes), **{k: count[k] for k in ('kill points', 'random kills', 'next commands', 'conflicts')}, seconds=round(time.monotonic() - start, 1))
        show(f'{name}: {found[name]}')
    return found, wrong


@contextmanager
def crowd(kind, folder=None, pg=None):
    "A furnished world in a store of a kind"
    import postgres
    from servers import place
    with ExitStack() as stack:
        folder = Path(folder or stack.enter_context(tempfile.TemporaryDirectory(prefix='torture-')))
        pg = pg or ('postgres' in kind and stack.enter_context(postgres.server()))
        world = Crowd(folder/'world', place=stack.enter_context(place(kind, folder/'world', pg)))
        with mock.patch.dict(os.environ, MLOPS_KIT_KEY=str(world.key)): yield furnish(world)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--store', default='sqlite', choices=['sqlite', 'postgres', 'server', 'server+postgres'])
    p.add_argument('--only', default='', help='scenes, with commas: ' + ', '.join(SCENES))
    p.add_argument('--next', default='again,status,history', help='what is done after each kill, with commas')
    p.add_argument('--random', type=int, default=0, help='kills of each command at random moments')
    p.add_argument('--seed', type=int, default=0)
    p.add_argument('--out', default='')
    args = p.parse_args()
    start, os.environ['PYTHONWARNINGS'] = time.monotonic(), 'ignore'
    warnings.simplefilter('ignore')
    with crowd(args.store) as world:
        found, wrong = torture(world, [o for o in args.only.split(',') if o], args.next.split(','), times=args.random, seed=args.seed, show=lambda o: print(o, flush=True))
    total = {k: sum(o[k] for o in found.values()) for k in ('kill points', 'random kills', 'next commands', 'conflicts')}
    said = dict(schema='mlops_kit/torture/kill/1', store=args.store, seed=args.seed, **total, seconds=round(time.monotonic() - start), commands=found, broken=wrong)
    if args.out: write_file(args.out, json.dumps(said, indent=1) + '\n')
    print(json.dumps({k: v for k, v in said.items() if k != 'commands'}))
    return bool(wrong)


if __name__ == '__main__': sys.exit(main())
