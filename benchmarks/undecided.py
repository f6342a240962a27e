"How often a stored profile alone leaves a column's drift undecided: the flights, month against month, and the benchmark tables."
import argparse
import itertools
import json
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT/'benchmarks'))
CHOICE = "Evidently's choice"
LEFT = 'undecided', 'rows_needed'


def kept(path, folder):
    "A table, and its profile as it is read back from its file"
    from mlops_kit.profile import load_profile, profile, save_profile
    from mlops_kit.table import open_table
    return load_profile(save_profile(profile(path), Path(folder)/f'{Path(path).stem}.profile.json.gz')), open_table(path)


def flights(folder):
    "Pairs of months for each method, pairs for Evidently's choice, and the months"
    from mlops_kit.demo import flights_tables, month_file
    flights_tables(folder)
    found = {f'2013-{m:02d}': kept(month_file(folder, m), folder) for m in range(1, 13)}
    return list(itertools.pairwise(found)), list(itertools.permutations(found, 2)), found


def made(folder, rows):
    "The same of benchmark tables: two alike, two moved"
    from tables import write_table
    found = {}
    for seed, moved in ((0, False), (1, False), (2, True), (3, True)):
        name = f'{rows}-{seed}{"-moved" if moved else ""}'
        write_table(Path(folder)/f'{name}.parquet', rows, seed=seed, moved=moved)
        found[name] = kept(Path(folder)/f'{name}.parquet', folder)
    pairs = list(itertools.permutations(found, 2))
    return pairs, pairs, found


def judged(found, pairs, method):
    "For each column that the method is for: its verdict from two profiles, and from the reference profile and the new rows"
    from mlops_kit.drift import compare
    for a, b in pairs:
        (reference, _), (profile, table) = found[a], found[b]
        for d in compare(reference, profile, method=method):
            if d.drifted is None and d.reason not in LEFT: continue
            yield d, d if d.drifted is not None else compare(reference, table, [d.column], method)[0]


def count(drifts):
    "How many columns, how many of them by interval, how many left by two profiles, how many by the reference profile alone"
    drifts = list(drifts)
    left = [d.column for _, d in drifts if d.reason in LEFT]
    return dict(columns=len(drifts), intervals=sum(d.drifted is not None and d.low < d.high for d, _ in drifts), left_by_two=sum(d.reason in LEFT for d, _ in drifts),
        left=len(left), which=dict(Counter(left).most_common(5)))


def measured(found, few, every):
    "The counts by method: Evidently's choice over every pair, each method on request over few"
    from mlops_kit.drift import METHODS
    return {CHOICE: count(judged(found, every, None))} | {m: count(judged(found, few, m)) for m in METHODS if m != 'g_test'} # It asks for sides of equal size


def main():
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument('--rows', type=int, nargs='*', default=[100_000, 1_000_000], help='sizes of the benchmark tables')
    sizes, out = ask.parse_args().rows, {}
    with TemporaryDirectory() as tmp:
        for name, make in [('flights', lambda folder: flights(folder))] + [(f'tables of {n:,} rows', lambda folder, n=n: made(folder, n)) for n in sizes]:
            folder = Path(tmp)/name.replace(' ', '-')
            folder.mkdir()
            few, every, found = make(folder)
            out[name] = measured(found, few, every)
    print(f'{"":24} {"method":20} {"columns":>8} {"intervals":>10} {"left by two profiles":>21} {"by the reference":>16} {"share":>7}  which')
    for name, methods in out.items():
        for m, o in methods.items():
            print(f'{name:24} {m:20} {o["columns"]:8} {o["intervals"]:10} {o["left_by_two"]:21} {o["left"]:16} {o["left"]/max(o["columns"], 1):7.2%}  {", ".join(o["which"])}')
    (ROOT/'benchmarks/out').mkdir(exist_ok=True)
    (ROOT/'benchmarks/out/undecided.json').write_text(json.dumps(out, indent=1))


if __name__ == '__main__': main()
