"""Several processes promote and roll back the same model at once; each decision stands in the ledger once, or not at all.

    python tests/torture/race.py --store sqlite|postgres|server|server+postgres --processes 8 --decisions 200 --out FILE.json [--kills 20] [--proxy 0.03]
"""
import argparse
import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
import warnings
from collections import Counter
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from mlops_kit.core import EXIT, MlopsKitError, write_file
from torture.checks import broken
from world import POLICY, PRELOAD, World

VERSIONS = 4


class Racer(World):
    "One of several who decide about the same model, with a key and a folder of runs of their own"
    def __init__(self, folder, address, name, number):
        super().__init__(folder, address, name)
        self.key, self.runs = person(self, number), self.folder/'runs'/str(number)
        os.environ['MLOPS_KIT_KEY'] = str(self.key)

    def attempt(self, dice, reason):
        "Decide something, by chance: a judged promotion or a way back"
        holds = self.alias()
        if dice.random() < .1: return self.rollback(reason=reason)
        ref = f'{self.name}/{dice.choice([o for o in range(1, VERSIONS+1) if o != holds])}'
        self.judge(ref)
        d = self.promote(ref, reason=reason)
        if d.decision == 'conflict' and 'settle it' in d.reasons[-1]: self.reconcile()
        return d


def person(world, number): return world.folder/f'p{number}.pem'


def race(folder, address, name, number, seed, goal, count, barrier, says):
    "Decide until all together have decided often enough; write down what one was told, line by line"
    warnings.simplefilter('ignore')
    world, dice, n = Racer(folder, address, name, number), random.Random(f'{seed} {number}'), 0
    if barrier: barrier.wait(120)
    while count.value < goal:
        reason, n = f'{number}.{seed}.{n}', n+1
        with open(says, 'a', buffering=1) as f:
            f.write(json.dumps(dict(reason=reason)) + '\n')
            mine, told = answered(lambda: world.attempt(dice, reason), reason)
            f.write(json.dumps(dict(reason=reason) | told) + '\n')
        if mine:
            with count.get_lock(): count.value += 1


def answered(fn, reason):
    "Whether a decision of one's own was written, and what one was told"
    try: d = fn()
    except MlopsKitError as e: return False, dict(code=e.exit_code, said=str(e))
    mine = bool(d.entry) and d.entry['reason'] == reason
    said = dict(code=d.exit_code, decision=d.decision, said='; '.join(d.reasons))
    return mine, said | dict(seq=d.entry['seq'], token=d.entry['token']) if mine else said


def together(world, processes, goal, seed=0, kills=0, proxy=None, seconds=3600):
    "Race, through a proxy if there is one; what each attempt was told, and how many were killed"
    ctx = multiprocessing.get_context('forkserver')
    ctx.set_forkserver_preload(PRELOAD)
    count, barrier, dice, killed = ctx.Value('i', 0), ctx.Barrier(processes), random.Random(seed), 0
    says = world.folder.with_name('says')
    says.mkdir(exist_ok=True)
    start = lambda n, again=0: ctx.Process(target=race, args=(str(world.folder), proxy.address if proxy else world.address, world.name, n, seed + 1000*again, goal, count, None if again else barrier, str(says/f'{n}-{again}.jsonl')))
    running, end = {n: start(n) for n in range(processes)}, time.monotonic() + seconds
    for p in running.values(): p.start()
    while any(p.is_alive() for p in running.values()):
        assert time.monotonic() < end, f'{count.value} of {goal} decisions after {seconds} s'
        time.sleep(.2)
        if proxy and random.random() < .1: proxy.release()
        if count.value*(kills+1) > goal*(killed+1) and killed < kills:
            n, killed = dice.randrange(processes), killed+1
            running[n].kill()
            running[n].join()
            running[n] = start(n, killed)
            running[n].start()
    assert all(p.exitcode == 0 for p in running.values()), [p.exitcode for p in running.values()]
    return [json.loads(line) for f in sorted(says.glob('*.jsonl')) for line in f.read_text().splitlines()], killed


def counted(lines):
    "Count what the attempts were told"
    ended = [o for o in lines if 'code' in o]
    names = {v: k for k, v in EXIT.items()}
    kinds = Counter(o['decision'] if 'token' in o else 'nothing to do or done by another' if o['code'] == 0 else f'exit {o["code"]}: {names[o["code"]]}' for o in ended)
    return dict(attempts=len({o['reason'] for o in lines}), answers=dict(sorted(kinds.items())))


def lost(world, lines, first):
    "List decisions that somebody was told of and the ledger does not have, and the other way round"
    entries = [e for e in world.book().entries() if e.kind in ('promote', 'rollback') and e.seq > first]
    told, unsure = [o for o in lines if 'token' in o], {o['reason'] for o in lines} - {o['reason'] for o in lines if o.get('code') in (EXIT['yes'], EXIT['no'])}
    have = Counter((e.seq, e.token) for e in entries)
    yield from (f'decision {o["reason"]} is told as entry {o["seq"]}, and the ledger has another there' for o in told if not have[o['seq'], o['token']])
    yield from (f'{r} stands in the ledger {n} times' for r, n in Counter(e.reason for e in entries).items() if n > 1)
    known = {(o['seq'], o['token']) for o in told}
    yield from (f'entry {e.seq} was told to nobody' for e in entries if (e.seq, e.token) not in known and e.reason not in unsure)


def furnish(world, processes):
    "Everybody has a key; four versions that would do, the first is champion"
    world.furnish()
    for n in range(processes): key_of(world, n)
    for _ in range(VERSIONS): world.register()
    world.judge(f'{world.name}/1')
    assert world.promote(f'{world.name}/1').exit_code == 0
    return world


def key_of(world, number):
    from mlops_kit.evidence import make_key, public_key_file
    public_key_file(make_key(person(world, number), f'Person {number}'), world.folder/'keys')


def raced(world, processes, goal, seed=0, kills=0, proxy=None):
    "Race in a furnished world; what was counted, and what is broken"
    start, first = time.monotonic(), len(world.book().entries(all=True))
    lines, killed = together(world, processes, goal, seed, kills, proxy)
    took = time.monotonic() - start
    if proxy: proxy.release()
    if proxy and world.status().exit_code: world.reconcile()
    world.status()
    entries = world.book().entries()[first:]
    kinds = Counter(e.kind for e in entries)
    wrong = [f'an alias had to be put back {kinds["reconcile"]} times although nobody moved one'] if kinds['reconcile'] and not proxy else []
    lossy = dict(network=dict(sorted(proxy.seen.items()))) if proxy else {}
    found = dict(processes=processes, decisions=kinds['promote'] + kinds['rollback'], **{f'{k}s': kinds[k] for k in ('promote', 'rollback', 'reconcile')}, deciders=len({e.actor for e in entries}), kills=killed, seconds=round(took), **lossy, **counted(lines))
    return found, [*wrong, *lost(world, lines, first), *broken(world)]


# The first version of a new model

def found(folder, address, name, number, barrier, says):
    warnings.simplefilter('ignore')
    world = Racer(folder, address, name, number)
    barrier.wait(120)
    try: v, said = world.register().version, ''
    except MlopsKitError as e: v, said = None, f'exit {e.exit_code}: {e}'
    Path(says).write_text(json.dumps([v, said]))


def founded(world, processes, name='newborn'):
    "Everybody registers the first version of a new model at the same moment; what was counted, and what is broken"
    from mlops_kit.store import list_versions
    ctx = multiprocessing.get_context('forkserver')
    ctx.set_forkserver_preload(PRELOAD)
    before, world = world.policy.read_text(), World(world.folder, world.address, name, world.place)
    barrier, said = ctx.Barrier(processes), [world.folder.with_name(f'founds-{n}.json') for n in range(processes)]
    world.policy.write_text(world.rules(POLICY))
    ps = [ctx.Process(target=found, args=(str(world.folder), world.address, name, n, barrier, str(o))) for n, o in enumerate(said)]
    for p in ps: p.start()
    for p in ps: p.join(300)
    world.policy.write_text(before)
    told = [json.loads(o.read_text()) for o in said]
    entries, there = world.book().entries(all=True), sorted(v.version for v in list_versions(world.store, name))
    wrong = broken(world) + [o for _, o in told if o]
    want = list(range(1, processes+1))
    for what, has in dict(told=sorted(v for v, _ in told if v), versions=there, registrations=sorted(e.target['version'] for e in entries if e.kind == 'register')).items():
        if has != want: wrong.append(f'{what}: {has}')
    if ledgers(world) != 1: wrong.append(f'{ledgers(world)} runs call themselves the ledger')
    return dict(processes=processes, versions=len(there), entries=len(entries), ledgers=ledgers(world)), wrong


def ledgers(world):
    "Count the runs that were made as a ledger of this model and not thrown away"
    c = world.store.client
    return len(c.search_runs([c.get_experiment_by_name(f'mlops_kit/ledgers/{world.name}').experiment_id]))


@contextmanager
def course(kind, processes, folder=None, pg=None):
    "A furnished world in a store of a kind"
    import postgres
    from servers import place
    with ExitStack() as stack:
        folder = Path(folder or stack.enter_context(tempfile.TemporaryDirectory(prefix='race-')))
        pg = pg or ('postgres' in kind and stack.enter_context(postgres.server()))
        world = World(folder/'world', place=stack.enter_context(place(kind, folder/'world', pg)))
        with mock.patch.dict(os.environ, MLOPS_KIT_KEY=str(world.key)): yield furnish(world, processes)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--store', default='sqlite', choices=['sqlite', 'postgres', 'server', 'server+postgres'])
    p.add_argument('--processes', type=int, default=8)
    p.add_argument('--decisions', type=int, default=200)
    p.add_argument('--kills', type=int, default=0, help='processes that are killed meanwhile, and replaced')
    p.add_argument('--proxy', type=float, default=0, help='share of the requests to a server that are lost, of the replies, of what comes late and of what waits')
    p.add_argument('--seed', type=int, default=0)
    p.add_argument('--out', default='')
    args = p.parse_args()
    from torture.proxy import lossy
    os.environ['PYTHONWARNINGS'] = 'ignore'
    warnings.simplefilter('ignore')
    with course(args.store, args.processes) as world:
        birth, wrong = founded(world, args.processes)
        print(birth, wrong, flush=True)
        with lossy(world.address) if args.proxy else nullcontext() as proxy:
            if proxy: proxy.by_chance(args.proxy, args.seed)
            found, bad = raced(world, args.processes, args.decisions, args.seed, args.kills, proxy)
    said = dict(schema='mlops_kit/torture/race/1', store=args.store, seed=args.seed, first_version=birth, **found, broken=wrong + bad)
    if args.out: write_file(args.out, json.dumps(said, indent=1) + '\n')
    print(json.dumps(said, indent=1))
    return bool(wrong + bad)


if __name__ == '__main__': sys.exit(main())
