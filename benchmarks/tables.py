"Tables to measure on: numbers of differing shape, categories, a time and a boolean, a few values missing; the same for a seed."
import os
from pathlib import Path

GROUP = 2**18 # Rows drawn and written at a time
LEVELS = dict(flag=2, tier=5, month=12, state=40, airport=150, product=500) # Values of each category
DRIFTING = 'lognormal', 'exponential', 'bimodal', 'price', 'offset', 'tier', 'airport' # Columns that move beyond Evidently's thresholds
NUDGED = 'normal', 'small_count', 'state' # Columns that move a little


def numbers(rng, n, moved):
    "Draw each numeric column by its name; where `moved`, some by more than others"
    m = float(moved)
    return dict(normal=lambda: rng.normal(.04*m, 1, n), lognormal=lambda: rng.lognormal(1 + .3*m, .8, n),
        exponential=lambda: rng.exponential(10 + 3*m, n), heavy=lambda: rng.standard_t(2, n), uniform=lambda: rng.uniform(-50, 50, n),
        bimodal=lambda: rng.normal(0, 1, n) + 8*(rng.random(n) < .3 + .1*m), small_count=lambda: rng.poisson(6 + .1*m, n),
        large_count=lambda: rng.geometric(1/3000, n), price=lambda: (rng.gamma(2, 20 + 4*m, n) + .5).round(2),
        offset=lambda: 1e6 + rng.normal(m, 3, n), zero_inflated=lambda: rng.gamma(3, 2, n)*(rng.random(n) < .35),
        single=lambda: rng.normal(20, 5, n).astype('float32'))


MISSING = dict(normal=.02, lognormal=.03, exponential=.01, heavy=.02, uniform=.01, bimodal=.05, large_count=.02, price=.04, offset=.02,
    zero_inflated=.01, single=.03, flag=.02, tier=.01, month=.01, state=.03, airport=.05, product=.02, time=.01) # The other columns are whole


def category(rng, n, name, moved):
    "Draw a category: a few frequent values and many rare ones"
    import numpy as np
    import pyarrow as pa
    levels = LEVELS[name]
    weights = (1/np.arange(1, levels + 1))**(.8 + moved*(.5*(name in DRIFTING) + .01*(name in NUDGED)))
    drawn = (weights.cumsum()/weights.sum()).searchsorted(rng.random(n), 'right').clip(max=levels - 1)
    return pa.DictionaryArray.from_arrays(drawn.astype('int16'), [f'{name} {i}' for i in range(levels)]).cast(pa.string())


def column(rng, n, name, moved, first):
    "Draw one column of any kind"
    import numpy as np
    import pyarrow as pa
    if name in LEVELS: return category(rng, n, name, moved)
    if name == 'boolean': return pa.array(rng.random(n) < .25)
    if name == 'time': return pa.array(np.datetime64('2024-01-01', 'us') + np.arange(first, first + n)*np.timedelta64(700, 'ms') + rng.integers(0, 700_000, n))
    return pa.array(numbers(rng, n, moved)[name]())


def names():
    "The columns' names in order"
    return [*numbers(None, 0, False), *LEVELS, 'time', 'boolean']


def row_group(n, first, seed, moved, times):
    "Draw rows `first` to `first + n`, each column from a generator of its own"
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    found = {}
    for copy in range(times):
        for i, name in enumerate(names()):
            rng = np.random.default_rng([seed, moved, first, copy, i])
            drawn, kept = column(rng, n, name, moved, first), rng.random(n) >= MISSING.get(name, 0)
            found[f'{name}_{copy + 1}' if copy else name] = pc.if_else(pa.array(kept), drawn, None) if name in MISSING else drawn
    return pa.table(found)


def write_table(path, rows, seed=0, moved=False, times=1):
    "Write a parquet file of `times` 20 columns, a row group at a time; where `moved`, a part of the columns drifts"
    import pyarrow.parquet as pq
    part = Path(f'{path}.part')
    groups = (row_group(min(GROUP, rows - i), i, seed, moved, times) for i in range(0, rows, GROUP))
    first = next(groups)
    with pq.ParquetWriter(part, first.schema) as out:
        out.write_table(first)
        for o in groups: out.write_table(o)
    os.replace(part, path)
    return Path(path)


def cached_table(folder, rows, seed=0, moved=False, times=1):
    "The table of that size and seed in `folder`, written unless it is there"
    path = Path(folder)/f'{rows}x{20*times}-{seed}{"-moved" if moved else ""}.parquet'
    path.parent.mkdir(parents=True, exist_ok=True)
    return path if path.exists() else write_table(path, rows, seed, moved, times)
