"""What it costs to write the dossier of seven gates: CPU of the whole process, beside reading and validating the same files, and beside nbconvert.

    python benchmarks/dossier.py [--times 5] [--keep DIR]

A first version is promoted by all seven gates, on a sample of a month of flights; a second one stands against it. Its
dossier is written again and again, each time in a process of its own. Evidently's pages and the executed notebooks,
which lie beside the page, are not counted: one of those notebooks made a page by nbconvert is the peer.
"""
import argparse
import json
import os
import re
import sys
import time
from contextlib import chdir
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

os.environ.setdefault('MLFLOW_DISABLE_TELEMETRY', 'true')
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
OUT, GOAL = HERE/'out'/'dossier.json', 3
STEPS = dict(read='read and validate the verdicts and records', write='write the dossier', notebook='one executed notebook by nbconvert')


def once(step, folder):
    "One step in this process: CPU-seconds from the end of the imports"
    from mlops_kit.dossier import notebook_html, read_record, write_dossier
    if step == 'notebook': import nbconvert # noqa: F401
    start = time.process_time()
    dict(read=read_record, write=write_dossier, notebook=lambda o: notebook_html(o/'performance'/'executed.ipynb'))[step](folder)
    print(json.dumps(time.process_time() - start))


def played(folder, rows):
    "Two versions judged by all seven gates, the second against the first: its run's folder"
    import selftest
    import yaml
    from mlops_kit import demo, promote, register
    given = selftest.furnished(folder, rows)
    rules = yaml.safe_load(given['policy'].read_text())
    rules['gates']['drift']['mode'] = 'warn' # A sample of one month has drifted; the first version has to become champion all the same
    rules['gates']['performance']['slices'] = [dict(by='origin', metrics=dict(roc_auc=dict(min=.55, max_gap=.2)))]
    given['policy'].write_text(yaml.safe_dump(rules, sort_keys=False))
    kw = dict(data=given['data'], policy=given['policy'], out=folder/'runs', store=given['store'], progress=False, as_of=given['as_of'], page=None)
    print(promote(given['version'], **kw), file=sys.stderr)
    again = register(demo.train([folder/'train.parquet'], shuffled=.02), demo.NAME, train=folder/'train.parquet', target=demo.TARGET, test=demo.month_file(folder/'flights', 5), contract=folder/'contract.yaml',
                     policy=given['policy'], features=demo.FEATURES, trusted=demo.TRUSTED, store=given['store'], sources=list(demo.flights_source().values()),
                     intended_use='Tell planners before departure which flights are likely to be late.', limits='Not for flights from elsewhere than New York.', transformation='Flights joined with weather and planes.')
    found = promote(again, **kw)
    print(found, file=sys.stderr)
    return Path(found.run)


def measured(folder, times):
    "Each step so many times, in turn"
    from measure import run
    found = {k: [] for k in STEPS}
    for _ in range(times):
        for k in STEPS: found[k].append(run(HERE/'dossier.py', '--step', k, '--run', folder))
    return {k: dict(cpu=round(median(o['cpu'] for o in runs), 3), work=round(median(o['said'] for o in runs), 3)) for k, runs in found.items()}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--times', type=int, default=5)
    p.add_argument('--rows', type=int, default=3000, help='rows of the sample')
    p.add_argument('--keep', help='an empty folder to work in and to leave; else a temporary one')
    p.add_argument('--step', choices=STEPS, help=argparse.SUPPRESS)
    p.add_argument('--run', help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.step: return once(a.step, Path(a.run))
    with TemporaryDirectory() as tmp:
        work = Path(a.keep or tmp).resolve()
        work.mkdir(parents=True, exist_ok=True)
        with chdir(work): folder = played(work, a.rows)
        found = measured(folder, a.times)
        page, verdicts = (folder/'dossier.html').read_text(encoding='utf-8'), [json.loads(o.read_text()) for o in folder.glob('*/verdict.json')]
    told = dict(steps=found, goal=GOAL, met=found['write']['cpu'] < GOAL, gates=len(verdicts), checks=sum(len(o['checks']) for o in verdicts), drawings=len(re.findall('<svg', page)),
                kilobytes=round(len(page.encode())/1000), times=a.times, ratio=dict(read=round(found['write']['cpu']/found['read']['cpu'], 2), notebook=round(found['write']['cpu']/found['notebook']['cpu'], 2)))
    OUT.write_text(json.dumps(told, indent=1) + '\n')
    from fill import dossier_section, fill
    print(dossier_section(told))
    fill()


if __name__ == '__main__': main()
