"Would the gates notice? The self-test on a month of flights: benchmarks/out/selftest.json and docs/selftest.md."
import argparse
import json
import os
import re
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault('MLFLOW_DISABLE_TELEMETRY', 'true')
HERE = Path(__file__).resolve().parent
OUT = HERE/'out'/'selftest.json'
ASKED = ['contract', 'data_quality', 'drift', 'performance', 'fairness', 'behaviour', 'governance']
PAPERS = 'owner intended_use limits sources transformation environment contract importance test fairness lineage'.split() # Not the code: a benchmark runs where people work
MORE = dict(data_quality=dict(max_duplicates=.01), performance=dict(metrics=dict(roc_auc=dict(min=.62, max=.85, margin=.01)), slices=[dict(by='origin', metrics=dict(roc_auc=dict(min=.58)))]),
            fairness=dict(groups=['origin'], metrics=dict(roc_auc_score_group_min=dict(min=.55), selection_rate_difference=dict(max=.2))), behaviour=dict(latency={1: dict(p95=150.), 1000: dict(p95=500.)}), governance=dict(require=PAPERS))


def rules(folder, min_rows, clean):
    "The policy of the story, and the bounds that it has no need of"
    import yaml
    from mlops_kit.demo import story_file
    policy = yaml.safe_load(story_file('flights.policy.yaml'))
    policy['gates']['drift'].setdefault('prediction', dict(threshold=.4, reason='The season moves what the model answers.'))
    for gate, keys in MORE.items(): policy['gates'].setdefault(gate, {}).update(keys)
    policy['data']['min_rows'] = policy['gates']['performance']['min_rows'] = min_rows
    if not clean: policy['gates']['behaviour'] |= dict(environment='current', reason='A sample needs no package index.')
    policy['signing']['required'], policy['stages']['champion']['gates'] = False, ASKED
    (folder/'policy.yaml').write_text(yaml.safe_dump(policy, sort_keys=False))
    return folder/'policy.yaml'


def promises(folder, rows):
    "The contract of the story for halves of a month, and how fresh a month has to be"
    import yaml
    from mlops_kit.demo import story_file
    contract = yaml.safe_load(story_file('flights.odcs.yaml'))
    contract['schema'][0]['quality'] = [dict(metric='rowCount', mustBeBetween=[rows//3, 2*rows])]
    (folder/'contract.yaml').write_text(yaml.safe_dump(contract, sort_keys=False))
    return folder/'contract.yaml'


def sampled(files, rows, to):
    "The first so many of a month's rows in random order; all where `rows` is 0"
    import pandas as pd
    df = pd.concat([pd.read_parquet(o) for o in files], ignore_index=True)
    (df.sample(rows, random_state=0).sort_values('flight_id') if rows and rows < len(df) else df).to_parquet(to, index=False)
    return to


def furnished(folder, rows=0):
    "A version trained on January to March, April to judge it on, policy and contract; what `self_test` is given"
    from mlops_kit import demo, register
    from mlops_kit.store import fresh_store
    tables, store = demo.flights_tables(folder/'flights'), fresh_store(folder/'mlflow.db')
    train = sampled(demo.months(tables, 1, 3), 3*rows, folder/'train.parquet')
    april = sampled([demo.month_file(tables, 4)], rows, folder/'april.parquet')
    import pyarrow.parquet as pq
    n = pq.read_metadata(april).num_rows
    policy = rules(folder, min(n//3, 5000), clean=not rows)
    version = register(demo.train([train]), demo.NAME, train=train, target=demo.TARGET, test=demo.month_file(tables, 5), contract=promises(folder, n), policy=policy, features=demo.FEATURES,
                       trusted=demo.TRUSTED, sources=list(demo.flights_source().values()), store=store, intended_use='Tell planners before departure which flights are likely to be late.',
                       limits='Not for flights from elsewhere than New York.', transformation='Flights joined with weather and planes, see mlops_kit.demo.')
    return dict(version=version, data=april, policy=policy, store=store, as_of='2013-05-02')


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--rows', type=int, default=0, help='rows of April; all unless given')
    p.add_argument('--repeats', type=int, default=100, help='halves of the unharmed month for each gate')
    p.add_argument('--out', default=str(OUT))
    a = p.parse_args()
    from mlops_kit import self_test
    with TemporaryDirectory() as tmp:
        given, start = furnished(Path(tmp), a.rows), time.monotonic()
        found = self_test(**given, repeats=a.repeats, progress=True)
    print(found)
    told = found.to_dict() | dict(seconds=round(time.monotonic() - start, 1), data='April 2013', repeats=a.repeats)
    text = re.sub(r"from '[^']*'", 'of this process', json.dumps(told, indent=1, ensure_ascii=False))
    Path(a.out).write_text(text + '\n', encoding='utf-8')
    if Path(a.out) == OUT:
        from fill import fill_selftest
        fill_selftest()
    return found.exit_code


if __name__ == '__main__': sys.exit(main())
