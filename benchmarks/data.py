"CPU of the drift and quality verdict of two tables: beside Evidently's presets, and beside pyarrow decoding the same columns."
import argparse
import sys

from measure import CACHE, costs, goal, pair, save, show_costs, show_goals, step, turns, versions

PACKAGES = 'evidently', 'pandas', 'pyarrow', 'numpy', 'scipy'
LONG, NEEDS = 5_000_000, 12e9 # Rows of the large tables, and the bytes of memory that Evidently needs for them

EVIDENTLY, STORED = 'Evidently, both presets', 'ours, reference profile stored'
BOTH = 'pyarrow decoding both, by row groups', 'pyarrow decoding both, read_table'
NEW = 'pyarrow decoding the new one, by row groups', 'pyarrow decoding the new one, read_table'


def near(ours, theirs, method):
    "The relative difference of two scores; of their squares for Jensen-Shannon, whose own last digits depend on the order of a set"
    p = 2 if method == 'jensenshannon' else 1
    return abs(ours**p - theirs**p)/max(abs(theirs**p), 1e-300)


def side_by_side(checks, exact, evidently):
    "Of each column that Evidently judges: its score, ours from rows, ours from profiles, and both verdicts"
    for n, o in evidently.items():
        gate, rows = checks[f'drift:{n}'], exact[n]
        yield n, dict(method=rows['method'], evidently=o['value'], rows=rows['value'], low=gate['low'], high=gate['high'],
            evidently_drifted=o['value'] >= o['threshold'], ours_drifted=rows['drifted'], gate=gate['status'])


def agreement(checks, exact, evidently):
    "Whether verdicts are the same, how far the scores are apart, and whether each interval holds Evidently's score"
    found = dict(side_by_side(checks, exact, evidently))
    apart = {n: near(o['rows'], o['evidently'], o['method']) for n, o in found.items()}
    same = lambda o: o['ours_drifted'] == o['evidently_drifted'] == (o['gate'] == 'fail') and o['gate'] in ('pass', 'fail')
    inside = lambda o: o['low']*(1 - 1e-9) <= o['evidently'] <= o['high']*(1 + 1e-9)
    return dict(columns=len(found), drifted=sum(o['evidently_drifted'] for o in found.values()), other_verdicts=[n for n, o in found.items() if not same(o)],
        largest_difference=max(apart.values()), of=max(apart, key=apart.get), intervals=sum(o['low'] < o['high'] for o in found.values()),
        outside_interval=sum(not inside(o) for o in found.values()), by_column=found)


def show_agreement(o):
    "Print how far ours and Evidently agree"
    said = f'other verdicts: {", ".join(o["other_verdicts"])}' if o['other_verdicts'] else 'all verdicts the same'
    print(f'\n{o["columns"]} columns judged by both, {o["drifted"]} of them drifted, {said}.')
    print(f'Largest relative difference of the scores computed from rows: {o["largest_difference"]:.1e} (`{o["of"]}`).')
    print(f'From the profiles {o["intervals"]} scores are intervals; Evidently\'s number lies outside of {o["outside_interval"]}.')


def verdicts(rows, times):
    "Both verdicts and the decoding, two tables and one against a stored profile"
    reference, current = pair(rows)
    kept = CACHE/f'tables/{rows}.profile.json.gz'
    size = step('keep', reference, kept)['said']['bytes']
    ours = turns({'ours': ('verdict', reference, current), BOTH[0]: ('decode', reference, current), BOTH[1]: ('decode_whole', reference, current),
        STORED: ('stored', kept, reference, current), NEW[0]: ('decode', current), NEW[1]: ('decode_whole', current)}, times)
    exact = step('exact', reference, current)
    named = step('digests', reference, current)
    return ours | {'ours, every number from rows': exact, 'ours, sha256 of both files': named, EVIDENTLY: step('evidently', reference, current)}, size


def short(rows, times):
    "Two tables, drift and quality"
    found, size = verdicts(rows, times)
    cpu, work = ({k: o[c] for k, o in found.items()} for c in ('cpu', 'work'))
    goals = [goal('Evidently / ours, drift and quality', cpu[EVIDENTLY]/cpu['ours'], 30, True),
        goal('the same without imports', work[EVIDENTLY]/work['ours'], 30, True),
        *(goal(f'ours / {k}, without imports', work['ours']/work[k], 2) for k in BOTH),
        *(goal(f'{STORED} / {k}, without imports', work[STORED]/work[k], 1.5) for k in NEW)]
    same = agreement(found['ours']['said']['checks'], found['ours, every number from rows']['said']['drift'], found[EVIDENTLY]['said']['drift'])
    return dict(rows=rows, columns=20, steps=costs(found), profile_bytes=size, goals=goals, agreement=same, versions=versions(*PACKAGES))


def long(rows, times):
    "Two large tables, drift alone"
    reference, current = pair(rows)
    found = turns({'ours, drift alone': ('verdict', reference, current, 'drift')}, times)
    exact = step('exact', reference, current)
    found |= {'ours, every number from rows': exact, 'Evidently, drift preset': step('evidently', reference, current, 'drift')}
    goals = [goal('Evidently / ours, drift alone', found['Evidently, drift preset']['cpu']/found['ours, drift alone']['cpu'], 60, True)]
    same = agreement(found['ours, drift alone']['said']['checks'], exact['said']['drift'], found['Evidently, drift preset']['said']['drift'])
    return dict(rows=rows, columns=20, steps=costs(found), goals=goals, agreement=same, versions=versions(*PACKAGES))


def free_memory():
    "Bytes that are available"
    return next(int(o.split()[1])*1024 for o in open('/proc/meminfo') if o.startswith('MemAvailable'))


def main():
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument('--long', action='store_true', help=f'drift alone at {LONG:,} rows instead: Evidently takes about 15 CPU-minutes and 10 GB')
    ask.add_argument('--rows', type=int, help='rows of each table')
    ask.add_argument('--times', type=int, default=5, help='runs of which the median is taken; Evidently runs once')
    o = ask.parse_args()
    if o.long and free_memory() < NEEDS: sys.exit(f'{free_memory()/1e9:.0f} GB of memory are available, and Evidently needs {NEEDS/1e9:.0f}. Hint: run it on a larger machine.')
    found = (long if o.long else short)(o.rows or (LONG if o.long else 1_000_000), o.times)
    print(f'Two tables of {found["rows"]:,} rows by {found["columns"]} columns\n')
    show_costs(found['steps'])
    show_goals(found['goals'])
    show_agreement(found['agreement'])
    save('data_long' if o.long else 'data', found)


if __name__ == '__main__': main()
