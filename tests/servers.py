"Stores of all three kinds for tests: an SQLite file, a database of a real PostgreSQL, a real MLflow tracking server before either."
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager, suppress
from pathlib import Path

KINDS = 'sqlite', 'postgres', 'server'
EMPTY = 'mlflow_empty'


def free_port():
    with socket.create_server(('127.0.0.1', 0)) as s: return s.getsockname()[1]


class File:
    "The SQLite file of a store; its connections stay open, so it is restored in place"
    def __init__(self, path): self.path = Path(path).absolute()

    @property
    def address(self): return f'sqlite:///{self.path}'

    def copy(self, frm, to):
        with closing(sqlite3.connect(frm)) as old, closing(sqlite3.connect(to)) as new: old.backup(new)

    def keep(self, to): self.copy(self.path, Path(to)/'mlflow.db')
    def restore(self, kept): self.copy(Path(kept)/'mlflow.db', self.path)


class Database:
    "A database of a PostgreSQL server: kept and restored as a template, within a tenth of a second"
    def __init__(self, server, name):
        self.server, self.name = server, name
        migrated(server)
        self.make(name, EMPTY)

    @property
    def address(self): return f'{driver(self.server)}/{self.name}'

    def make(self, name, template):
        "Make a database like another; connections to either end there"
        drop(self.server, name)
        sql(self.server, f'ALTER DATABASE "{template}" ALLOW_CONNECTIONS false', ENDS.format(template))
        sql(self.server, f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy', f'ALTER DATABASE "{template}" ALLOW_CONNECTIONS true')

    def kept(self, kept): return f'{self.name}-{Path(kept).name}'
    def keep(self, to): self.make(self.kept(to), self.name)
    def restore(self, kept): self.make(self.name, self.kept(kept))


ENDS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'"


def driver(server): return server.replace('postgres://', 'postgresql+psycopg://').rpartition('/')[0]


def sql(server, *statements):
    "Run statements as the server's owner"
    import psycopg
    with psycopg.connect(server.replace('postgres://', 'postgresql://'), autocommit=True) as c:
        for o in statements: c.execute(o)


def drop(server, name): sql(server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def migrated(server):
    "Make the empty migrated store of a PostgreSQL server, once"
    import psycopg
    with suppress(psycopg.errors.DuplicateDatabase):
        sql(server, f'CREATE DATABASE "{EMPTY}"')
        from mlops_kit.store import connect
        connect(f'{driver(server)}/{EMPTY}').client.search_experiments()


class Server:
    "A running tracking server: its address, its process, and the database behind it"
    def __init__(self, behind, folder, port=None, workers=1, arguments=(), **env):
        self.behind, self.folder, self.port = behind, Path(folder), port or free_port()
        self.address, self.workers, self.arguments, self.env, self.p = f'http://127.0.0.1:{self.port}', workers, arguments, env, None

    def start(self, patience=90):
        "Start it and wait until it answers"
        from mlops_kit.store import connect
        self.folder.mkdir(parents=True, exist_ok=True)
        connect(self.behind.address)
        command = [sys.executable, '-m', 'mlflow', 'server', '--backend-store-uri', self.behind.address, '--artifacts-destination', str(self.folder/'mlartifacts'),
                   '--host', '127.0.0.1', '--port', str(self.port), '--workers', str(self.workers), *self.arguments]
        quiet = dict(MLFLOW_SERVER_ENABLE_JOB_EXECUTION='false', MLFLOW_DISABLE_TELEMETRY='true', OMP_NUM_THREADS='1')
        with open(self.log, 'ab') as log: self.p = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=os.environ | quiet | self.env)
        end = time.monotonic() + patience
        while not self.well():
            assert self.p.poll() is None and time.monotonic() < end, self.log.read_text()
            time.sleep(.2)
        return self

    @property
    def log(self): return self.folder.with_name(f'{self.folder.name}-server.log')

    def well(self):
        from mlops_kit.core import RegistryError
        from mlops_kit.store import look
        try: look(self.address)
        except RegistryError: return False
        return True

    def kill(self, how=signal.SIGKILL):
        "End it and everything that it started"
        if self.p is None: return
        with suppress(ProcessLookupError): os.killpg(self.p.pid, how)
        try: self.p.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(self.p.pid, signal.SIGKILL)
            self.p.wait()
        self.p = None

    def stop(self): self.kill(signal.SIGTERM)
    def keep(self, to): self.behind.keep(to)
    def restore(self, kept): self.behind.restore(kept)


@contextmanager
def mlflow_server(folder, behind=None, **kwargs):
    "A real tracking server on a free port, before an SQLite file of its own unless `behind` names a database"
    server = Server(behind or File(Path(folder)/'mlflow.db'), folder, **kwargs)
    try: yield server.start()
    finally: server.stop()


@contextmanager
def place(kind, folder, pg=None, **kwargs):
    "A store of one of `KINDS` whose files lie in `folder`; 'server+postgres' is a server before PostgreSQL; `pg` is that one's address"
    if kind == 'sqlite':
        yield File(Path(folder)/'mlflow.db')
        return
    behind = Database(pg, f'w_{os.getpid()}_{free_port()}') if 'postgres' in kind else None
    try:
        if kind == 'postgres': yield behind
        else:
            with mlflow_server(folder, behind, **kwargs) as server: yield server
    finally:
        if behind: forget(behind)


def forget(database):
    "Drop a database and all that was kept of it"
    import psycopg
    with psycopg.connect(database.server.replace('postgres://', 'postgresql://'), autocommit=True) as c:
        for name, in c.execute('SELECT datname FROM pg_database WHERE datname LIKE %s', [f'{database.name}%']).fetchall(): drop(database.server, name)
