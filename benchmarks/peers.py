"CPU of the drift and quality verdict of two tables beside whylogs, TFDV, NannyML and deepchecks, each in an environment of its own, each doing its nearest thing."
import argparse
import shutil
import subprocess
import sys

from measure import CACHE, ROOT, Failed, costs, goal, pair, run, save, show_costs, show_goals, turns

OLD = 'pandas<3', 'numpy<2', 'pyarrow<20' # The newest that the peers run with
PEERS = dict(
    whylogs=('whylogs[viz]==1.6.4', *OLD),
    tfdv=('tensorflow-data-validation==1.16.1', 'tensorflow==2.16.2', 'apache-beam[gcp]==2.60.0', 'pandas<2', 'numpy<2', 'pyarrow<11', 'setuptools<81'),
    nannyml=('nannyml==0.13.1', 'statsmodels', *OLD),
    deepchecks=('deepchecks==0.19.1', 'scikit-learn<1.6', 'setuptools<81', *OLD))
PATIENCE = 600 # Seconds for one installation


def reason(said):
    "Pip's last error, or its last line"
    lines = said.strip().splitlines() or ['no reason was given']
    return next((o for o in reversed(lines) if o.startswith('ERROR')), lines[-1])


def install(name):
    "The python of a peer's environment, made unless it is there; `Failed` with pip's last line where it cannot be"
    folder, wanted = CACHE/'peers'/name, '\n'.join(PEERS[name])
    ready = folder/'ready.txt'
    if ready.exists() and ready.read_text() == wanted: return folder/'bin/python'
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, '-m', 'venv', folder], check=True)
    try: p = subprocess.run([folder/'bin/pip', 'install', '-q', *PEERS[name]], capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired: raise Failed(f'not installed within {PATIENCE} s') from None
    if p.returncode: raise Failed(reason(p.stderr))
    ready.write_text(wanted)
    return folder/'bin/python'


def measured(name, tables):
    "What a peer costs, or why it was skipped"
    try: found = run(ROOT/'benchmarks/peer_steps.py', name, *tables, python=install(name))
    except Failed as e: return dict(skipped=str(e))
    return dict(cpu=found['cpu'], work=found['said']['cpu'] - found['said']['imports'], mb=found['mb'], judged=found['said']['judged'])


def main():
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument('--rows', type=int, default=1_000_000, help='rows of each table')
    ask.add_argument('--only', nargs='*', default=list(PEERS), choices=list(PEERS), help='the peers to measure')
    o = ask.parse_args()
    tables = pair(o.rows)
    ours = turns({'ours': ('verdict', *tables)}, 5)
    found = {k: measured(k, tables) for k in o.only}
    there, skipped = {k: v for k, v in found.items() if 'cpu' in v}, {k: v['skipped'] for k, v in found.items() if 'skipped' in v}
    goals = [goal(f'{k} / ours', v['cpu']/ours['ours']['cpu'], 1, True) for k, v in there.items()]
    print(f'Two tables of {o.rows:,} rows by 20 columns\n')
    show_costs(ours | there)
    show_goals(goals)
    for k, why in skipped.items(): print(f'{k} was skipped: {why}')
    save('peers', dict(rows=o.rows, columns=20, steps=costs(ours | there), goals=goals, skipped=skipped, packages={k: list(PEERS[k]) for k in there}))


if __name__ == '__main__': main()
