"""What it costs to write the site of a registry: CPU per promotion as models and promotions grow, in one run.

    python benchmarks/site.py [--promotions 200 500 1000 2000] [--each 10]

Each model was promoted so many times (`--each`) and rolled back once. One version is judged and promoted for real; the
others are told after it: their ledgers are written entry by entry through the ledger, signed and under a pinned policy,
their evidence is that of the first with other names in it, signed and kept in the store like any other. So each page is
a whole dossier, from evidence that was fetched and whose digests and signature were checked. Each build is a process of
its own; CPU counts from the end of the imports.
"""
import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault('MLFLOW_DISABLE_TELEMETRY', 'true')
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT/'benchmarks'), str(ROOT), str(ROOT/'tests')]
OUT, GOAL = ROOT/'benchmarks/out/site.json', 1.1


def once(folder, address):
    "One build in this process: CPU-seconds, and what was written"
    import jinja2
    import rfc8785
    import securesystemslib.dsse
    import yaml
    from mlops_kit import store as room
    from mlops_kit.site import write_site
    store, asked, real = room.connect(address), [], room.Store.call
    room.Store.call = lambda self, *args, **kwargs: asked.append(1) or real(self, *args, **kwargs)
    start = time.process_time()
    found = write_site(folder, store)
    assert not found.unread and jinja2 and rfc8785 and securesystemslib and yaml, found.unread
    print(json.dumps(dict(cpu=time.process_time() - start, questions=len(asked)) | {k: found.to_dict()[k] for k in ('models', 'made', 'kept')}))


def mold(folder):
    "One version judged and promoted for real: its world, its run's folder and its decision"
    from world import World
    world = World(folder).furnish()
    os.environ['MLOPS_KIT_KEY'] = str(world.key)
    world.register()
    world.judge('tiny/1')
    made = world.promote('tiny/1')
    assert made.exit_code == 0, made
    return world, Path(made.run), made


def told(world, run, made, name, each):
    "A model that was promoted so many times and rolled back once"
    from mlops_kit.core import digest, to_json, write_file
    from mlops_kit.evidence import keep, load_keys, read_key, store_evidence
    from mlops_kit.ledger import identity, ledger
    from mlops_kit.policy import load_policy
    from mlops_kit.store import create_model, set_alias, stored
    store, key, policy = world.store, read_key(world.key), load_policy(world.policy)
    book, last, before = ledger(store, name, create=True), None, None
    book.pin(policy, load_keys(world.folder/'keys'), key)
    create_model(store, name)
    for n in range(1, each + 1):
        v = stored(store.client.create_model_version(name, f'{world.folder}/m-{digest(f"{name} {n}")[:32]}'))
        version = dict(name=name, version=n, model_id=v.model_id, created=v.created, manifest=digest(f'{name}/{n}'))
        folder = renamed(run, world.folder/'told'/f'{name}-{n}', version, before, last and last.digest)
        found = store_evidence(store, folder, key)
        last = book.append('promote', 'champion', identity(version), base=before and identity(before), decision='promoted', evidence=found.ref, policy=policy.digest, reason='as measured', key=key)
        d = replace(made, model=name, version=version, base=before, entry=last.to_dict(), evidence=found.ref | dict(signed_by=key.person), run=str(folder), dossier=str(folder/'dossier.html'))
        for k, o in {'decision.json': d, 'history.json': [e.to_dict() for e in book.entries(all=True)]}.items(): write_file(folder/k, to_json(o) + '\n')
        keep(store, folder, found.run_id, ['decision.json', 'history.json'])
        shutil.rmtree(folder)
        if n < each: before = version
    back = book.append('rollback', 'champion', identity(before), base=identity(version), decision='rolled back', policy=policy.digest, reason='refunds spiked', key=key)
    set_alias(store, name, 'champion', before['version'])
    book.done(back)


def renamed(run, to, version, champion, last):
    "The files of a run, about another version"
    shutil.copytree(run, to)
    for o in ('statement.json', 'decision.json', 'history.json', 'dossier.html'): (to/o).unlink(missing_ok=True)
    change = lambda path, **kw: path.write_text(json.dumps(json.loads(path.read_text()) | kw, indent=1, sort_keys=True) + '\n')
    change(to/'run.json', run_id=to.name, version=version, champion=champion, last_decision=last)
    if champion: shutil.copyfile(to/'candidate.json', to/'champion.json')
    for path in to.glob('*/verdict.json'):
        v = json.loads(path.read_text())
        change(path, run_id=to.name, judged=v['judged'] | dict(version=version, manifest=version['manifest']))
    return to


def build(folder, address):
    "One build in a process of its own"
    p = subprocess.run([sys.executable, __file__, '--once', str(folder), address], check=True, capture_output=True, text=True, cwd=folder.parent)
    return json.loads(p.stdout.splitlines()[-1])


def slope(points):
    "The exponent with which the second grows with the first"
    xs, ys = [math.log(x) for x, _ in points], [math.log(y) for _, y in points]
    x, y = sum(xs)/len(xs), sum(ys)/len(ys)
    return sum((a - x)*(b - y) for a, b in zip(xs, ys))/sum((a - x)**2 for a in xs)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--promotions', type=int, nargs='+', default=[200, 500, 1000, 2000])
    p.add_argument('--each', type=int, default=10)
    p.add_argument('--once', nargs=2, help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.once: return once(*a.once)
    rows, models = [], 0
    with TemporaryDirectory() as tmp:
        world, run, made = mold(Path(tmp)/'world')
        for n in sorted(a.promotions):
            while models*a.each < n:
                told(world, run, made, f'model-{models:04d}', a.each)
                models += 1
            site = Path(tmp)/f'site-{n}'
            first, again = build(site, world.address), build(site, world.address)
            rows.append(dict(models=first['models'], promotions=models*a.each + 1, pages=first['made'], cpu=round(first['cpu'], 3), again=round(again['cpu'], 3),
                             questions=first['questions'], questions_again=again['questions']))
            shutil.rmtree(site)
            print(rows[-1], flush=True)
    found = dict(rows=rows, goal=GOAL)
    if len(rows) > 1: found |= dict(exponent=round(slope([(o['promotions'], o['cpu']) for o in rows]), 3), exponent_again=round(slope([(o['promotions'], o['again']) for o in rows]), 3))
    print({k: v for k, v in found.items() if k != 'rows'})
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(found, indent=1) + '\n')
    from fill import fill
    fill()


if __name__ == '__main__': main()
