"Peak memory and CPU per row of the drift and quality verdict, from 1M to 20M rows, and with twice the columns."
import argparse
import os
import shutil
import sys
from pathlib import Path

from measure import CACHE, goal, pair, save, show, show_goals, turns, versions

SIZES, WIDE, KEPT = (1_000_000, 5_000_000, 10_000_000, 20_000_000), 10_000_000, 5_000_000
ROW = 100 # Bytes of a row of 20 columns on disk, about
SMALL = SIZES[0] # Up to so many rows five runs are made, above three; the median counts


def measured(rows, copies, keep):
    "The cost of the verdict of two tables, which are deleted afterwards unless small or to be kept"
    tables = pair(rows, copies)
    found = turns({'ours': ('verdict', *tables)}, 5 if rows <= SMALL else 3)['ours']
    if rows > KEPT and not keep:
        for o in tables: Path(o).unlink()
    judged = [o['status'] for o in found['said']['checks'].values()]
    return dict(rows=rows, columns=20*copies, cpu=round(found['cpu'], 2), work=round(found['work'], 2), mb=round(found['mb']), work_per_million=found['work']/rows*1e6,
        inconclusive=judged.count('inconclusive'))


def room(rows, copies):
    "Leave with one line where the disk cannot hold two such tables"
    CACHE.mkdir(parents=True, exist_ok=True)
    free, needs = shutil.disk_usage(CACHE).free, 2*rows*copies*ROW
    if free < 2*needs: sys.exit(f'two tables of {rows:,} rows take {needs/1e9:.0f} GB and {free/1e9:.0f} GB are free below `{os.path.relpath(CACHE)}`. Hint: give smaller --rows.')


def main():
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument('--rows', type=int, nargs='*', default=list(SIZES), help='rows of each table')
    ask.add_argument('--wide', type=int, default=WIDE, help='rows at which 40 columns are measured too')
    ask.add_argument('--keep', action='store_true', help='keep the large tables for the next time')
    o = ask.parse_args()
    found = []
    for rows, copies in sorted([(n, 1) for n in o.rows] + [(o.wide, 2)]):
        room(rows, copies)
        found.append(measured(rows, copies, o.keep))
    narrow = [f for f in found if f['columns'] == 20]
    per_row = [f['work_per_million'] for f in narrow]
    peaks = {f['columns']: f['mb'] for f in found if f['rows'] == o.wide}
    goals = [goal(f'peak MB at {o.wide:,} rows by {n} columns', mb, 800) for n, mb in peaks.items()]
    goals.append(goal(f'CPU per row, largest / smallest from {min(o.rows):,} to {max(o.rows):,} rows', max(per_row)/min(per_row), 1.2))
    show([['rows of each table', 'columns', 'CPU-s', 'without imports', 'the same per million rows', 'peak MB']] +
        [[f'{f["rows"]:,}', f['columns'], f'{f["cpu"]:.2f}', f'{f["work"]:.2f}', f'{f["work_per_million"]:.2f}', f['mb']] for f in found])
    show_goals(goals)
    save('memory', dict(measured=found, goals=goals, versions=versions('pyarrow', 'numpy')))


if __name__ == '__main__': main()
