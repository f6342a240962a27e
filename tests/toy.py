"A small world for tests: a table with a signal, a model, a policy, a contract and a store."
import numpy as np
import pandas as pd

POLICY = '''version: 1
model: toy
task: binary
target: late
owner: tests
data: {min_rows: 100}
signing: {required: false, keys: keys}
stages:
  champion:
    gates: [contract, data_quality, drift, performance]
    evidence_max_age: 7d
gates:
  contract: {mode: block}
  data_quality: {mode: block}
  drift: {mode: block, threshold: 0.2, reason: its tables are small}
  performance:
    mode: block
    metrics:
      roc_auc: {min: 0.6, margin: 0.02}
'''
CONTRACT = '''version: 1.0.0
apiVersion: v3.0.2
kind: DataContract
id: toy
name: toy
status: active
schema:
  - name: toy
    logicalType: object
    properties:
      - {name: wind, logicalType: number, logicalTypeOptions: {minimum: -50, maximum: 50}}
      - {name: hour, logicalType: integer, required: true}
      - {name: carrier, logicalType: string}
      - {name: late, logicalType: integer, required: true}
'''


def rows(n, seed):
    "A table of n rows: wind and hour decide whether a flight is late, with noise"
    rng = np.random.default_rng(seed)
    wind, hour = rng.normal(10, 4, n), rng.integers(5, 23, n)
    carrier = rng.choice(['UA', 'DL', 'AA'], n, p=[.5, .3, .2])
    p = 1/(1 + np.exp(-(.35*(wind - 10) + .12*(hour - 14))))
    return pd.DataFrame(dict(wind=np.where(rng.random(n) < .02, np.nan, wind), hour=hour, carrier=carrier, late=(rng.random(n) < p).astype('int64')))


def estimator(noise=0, seed=0):
    "A fitted pipeline; with `noise` that share of its training labels is shuffled"
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler
    train, rng = rows(2000, 1), np.random.default_rng(seed)
    y = train.late.to_numpy().copy()
    hit = rng.random(len(y)) < noise
    y[hit] = rng.permutation(y[hit])
    prep = make_column_transformer((make_pipeline(SimpleImputer(), StandardScaler()), ['wind', 'hour']), (OneHotEncoder(handle_unknown='ignore'), ['carrier']))
    return make_pipeline(prep, LogisticRegression()).fit(train.drop(columns='late'), y)


def build(folder):
    "Write the world's files: train, test, april (to judge on), policy and contract"
    folder.mkdir(parents=True, exist_ok=True)
    for name, n, seed in [('train', 2000, 1), ('test', 1000, 2), ('april', 1500, 3), ('may', 1500, 4)]: rows(n, seed).to_parquet(folder/f'{name}.parquet', index=False)
    (folder/'policy.yaml').write_text(POLICY)
    (folder/'toy.odcs.yaml').write_text(CONTRACT)
    return folder


def enrol(folder, store, noise=0, **kwargs):
    "Register one version of the toy model"
    from mlops_kit import register
    return register(estimator(noise), 'toy', train=folder/'train.parquet', test=folder/'test.parquet', target='late',
                    contract=folder/'toy.odcs.yaml', policy=folder/'policy.yaml', store=store, owner='tests', **kwargs)
