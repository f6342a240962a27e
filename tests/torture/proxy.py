"""A network that loses things, before a real tracking server: requests, replies, and requests that come late.

    python tests/torture/proxy.py --store server|server+postgres --out FILE.json [--only promote,rollback] [--fates reply,request,late]
"""
import argparse
import http.client
import json
import os
import random
import sys
import threading
import time
import warnings
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from mlops_kit.core import write_file
from torture.checks import broken, told
from torture.kill import SCENES, crowd, fits, next_command, set_stage
from world import command

FATES = 'reply', 'request', 'late'


class Lossy(ThreadingHTTPServer):
    "Forwards what it is asked, but for what is doomed: by number, or by chance"
    daemon_threads = True
    def __init__(self, target):
        super().__init__(('127.0.0.1', 0), Forward)
        self.target, self.address = urlsplit(target).netloc, f'http://127.0.0.1:{self.server_address[1]}'
        self.lock, self.held, self.seen = threading.Lock(), [], Counter()
        self.be_kind()

    def be_kind(self): self.doom, self.writes = (lambda n: ''), []
    def handle_error(self, request, client_address): "A client that is gone is nothing to talk about"

    def doomed(self, number, fate):
        "Doom one write, counted from 1"
        self.doom, self.writes = (lambda n: fate if n == number else ''), []

    def by_chance(self, share, seed=0, wait=.3):
        "Doom a share of the writes to each fate, and make as many wait"
        dice = random.Random(seed)
        def doom(n):
            roll = dice.random()
            if roll < share: time.sleep(dice.random()*wait)
            return next((fate for i, fate in enumerate(FATES, 1) if i*share <= roll < (i+1)*share), '')
        self.doom = doom

    def fate(self, write, path):
        "Number a write and say what becomes of it"
        if not write: return ''
        with self.lock:
            self.writes.append(path)
            fate = self.doom(len(self.writes))
            self.seen[fate or 'whole'] += 1
        return fate

    def release(self):
        "Let what is held arrive now, after all; the answers, that nobody waits for"
        with self.lock: held, self.held = self.held, []
        return [self.forward(*o)[0] for o in held]

    def forward(self, method, path, body, headers):
        c = http.client.HTTPConnection(self.target, timeout=60)
        try:
            c.request(method, path, body, headers)
            r = c.getresponse()
            return r.status, r.getheaders(), r.read()
        finally: c.close()


class Forward(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def log_message(self, *args): "Quiet"

    def body(self):
        if self.headers.get('Transfer-Encoding') != 'chunked': return self.rfile.read(int(self.headers.get('Content-Length') or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b''.join(parts)

    def answer(self):
        body, keep = self.body(), {k: v for k, v in self.headers.items() if k.lower() not in ('host', 'connection', 'transfer-encoding', 'content-length')}
        asked = self.command, self.path, body, keep
        fate = self.server.fate(self.command != 'GET' and not self.path.split('?')[0].endswith('search'), self.path)
        if fate in ('request', 'late'):
            if fate == 'late': self.server.held.append(asked)
            self.close_connection = True
            return
        status, headers, found = self.server.forward(*asked)
        if fate == 'reply':
            self.close_connection = True
            return
        self.send_response_only(status)
        for k, v in headers:
            if k.lower() not in ('connection', 'transfer-encoding', 'content-length'): self.send_header(k, v)
        self.send_header('Content-Length', str(len(found)))
        self.end_headers()
        self.wfile.write(found)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer


@contextmanager
def lossy(target):
    "A proxy before a server, kind until it is told otherwise"
    proxy = Lossy(target)
    threading.Thread(target=proxy.serve_forever, kwargs=dict(poll_interval=.1), daemon=True).start()
    try: yield proxy
    finally:
        proxy.shutdown()
        proxy.server_close()


def through(s, proxy):
    "Run the scene's command through the proxy"
    return command(s.world, s.scene.what, address=proxy.address, **s.scene.kwargs)


def torn(s, proxy, number, fate):
    "Lose one write of the command, look at once, and type the command again; what is wrong, and what was counted"
    s.world.restore(s.kept)
    proxy.doomed(number, fate)
    o = through(s, proxy)
    proxy.be_kind()
    at, count = f'{fate} {number}', Counter({fate: 1, f'exit {o.code}': 1})
    wrong = [f'{at}: {w}' for w in broken(s.world, settled=False, conflict=s.scene.conflict) + fits(s, told(s.world))]
    if o.code == s.scene.code and told(s.world) != s.after and not s.scene.more: wrong.append(f'{at}: it said {o.said} and decided {told(s.world)}')
    if not (o.code == s.scene.code and (s.scene.more or s.scene.what == 'rollback')): wrong += [f'{at}, again: {w}' for w in next_command(s, 'again')[0]]
    return count, wrong + [f'{at}: {w}' for w in late(s, proxy, count)]


def late(s, proxy, count):
    "Let what was held arrive after all: nothing was decided by that, and an alias that it moved is reported and put back"
    if not proxy.held: return
    before = told(s.world)
    answers = proxy.release()
    count['late and refused'] += sum(o >= 400 for o in answers)
    o = command(s.world, 'status')
    count['late and a conflict'] += o.code == 6
    yield from broken(s.world, conflict=o.code == 6)
    if told(s.world) != before: yield f'what came late decided {told(s.world)}, it was {before}'
    if o.code == 6:
        yield from ([] if command(s.world, 'reconcile').code == 0 else ['what came late cannot be settled'])
        yield from broken(s.world)


def lose(world, proxy, only=None, fates=FATES, numbers=None, show=lambda o: None):
    "Lose each write of each scene's command in turn; what was counted in each, and what is broken"
    found, wrong = {}, []
    for name in only or SCENES:
        start, s, count = time.monotonic(), set_stage(world, name), Counter()
        s.world.restore(s.kept)
        proxy.be_kind()
        assert through(s, proxy).code == s.scene.code
        writes = list(proxy.writes)
        for number in numbers or range(1, len(writes)+1):
            for fate in fates:
                n, bad = torn(s, proxy, number, fate)
                count.update(n)
                wrong += [f'{name}, {o}' for o in bad]
                for o in bad: show(f'  BROKEN {name}, {o} ({writes[number-1]})')
        found[name] = dict(requests=len(writes), **dict(sorted(count.items())), seconds=round(time.monotonic() - start, 1))
        show(f'{name}: {found[name]}')
    return found, wrong


def overtaken(world, proxy):
    "A promotion's `set alias` hangs in the network while somebody goes back, and arrives after that; what is wrong"
    s = set_stage(world, 'promote')
    s.world.restore(s.kept)
    proxy.doomed(2, 'late')
    assert through(s, proxy).code == 3 and 'alias' in proxy.writes[1]
    proxy.be_kind()
    o = command(world, 'rollback', to=1)
    if o.code: yield f'going back ends with {o.code}: {o.said}'
    before, champion = told(world), world.alias()
    proxy.release()
    if (champion, world.alias()) != (1, 3): yield f'the alias was {champion} and is {world.alias()}'
    o = command(world, 'status')
    if o.code != 6 or 'is at version 3, but entry' not in o.said: yield f'status ends with {o.code}: {o.said}'
    o = command(world, 'rollback', to=1)
    if o.code != 6: yield f'going back again ends with {o.code}: {o.said}'
    yield from broken(world, conflict=True)
    if told(world) != before: yield f'what came late decided {told(world)}, it was {before}'
    o = command(world, 'reconcile')
    if o.code or world.alias() != 1: yield f'reconcile ends with {o.code}: {o.said}'
    yield from broken(world)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--store', default='server', choices=['server', 'server+postgres'])
    p.add_argument('--only', default='', help='scenes, with commas: ' + ', '.join(SCENES))
    p.add_argument('--fates', default=','.join(FATES))
    p.add_argument('--out', default='')
    args = p.parse_args()
    start, os.environ['PYTHONWARNINGS'] = time.monotonic(), 'ignore'
    warnings.simplefilter('ignore')
    with crowd(args.store) as world, lossy(world.address) as proxy:
        found, wrong = lose(world, proxy, [o for o in args.only.split(',') if o], args.fates.split(','), show=lambda o: print(o, flush=True))
        wrong += [f'overtaken: {o}' for o in overtaken(world, proxy)]
    total = Counter()
    for o in found.values(): total.update({k: v for k, v in o.items() if k != 'seconds'})
    said = dict(schema='mlops_kit/torture/proxy/1', store=args.store, **total, seconds=round(time.monotonic() - start), commands=found, broken=wrong)
    if args.out: write_file(args.out, json.dumps(said, indent=1) + '\n')
    print(json.dumps({k: v for k, v in said.items() if k != 'commands'}))
    return bool(wrong)


if __name__ == '__main__': sys.exit(main())
