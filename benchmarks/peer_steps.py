"What is measured of the peers, each in an environment of its own: `python peer_steps.py PEER REFERENCE CURRENT`. Their nearest thing to a profile and the drift of two tables."
import json
import resource
import sys
import warnings


def cpu():
    "CPU-seconds of this process so far"
    r = resource.getrusage(resource.RUSAGE_SELF)
    return r.ru_utime + r.ru_stime


def whylogs(reference, current):
    "Profiles of both tables, and the drift scores of all columns"
    import pandas as pd
    import whylogs
    from whylogs.viz.drift.column_drift_algorithms import calculate_drift_scores
    imports = cpu()
    views = [whylogs.log(pd.read_parquet(o)).view() for o in (reference, current)]
    scores = calculate_drift_scores(target_view=views[1], reference_view=views[0], with_thresholds=True)
    return dict(imports=imports, judged=sum(o is not None for o in scores.values()))


def tfdv(reference, current):
    "Statistics of both tables, and their validation with a drift comparator for each column"
    import pandas as pd
    import tensorflow_data_validation as tfdv
    imports = cpu()
    was, now = (tfdv.generate_statistics_from_dataframe(pd.read_parquet(o), n_jobs=1) for o in (reference, current))
    schema = tfdv.infer_schema(was)
    features = [f for f in schema.feature if f.name != 'time']
    for f in features: f.drift_comparator.jensen_shannon_divergence.threshold = .01 # The square of the distance .1
    found = tfdv.validate_statistics(now, schema, previous_statistics=was)
    return dict(imports=imports, judged=len(features), anomalies=len(found.anomaly_info))


def nannyml(reference, current):
    "Univariate drift, missing and unseen values of the whole table as one chunk"
    import pandas as pd
    from nannyml import MissingValuesCalculator, UnivariateDriftCalculator, UnseenValuesCalculator
    imports = cpu()
    was, now = map(pd.read_parquet, (reference, current))
    columns = [c for c in was if c != 'time']
    categories = [c for c in columns if was[c].dtype.kind not in 'if']
    kinds = dict(column_names=columns, treat_as_categorical=categories, chunk_number=1)
    drift = UnivariateDriftCalculator(continuous_methods=['wasserstein'], categorical_methods=['jensen_shannon'], **kinds)
    for o in (drift, MissingValuesCalculator(column_names=columns, chunk_number=1), UnseenValuesCalculator(column_names=categories, chunk_number=1)):
        o.fit(was).calculate(now)
    return dict(imports=imports, judged=len(columns))


def deepchecks(reference, current):
    "Drift of each column on all rows, share of nulls and new categories"
    import pandas as pd
    from deepchecks.tabular import Dataset
    from deepchecks.tabular.checks import FeatureDrift, NewCategoryTrainTest, PercentOfNulls
    imports = cpu()
    was, now = map(pd.read_parquet, (reference, current))
    columns = [c for c in was if c != 'time']
    categories = [c for c in columns if was[c].dtype.kind not in 'if']
    sides = [Dataset(o, features=columns, cat_features=categories, datetime_name='time') for o in (was, now)]
    drift = FeatureDrift(n_samples=len(was), n_top_columns=len(columns)).run(*sides)
    NewCategoryTrainTest(n_samples=len(was)).run(*sides)
    for o in sides: PercentOfNulls(n_samples=len(was)).run(o)
    return dict(imports=imports, judged=len(drift.value))


PEERS = {f.__name__: f for f in (whylogs, tfdv, nannyml, deepchecks)}

if __name__ == '__main__':
    warnings.simplefilter('ignore')
    print('\n' + json.dumps(PEERS[sys.argv[1]](*sys.argv[2:]) | dict(cpu=cpu())))
