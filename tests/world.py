"A small model's whole world in one folder: store, policy, key, data, and evidence made in this process."
import json
import multiprocessing
import os
import shutil
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from mlops_kit.core import MlopsKitError, write_file
from servers import File

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
    "Everything about one small model, below one folder, in an SQLite file there or in the store of a `place` from `servers`"
    def __init__(self, folder, address=None, name='tiny', place=None):
        self.folder, self.name, self.place = Path(folder), name, place or File(Path(folder)/'mlflow.db')
        self.address = address or self.place.address
        self.runs, self.policy, self.key, self.data = (self.folder/o for o in ('runs', 'policy.yaml', 'ana.pem', 'later.parquet'))

    @property
    def store(self):
        from mlops_kit.store import connect
        store = connect(self.address)
        if store.root: store.root = f'{self.folder.absolute()}/mlartifacts'
        return store

    def furnish(self):
        from mlops_kit.evidence import make_key, public_key_file
        self.folder.mkdir(parents=True, exist_ok=True)
        public_key_file(make_key(self.key, 'Ana Silva'), self.folder/'keys')
        write_file(self.policy, self.rules(POLICY))
        flights().assign(hour=lambda d: d.hour + [0, 1, 0, 1]*3).to_parquet(self.data)
        assert self.store
        return self

    def rules(self, text): return text.replace('model: tiny', f'model: {self.name}')

    def register(self, **kwargs):
        from mlops_kit.registry import register
        upside_down = kwargs.pop('upside_down', False)
        return register(fitted(upside_down), self.name, **dict(train=flights(), target='late', policy=self.policy, store=self.store) | kwargs)

    def log(self, example=True, alias='champion', upside_down=False):
        "Log a model in plain MLflow and set an alias by hand, as people did before"
        import mlflow
        from mlops_kit.registry import quiet
        from mlops_kit.store import set_alias
        model, df = fitted(upside_down), flights()
        with quiet(), mock.patch.dict(os.environ): # MLflow tells its address to all processes that come after
            mlflow.set_tracking_uri((store := self.store).address)
            mlflow.set_registry_uri(store.address)
            found = mlflow.get_experiment_by_name('plain')
            mlflow.set_experiment(experiment_id=found.experiment_id if found else mlflow.create_experiment('plain', store.root and f'{store.root}/plain'))
            made = mlflow.sklearn.log_model(model, name='model', registered_model_name=self.name, pip_requirements=['scikit-learn'],
                                            signature=mlflow.models.infer_signature(df[['hour', 'wind']], model.predict(df[['hour', 'wind']])),
                                            input_example=df[['hour', 'wind']].head(4) if example else None, skops_trusted_types=TREES)
        if alias: set_alias(store, self.name, alias, int(made.registered_model_version))
        return made

    def adopt(self, **kwargs):
        from mlops_kit.adoption import adopt
        return adopt(self.name, **dict(policy=self.policy, store=self.store) | kwargs)

    def judge(self, ref, policy=None, to='champion'):
        "What `run_gates` does, without processes of its own"
        from mlops_kit.evidence import store_evidence
        from mlops_kit.gates import judge_gate
        from mlops_kit.runner import prepared
        policy, store = policy or self.policy, self.store
        folder, gates = prepared(ref, self.data, policy, self.runs, to, None, store)
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

    def team(self, policy):
        "Ben and Dee answer for risk; a policy that asks them"
        for name in ('Ben Ode', 'Dee Fox'): self.person(name, 'risk')
        self.policy.write_text(self.rules(policy))

    def says(self, kind, by, ref='tiny/3', **kwargs):
        "Have a person approve, reject, withdraw or waive"
        from mlops_kit import approval
        os.environ['MLOPS_KIT_KEY'] = str(self.folder/f'{by}.pem')
        try: return getattr(approval, kind)(ref, store=self.store, **kwargs)
        finally: os.environ['MLOPS_KIT_KEY'] = str(self.key)

    def make_inbox(self):
        from mlops_kit.inbox import make_inbox
        return make_inbox(self.name, self.policy, self.store)

    def files(self, upside_down=False):
        "The files of a candidate, made once"
        from mlops_kit.registry import fill, read_training
        folder, model = self.folder/f'model{upside_down:d}', fitted(upside_down)
        if folder.exists(): return folder, json.loads((folder/'mlops_kit/lineage.json').read_text())
        return folder, fill(folder, model, read_training(model, flights(), None, 'late'), sources=[], owner='Ana Silva', registered_by='Ana Silva', intended_use='')

    def hand_in_version(self, **kwargs):
        from mlops_kit.inbox import hand_in_version
        return hand_in_version(self.store, self.name, *self.files(**kwargs))

    def hand_in(self, kind, by, ref, **kwargs):
        "Have a person say something from outside"
        from mlops_kit.inbox import hand_in
        os.environ['MLOPS_KIT_KEY'] = str(self.folder/f'{by}.pem')
        try: return hand_in(kind, ref, store=self.store, **kwargs)
        finally: os.environ['MLOPS_KIT_KEY'] = str(self.key)

    def receive(self, **kwargs):
        from mlops_kit.inbox import receive
        return receive(self.name, store=self.store, **kwargs)

    def change(self, **kwargs):
        from mlops_kit.approval import change_policy
        return change_policy(self.name, self.policy, store=self.store, **kwargs)

    def rollback(self, **kwargs):
        from mlops_kit.promotion import rollback
        return rollback(self.name, store=self.store, **kwargs)

    def reconcile(self):
        from mlops_kit.promotion import reconcile
        return reconcile(self.name, 'moved by hand', store=self.store)

    def status(self):
        from mlops_kit.promotion import status
        return status(self.name, store=self.store)

    def history(self, **kwargs):
        from mlops_kit.promotion import history
        return history(self.name, store=self.store, **kwargs)

    def alias(self, name='champion'):
        from mlops_kit.store import get_alias
        return get_alias(self.store, self.name, name)

    def book(self):
        from mlops_kit.ledger import ledger
        return ledger(self.store, self.name)

    def keep(self, to):
        "Copy everything away"
        shutil.copytree(self.folder, to, ignore=NOT_FILES, dirs_exist_ok=True)
        self.place.keep(to)

    def restore(self, kept):
        "Put everything back: addresses in the store are absolute, and its connections stay open, so folder and database stay where they are"
        for p in self.folder.iterdir():
            if p.is_dir(): shutil.rmtree(p)
            elif not p.name.startswith('mlflow.db'): p.unlink()
        shutil.copytree(kept, self.folder, ignore=NOT_FILES, dirs_exist_ok=True)
        self.place.restore(kept)


NOT_FILES = shutil.ignore_patterns('mlflow.db*')
PRELOAD = ('mlflow.sklearn mlflow.pyfunc mlflow.artifacts mlflow.store.tracking.sqlalchemy_store mlflow.store.model_registry.sqlalchemy_store '
           'mlflow.store.artifact.models_artifact_repo mlflow.store.tracking.rest_store mlflow.store.model_registry.rest_store mlflow.store.artifact.mlflow_artifacts_repo skops.io pandas pyarrow.parquet pyarrow.dataset sklearn.tree sklearn.pipeline sklearn.metrics scipy.stats '
           'securesystemslib.dsse securesystemslib.signer rfc8785 jsonschema sqlite3 mlops_kit.policy mlops_kit.promotion mlops_kit.table mlops_kit.profile').split()


def act(folder, address, name, what, kwargs, crash_at, says):
    "One command in a process of its own, which may be killed at one of its writes"
    start, world = time.monotonic(), World(folder, address, name)
    os.environ.update(MLOPS_KIT_CRASH_AT=crash_at, MLOPS_KIT_KEY=str(world.key))
    from mlops_kit.store import WRITES
    try: code, said = getattr(found := getattr(world, what)(**kwargs), 'exit_code', 0), repr(found)
    except MlopsKitError as e: code, said = e.exit_code, str(e)
    write_file(says, json.dumps(dict(code=code, said=said, writes=WRITES, seconds=time.monotonic() - start)))


@dataclass
class Outcome:
    "How a command in a process of its own ended"
    killed: bool
    code: int = None
    said: str = ''
    writes: list = field(default_factory=list)
    seconds: float = 0


def started(world, what, crash_at='', address=None, **kwargs):
    "Start a command in a forked process, which may have another address of the store"
    ctx = multiprocessing.get_context('forkserver')
    ctx.set_forkserver_preload(PRELOAD)
    says = world.folder.with_name(f'{world.folder.name}-says.json')
    says.unlink(missing_ok=True)
    p = ctx.Process(target=act, args=(str(world.folder), address or world.address, world.name, what, kwargs, crash_at, str(says)))
    p.start()
    return p, says


def command(world, what, crash_at='', after=None, **kwargs):
    "Run a command in a forked process, which may be killed at one of its writes, or after some seconds"
    p, says = started(world, what, crash_at, **kwargs)
    p.join(after or 120)
    if p.is_alive(): p.kill()
    p.join()
    there = json.loads(says.read_text()) if says.exists() else {}
    assert there or p.exitcode == KILLED, f'{what} ended with {p.exitcode} and said nothing'
    return Outcome(p.exitcode == KILLED, **there)


def in_process(world, what, crash_at='', **kwargs):
    "Run a command in a forked process; return 0 or `KILLED`, and the labels of its writes"
    o = command(world, what, crash_at, **kwargs)
    return o.killed and KILLED, o.writes


KILLED = -signal.SIGKILL
