"A small model's whole world in one folder: store, policy, key, data, and evidence made in this process."
import multiprocessing
import os
import shutil
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

from mlops_kit.core import write_file

POLICY = '''model: tiny
task: binary
target: late
owner: Ana Silva
signing: {required: true}
stages: {champion: {gates: [performance]}}
gates: {performance: {min_rows: 10, metrics: {roc_auc: {min: 0.6}}}}
'''


def flights():
    import pandas as pd
    return pd.DataFrame(dict(hour=[6, 17, 18, 7, 19, 20, 8, 9, 21, 22, 10, 12], wind=[1., 2., None, 3., 4., 5., 6., None, 7., 8., 9., 1.],
                             late=[0, 1, 1, 0, 0, 1, 0, 0, 1, 1, 1, 0]))


def fitted(upside_down=False):
    from sklearn.pipeline import make_pipeline
    from sklearn.tree import DecisionTreeClassifier
    df = flights()
    return make_pipeline(DecisionTreeClassifier(max_depth=2, random_state=0)).fit(df[['hour', 'wind']], 1 - df.late if upside_down else df.late)


TREES = ['numpy.dtype', 'sklearn.tree._tree.Tree']


class World:
    "Everything about one small model, below one folder"
    def __init__(self, folder):
        self.folder = Path(folder)
        self.runs, self.policy, self.key, self.data = (self.folder/o for o in ('runs', 'policy.yaml', 'ana.pem', 'later.parquet'))

    @property
    def store(self):
        from mlops_kit.store import connect
        return connect(self.folder/'mlflow.db')

    def furnish(self):
        from mlops_kit.evidence import make_key, public_key_file
        self.folder.mkdir(parents=True, exist_ok=True)
        public_key_file(make_key(self.key, 'Ana Silva'), self.folder/'keys')
        write_file(self.policy, POLICY)
        flights().assign(hour=lambda d: d.hour + [0, 1, 0, 1]*3).to_parquet(self.data)
        assert self.store
        return self

    def register(self, **kwargs):
        from mlops_kit.registry import register
        upside_down = kwargs.pop('upside_down', False)
        return register(fitted(upside_down), 'tiny', **dict(train=flights(), target='late', policy=self.policy, store=self.store) | kwargs)

    def log(self, example=True, alias='champion', upside_down=False):
        "Log a model in plain MLflow and set an alias by hand, as people did before"
        import mlflow
        from mlops_kit.registry import quiet
        from mlops_kit.store import set_alias
        model, df = fitted(upside_down), flights()
        with quiet():
            mlflow.set_tracking_uri((store := self.store).address)
            found = mlflow.get_experiment_by_name('plain')
            mlflow.set_experiment(experiment_id=found.experiment_id if found else mlflow.create_experiment('plain', store.root and f'{store.root}/plain'))
            made = mlflow.sklearn.log_model(model, name='model', registered_model_name='tiny', pip_requirements=['scikit-learn'],
                                            signature=mlflow.models.infer_signature(df[['hour', 'wind']].astype(float), model.predict(df[['hour', 'wind']])),
                                            input_example=df[['hour', 'wind']].astype(float).head(4) if example else None, skops_trusted_types=TREES)
        if alias: set_alias(store, 'tiny', alias, made.registered_model_version)
        return made

    def adopt(self, **kwargs):
        from mlops_kit.adoption import adopt
        return adopt('tiny', **dict(policy=self.policy, store=self.store) | kwargs)

    def judge(self, ref, policy=None):
        "What `run_gates` does, without processes of its own"
        from mlops_kit.evidence import store_evidence
        from mlops_kit.gates import judge_gate
        from mlops_kit.runner import prepared
        policy, store = policy or self.policy, self.store
        folder, gates = prepared(ref, self.data, policy, self.runs, 'champion', None, store)
        for gate, notebook in gates.items():
            judge_gate(gate, ref, str(self.data), str(policy), str(self.runs), run=folder/'run.json').save(self.runs)
            shutil.copyfile(notebook, folder/gate/'executed.ipynb')
        return store_evidence(store, folder)

    def promote(self, ref, **kwargs):
        from mlops_kit.promotion import promote
        return promote(ref, **dict(policy=self.policy, store=self.store, out=self.runs, page=None, progress=False) | kwargs)

    def person(self, name, role='', pinned=True):
        "Make a key, whose public half lies beside the policy unless it belongs to a stranger"
        from mlops_kit.evidence import make_key, public_key_file
        key = make_key(self.folder/f'{name.split()[0].lower()}{role}.pem', name, role)
        if pinned: public_key_file(key, self.folder/'keys')
        return key

    def says(self, kind, by, ref='tiny/3', **kwargs):
        "Have a person approve, reject, withdraw or waive"
        from mlops_kit import approval
        os.environ['MLOPS_KIT_KEY'] = str(self.folder/f'{by}.pem')
        try: return getattr(approval, kind)(ref, store=self.store, **kwargs)
        finally: os.environ['MLOPS_KIT_KEY'] = str(self.key)

    def change(self, **kwargs):
        from mlops_kit.approval import change_policy
        return change_policy('tiny', self.policy, store=self.store, **kwargs)

    def rollback(self, **kwargs):
        from mlops_kit.promotion import rollback
        return rollback('tiny', store=self.store, **kwargs)

    def reconcile(self):
        from mlops_kit.promotion import reconcile
        return reconcile('tiny', 'moved by hand', store=self.store)

    def alias(self, name='champion'):
        from mlops_kit.store import get_alias
        return get_alias(self.store, 'tiny', name)

    def book(self):
        from mlops_kit.ledger import ledger
        return ledger(self.store, 'tiny')

    def keep(self, to):
        "Copy everything away"
        shutil.copytree(self.folder, to, dirs_exist_ok=True)

    def restore(self, kept):
        "Put everything back: addresses in the store are absolute, and its connections stay open, so folder and database stay where they are"
        for p in self.folder.iterdir():
            if p.is_dir(): shutil.rmtree(p)
            elif p.name != 'mlflow.db': p.unlink()
        shutil.copytree(kept, self.folder, ignore=shutil.ignore_patterns('mlflow.db*'), dirs_exist_ok=True)
        with closing(sqlite3.connect(Path(kept)/'mlflow.db')) as old, closing(sqlite3.connect(self.folder/'mlflow.db')) as new: old.backup(new)


PRELOAD = ('mlflow.sklearn mlflow.pyfunc mlflow.artifacts mlflow.store.tracking.sqlalchemy_store mlflow.store.model_registry.sqlalchemy_store '
           'mlflow.store.artifact.models_artifact_repo skops.io pandas pyarrow.parquet pyarrow.dataset sklearn.tree sklearn.pipeline sklearn.metrics scipy.stats '
           'securesystemslib.dsse securesystemslib.signer rfc8785 jsonschema sqlite3 mlops_kit.policy mlops_kit.promotion mlops_kit.table mlops_kit.profile').split()


def act(folder, what, kwargs, crash_at, says):
    "One command in a process of its own, which may be killed at one of its writes"
    world = World(folder)
    os.environ.update(MLOPS_KIT_CRASH_AT=crash_at, MLOPS_KIT_KEY=str(world.key))
    getattr(world, what)(**kwargs)
    from mlops_kit.store import WRITES
    Path(says).write_text('\n'.join(WRITES))


def in_process(world, what, crash_at='', **kwargs):
    "Run a command in a forked process; return its exit code and the labels of its writes"
    ctx = multiprocessing.get_context('forkserver')
    ctx.set_forkserver_preload(PRELOAD)
    says = world.folder.with_name('writes.txt')
    says.unlink(missing_ok=True)
    p = ctx.Process(target=act, args=(str(world.folder), what, kwargs, crash_at, str(says)))
    p.start()
    p.join(120)
    return p.exitcode, says.read_text().split('\n') if says.exists() else []


KILLED = -signal.SIGKILL
