"A real tracking server that starts and dies in a moment, and a gateway before it that misbehaves."
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from world import World

NURSERY = '''import os, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
import uvicorn
from mlflow.server.fastapi_app import app
for line in sys.stdin:
    if pid := os.fork(): print(pid, flush=True)
    else: os._exit(uvicorn.run(app, host='127.0.0.1', port=int(line), log_level='critical') or 0)
'''


def free_port():
    with socket.create_server(('127.0.0.1', 0)) as s: return s.getsockname()[1]


class Server:
    "An MLflow tracking server on SQLite: its program is loaded once, each life of it is a fork"
    def __init__(self, folder):
        from mlops_kit.store import connect
        self.port, self.pid = free_port(), None
        self.uri, self.log = f'http://127.0.0.1:{self.port}', Path(folder)/'server.log'
        env = dict(_MLFLOW_SERVER_FILE_STORE=connect(Path(folder)/'mlflow.db').address, _MLFLOW_SERVER_REGISTRY_STORE='', _MLFLOW_SERVER_SERVE_ARTIFACTS='true',
                   _MLFLOW_SERVER_ARTIFACT_DESTINATION=str(Path(folder)/'files'), _MLFLOW_SERVER_ARTIFACT_ROOT='mlflow-artifacts:/', MLFLOW_SERVER_ENABLE_JOB_EXECUTION='false')
        with open(self.log, 'wb') as log: self.nursery = subprocess.Popen([sys.executable, '-c', NURSERY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=os.environ | env)

    def start(self):
        self.nursery.stdin.write(f'{self.port}\n')
        self.nursery.stdin.flush()
        self.pid, end = int(self.nursery.stdout.readline()), time.monotonic() + 30
        while not self.up():
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(.02)
        return self

    def up(self):
        try: socket.create_connection(('127.0.0.1', self.port), 1).close()
        except OSError: return False
        return True

    def kill(self):
        if self.pid: os.kill(self.pid, signal.SIGKILL)
        self.pid, end = None, time.monotonic() + 5
        while self.up(): assert time.monotonic() < end

    def end(self):
        self.kill()
        self.nursery.stdin.close()
        self.nursery.stdout.close()
        self.nursery.wait()


class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *args): pass

    def do(self):
        body, gate = self.rfile.read(int(self.headers.get('Content-Length') or 0)), self.server.gate
        how = gate.how(self.command, self.path)
        gate.seen.append((self.command, self.path.split('?')[0], how))
        if how == 'hangs': return self.leave(gate.free.wait(60))
        if how == 'slow': time.sleep(gate.delay)
        if how == 'drips': return self.drip()
        if how in PAGES: return self.answer(*PAGES[how])
        found = self.ask(gate.behind, body)
        if how == 'lost': return self.leave()
        self.answer(*found, share=.5 if how == 'cut' else 1)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do

    def ask(self, port, body):
        c = http.client.HTTPConnection('127.0.0.1', port, timeout=60)
        try:
            c.request(self.command, self.path, body or None, {k: v for k, v in self.headers.items() if k.lower() not in ('host', 'connection', 'content-length')})
            r = c.getresponse()
            return r.status, r.headers.get('Content-Type', 'text/plain'), r.read()
        finally: c.close()

    def answer(self, status, kind, body, share=1):
        self.send_response(status)
        self.send_header('Content-Type', kind)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body[:int(len(body)*share)])
        if share < 1: self.leave()

    def drip(self):
        "Send a byte now and then, so that the line is never silent"
        self.answer(200, 'application/json', b' '*1000, share=.001)
        try:
            while not self.server.gate.free.wait(.1): self.wfile.write(b' ')
        except OSError: pass

    def leave(self, _=None): self.close_connection = True


PAGE = b'<html><head><title>Bad Gateway</title></head><body>nginx</body></html>'
PAGES = {'500': (500, 'text/html', PAGE), '502': (502, 'text/html', PAGE), '503': (503, 'text/html', PAGE), '404': (404, 'text/html', PAGE), 'html': (200, 'text/html', PAGE),
         'empty': (200, 'application/json', b''), 'half': (200, 'application/json', b'{"run": {"info": {"run_')}


class Gateway:
    "A proxy before a server; `how(method, path)` says what becomes of a request"
    def __init__(self, server):
        self.behind, self.free, self.seen, self.delay = server.port, threading.Event(), [], 0
        self.httpd = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.httpd.gate, self.httpd.daemon_threads, self.httpd.handle_error = self, True, lambda *args: None
        self.uri = f'http://127.0.0.1:{self.httpd.server_port}'
        self.let_through()
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()

    def let_through(self): self.how = lambda method, path: ''

    def end(self):
        self.free.set()
        self.httpd.shutdown()
        self.httpd.server_close()


class Served(World):
    "A world whose store is a tracking server, seen through whatever address"
    uri = None

    @property
    def store(self):
        from mlops_kit.store import connect
        return connect(self.uri)


@contextmanager
def dying(at, kill, after=False):
    "Have something happen before the write of this number, or after it"
    from mlops_kit import store
    first, real, seen = len(store.WRITES), store.crash, []
    def crash(when):
        n = len(store.WRITES) - first
        if bool(when) == after and n == at and not seen: seen.append(kill())
    store.crash = crash
    try: yield seen
    finally: store.crash = real
