"The data, the policy and the story of `mlops-kit demo`."
import json, os, re, subprocess, sys
from pathlib import Path

import pytest
import yaml

from mlops_kit import demo
from mlops_kit.core import DataError, Verdict, Verdicts, check


@pytest.fixture(scope='module')
def tables(tmp_path_factory): return demo.flights_tables(tmp_path_factory.mktemp('flights'))

@pytest.fixture(scope='module')
def broken(tables): return demo.broken_month(demo.month_file(tables, 5), tables/'broken.parquet')

def test_light_import():
    code = "import sys, mlops_kit.demo; print([m for m in ('pandas','numpy','sklearn','mlflow','evidently','papermill','pyarrow') if m in sys.modules])"
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout.strip() == '[]'

def test_missing_extra_is_named(monkeypatch):
    monkeypatch.setattr(demo, 'find_spec', lambda name: None)
    with pytest.raises(DataError, match=r'mlops_kit\[demo\]') as e: demo.flights_tables('nowhere')
    assert e.value.exit_code == 2 and not Path('nowhere').exists()

def test_every_flight_is_accounted_for(tables):
    record = json.loads((tables/'flights.json').read_text())
    assert record['left_out'] == dict(cancelled=8255, diverted=1175)
    assert sum(record['rows'].values()) + 8255 + 1175 == 336776
    assert sorted(record['rows']) == [f'2013-{m:02d}' for m in range(1, 13)]
    assert set(record['sources']) == set(demo.SOURCES.values()) and all(len(v) == 64 for v in record['sources'].values())

def test_only_what_is_known_before_departure(tables):
    import pyarrow.parquet as pq
    t = pq.read_table(demo.month_file(tables, 4))
    assert t.column_names == ['flight_id', 'time_hour', *demo.FEATURES, 'late'] and len(demo.FEATURES) == 18
    assert not {'dep_time', 'dep_delay', 'arr_time', 'arr_delay', 'air_time', 'tailnum'} & set(t.column_names)
    assert t['plane_year'].null_count > 0 and t['pressure'].null_count > 0, 'missing values stay missing'
    assert t.schema.metadata is None

def test_model_meets_the_unknown(tables):
    import pandas as pd
    model = demo.train(demo.months(tables, 3, 3))
    new = pd.read_parquet(demo.month_file(tables, 4)).head(20)[demo.FEATURES]
    p = model.predict_proba(new.assign(carrier=['ZZ']*10 + [None]*10, dest='XXX', temp=float('nan')))[:, 1]
    assert ((p >= 0) & (p <= 1)).all()

def test_contract_and_policy_speak_of_these_columns(tables):
    import pyarrow.parquet as pq
    names = pq.read_schema(demo.month_file(tables, 4)).names
    contract, policy = (yaml.safe_load(demo.story_file(f'flights.{o}.yaml')) for o in ('odcs', 'policy'))
    assert [o['name'] for o in contract['schema'][0]['properties']] and {o['name'] for o in contract['schema'][0]['properties']} == set(names)
    assert set(policy['gates']['drift']['columns']) == set('temp dewp humid wind_dir wind_speed precip pressure visib'.split())
    assert (policy['model'], policy['target']) == (demo.NAME, demo.TARGET)

@pytest.mark.parametrize('last,month', [(3, 4), (4, 5), (6, 7)])
def test_contract_is_kept(tables, last, month):
    from mlops_kit.contract import contract_checks, load_contract
    assert blocking(contract_checks(the_contract(tables), the_table(demo.month_file(tables, month)), as_of=f'2013-{month+1:02d}-02T00:00:00Z')) == []

def the_contract(tables):
    from mlops_kit.contract import load_contract
    (tables/'c.yaml').write_text(demo.story_file('flights.odcs.yaml'))
    return load_contract(tables/'c.yaml')

def the_policy(tables):
    from mlops_kit.policy import load_policy
    (tables/'policy.yaml').write_text(demo.story_file('flights.policy.yaml'))
    return load_policy(tables/'policy.yaml')

def the_table(path):
    from mlops_kit.table import open_table
    return open_table(path)

def blocking(checks): return [(c.column or c.id, c.message) for c in checks if c.blocking and c.status not in ('pass', 'warn')]

def test_contract_names_the_broken_column(tables, broken):
    from mlops_kit.contract import contract_checks
    bad = blocking(contract_checks(the_contract(tables), the_table(broken), as_of='2013-06-02T00:00:00Z'))
    assert {c for c,_ in bad} == {'carrier'}

def test_contract_knows_a_stale_month(tables):
    from mlops_kit.contract import contract_checks
    checks = contract_checks(the_contract(tables), the_table(demo.month_file(tables, 4)), as_of='2013-06-02T00:00:00Z')
    assert [c.reason for c in checks if c.blocking and c.status == 'fail'] == ['stale']

def drifted(tables, last, path):
    from mlops_kit.drift import drift_checks
    ref = the_table(demo.months(tables, 1, last))
    return blocking(drift_checks(ref, the_table(path), the_policy(tables).gate('drift'), columns=demo.FEATURES))

@pytest.mark.parametrize('last,month', [(3, 4), (4, 5), (6, 7)])
def test_policy_lets_the_season_through(tables, last, month): assert drifted(tables, last, demo.month_file(tables, month)) == []

def test_policy_stops_a_change_of_unit(tables, broken): assert {c for c,_ in drifted(tables, 4, broken)} - {'drift:share'} == {'wind_speed'}

@pytest.mark.parametrize('column,factor', [('humid', .01), ('precip', 25.4), ('pressure', .02953), ('visib', 1.609), ('wind_dir', 3.14159/180), ('wind_speed', .44704)])
@pytest.mark.parametrize('last,month', [(3, 4), (4, 5), (6, 7)])
def test_every_bound_stops_a_change_of_unit(tables, tmp_path, last, month, column, factor):
    import pandas as pd
    df = pd.read_parquet(demo.month_file(tables, month))
    df.assign(**{column: df[column]*factor}).to_parquet(tmp_path/'other_unit.parquet')
    assert {c for c,_ in drifted(tables, last, tmp_path/'other_unit.parquet')} - {'drift:share'} == {column}

def test_usual_bound_would_cry_wolf(tables):
    "Why the policy speaks of seasons at all: seven weather columns pass the usual bound in April"
    from mlops_kit.drift import compare
    found = {o.column for o in compare(the_table(demo.months(tables, 1, 3)), the_table(demo.month_file(tables, 4)), columns=demo.FEATURES) if o.drifted}
    assert found == set('temp dewp humid wind_dir precip pressure visib'.split())

@pytest.mark.parametrize('last,month', [(3, 4), (4, 5), (6, 7)])
def test_months_are_as_clean_as_training(tables, last, month): assert unclean(tables, last, demo.month_file(tables, month)) == []

def unclean(tables, last, path):
    from mlops_kit.profile import profile
    from mlops_kit.quality import quality_checks
    policy = the_policy(tables)
    ref, cur = (profile(the_table(o)) for o in (demo.months(tables, 1, last), path))
    return blocking(quality_checks(ref, cur, policy.gate('data_quality'), data=policy.data, columns=demo.FEATURES))

def test_quality_names_the_broken_column(tables, broken): assert {c for c,_ in unclean(tables, 4, broken)} == {'carrier'}

def test_a_folder_of_others_is_left_alone(tmp_path):
    (tmp_path/'thesis.txt').write_text('years of work')
    with pytest.raises(DataError, match='holds something else'): demo.demo(tmp_path)
    assert (tmp_path/'thesis.txt').exists()

def test_a_story_gone_wrong_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, 'open_scene', lambda out, quiet: demo.Scene(Path(out), quiet))
    monkeypatch.setattr(demo, 'ACTS', [demo.Act('one', lambda s: demo.ends('blocked', 1, 1, dict(drift=['dest'])), demo.ends('promoted', 1))])
    assert demo.demo(tmp_path, quiet=True) == 1
    said = capsys.readouterr()
    assert "decision is 'blocked', the story says 'promoted'" in said.err and "blames is {'drift': ['dest']}" in said.err and said.out == ''

def test_blame_is_of_the_checks_that_decide():
    bad = check('drift:temp', False, 'temp moved', 'above_bound', column='temp', blocking=False)
    worse = check('drift:dest', False, 'dest moved', 'above_bound', column='dest')
    good = check('rows', True, 'enough', 'too_few_rows')
    assert demo.refusing(Verdicts([Verdict('drift', [bad, worse, good]), Verdict('contract', [good])])) == [('drift', worse)]

@pytest.fixture
def home(tmp_path, monkeypatch):
    "A home folder of its own, for the demo's key and the cache"
    for k in ('MLFLOW_TRACKING_URI', 'MLOPS_KIT_KEY', 'XDG_CACHE_HOME'): monkeypatch.delenv(k, raising=False)
    monkeypatch.setenv('HOME', str(tmp_path/'home'))
    return tmp_path

def python(*args, **kwargs): return subprocess.run([sys.executable, *args], capture_output=True, text=True, **kwargs)

@pytest.mark.slow
def test_examples_tell_the_same_story(home):
    "Each notebook runs, in order, in a folder of its own; the numbers stored with it are those of the run"
    import nbformat
    source = Path(__file__).parent.parent/'examples'/'flights'
    for nb in sorted(source.glob('*.ipynb')):
        p = python('-m', 'papermill', '-k', 'python3', '--no-progress-bar', str(nb), str(home/nb.name), cwd=home, env=os.environ | dict(COLUMNS='120'))
        assert p.returncode == 0, f'{nb.name}: {p.stderr[-2000:]}'
        stored, ran = (told(nbformat.read(o, 4)) for o in (nb, home/nb.name))
        assert stored == ran, nb.name

def told(nb):
    "What a notebook's cells show as text, without moments, ages, runs, paths and the width of the screen"
    plain = lambda o: re.sub(r'\d{4}-\d\d-\d\dT[\d:]+Z|\d{8}T\d{6}Z-\w+|\S*/story\S*|\(\d+\s+\w+\s+ago\)|drift:share\s+[\d.e-]+|\d+\s+of\s+\d+\s+blocking\s+columns|[\d.]+%(?=\s+of\s+the\s+weight)|weight\s+[\d.]+%|[─…\s]+', ' ', o) # Importance is measured as often as time allows
    return [plain(o['data']['text/plain']) for c in nb.cells if c.cell_type == 'code' for o in c.outputs if o.output_type == 'execute_result']
