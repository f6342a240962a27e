"Notifications: each kind is sent, signed and well formed; a receiver that fails changes nothing"
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest import mock

import pytest

from mlops_kit import notify as room
from mlops_kit.promotion import Decision
from mlops_kit.store import read_artifact, set_alias
from world import POLICY, World


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.got.append((dict(self.headers), self.rfile.read(int(self.headers['Content-Length']))))
        if self.server.status is None: return time.sleep(1)
        self.send_response(self.server.status)
        if self.server.status == 302: self.send_header('Location', '/else')
        self.end_headers()

    def log_message(self, *args): pass


@pytest.fixture
def receiver(monkeypatch):
    server = ThreadingHTTPServer(('127.0.0.1', 0), Receiver)
    server.got, server.status = [], 200
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv('MLOPS_KIT_WEBHOOK', f'http://127.0.0.1:{server.server_port}/hush')
    monkeypatch.setenv('MLOPS_KIT_WEBHOOK_SECRET', 's3cret')
    yield server
    server.shutdown()
    server.server_close()


def made(decision, **kw): return Decision(decision, 'tiny', 'champion', dict(version=2), **kw)


@pytest.mark.parametrize('decision, kind', room.KINDS.items())
def test_each_kind_is_a_signed_cloudevent(receiver, decision, kind):
    d = made(decision, entry=dict(token='ab', at='2026-01-02T03:04:05+00:00'))
    assert room.notify(d, 'said') == room.notify(d, 'said') == []
    (headers, body), (_, again) = receiver.got
    event = json.loads(body)
    assert body == again and headers['X-Mlops-Kit-Signature-256'] == room.signature(body, 's3cret')
    assert headers['Content-Type'].startswith('application/cloudevents+json')
    assert event['specversion'] == '1.0' and all(event[o] for o in ('id', 'source', 'type', 'subject', 'time'))
    assert event['type'].endswith(kind) and event['data']['headline'] == 'said' and b's3cret' not in body


@pytest.mark.parametrize('status, why', [(500, 'HTTP status 500'), (302, 'HTTP status 302'), (None, 'no answer within 0.2 seconds')])
def test_a_receiver_that_fails_is_one_line_without_secrets(receiver, monkeypatch, status, why):
    monkeypatch.setattr(room, 'TIMEOUT', .2)
    receiver.status = status
    said, = room.notify(made('promoted'))
    assert said == f'the webhook was not notified: {why}'
    assert len(receiver.got) == 1


def test_nobody_there_nothing_installed_and_dry_runs(monkeypatch):
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        monkeypatch.setenv('MLOPS_KIT_WEBHOOK', f'http://127.0.0.1:{s.getsockname()[1]}/hush')
        assert room.notify(made('promoted')) == ['the webhook was not notified: Connection refused']
    with monkeypatch.context() as m:
        m.setenv('MLOPS_KIT_WEBHOOK', 'ftp://hush')
        assert room.notify(made('promoted')) == ['the webhook was not notified: its address is none of http or https']
    monkeypatch.setitem(__import__('sys').modules, 'apprise', None)
    monkeypatch.setenv('MLOPS_KIT_APPRISE', 'json://hush')
    assert room.notify(made('promoted'))[1] == "Apprise was not notified: it is not installed; Hint: pip install 'mlops_kit[notify]'"
    assert room.notify(made('promoted', dry_run=True)) == []


@pytest.mark.filterwarnings('ignore::DeprecationWarning') # Its own
def test_apprise_itself_sends_the_headline_to_every_address(receiver, monkeypatch):
    pytest.importorskip('apprise', reason='no Apprise here: the extra `notify` brings it')
    monkeypatch.delenv('MLOPS_KIT_WEBHOOK')
    at = f'json://127.0.0.1:{receiver.server_port}'
    monkeypatch.setenv('MLOPS_KIT_APPRISE', f'{at}/hush {at}/team')
    assert room.notify(made('promoted'), 'tiny/2 is promoted') == []
    assert [(o['title'], o['message']) for o in map(json.loads, (body for _, body in receiver.got))] == [('tiny/2', 'tiny/2 is promoted')]*2
    receiver.status = 500
    for urls, why in {f'{at}/hush': 'an address did not take it', 'nonsense://hush': 'it knows no such address'}.items():
        monkeypatch.setenv('MLOPS_KIT_APPRISE', urls)
        said, = room.notify(made('promoted'), 'tiny/2 is promoted')
        assert said == f'Apprise was not notified: {why}'


@pytest.mark.slow
def test_every_kind_is_told_once_and_nothing_depends_on_it(receiver, tmp_path, monkeypatch):
    world = World(tmp_path/'world').furnish()
    world.team(POLICY.replace('gates: [performance]}', 'gates: [performance], approvals: {required: 1, roles: [risk]}}'))
    monkeypatch.setenv('MLOPS_KIT_KEY', str(world.key))
    for upside_down in (False, True, False): world.register(upside_down=upside_down)
    def told(d, code, *kinds):
        assert (d.exit_code, [json.loads(b)['type'].split('.')[-1] for _, b in receiver.got]) == (code, [*kinds])
        receiver.got.clear()
        return d
    world.judge('tiny/1')
    assert 'waits for approval' in told(world.promote('tiny/1'), 5, 'waiting').__repr__()
    world.says('approve', 'benrisk', 'tiny/1')
    told(world.promote('tiny/1'), 0, 'promoted')
    told(world.promote('tiny/1'), 0)
    for n in (2, 3): world.judge(f'tiny/{n}')
    told(world.promote('tiny/2'), 1, 'refused')
    told(world.promote('tiny/3', expect=7), 6, 'conflict')
    world.says('approve', 'benrisk', 'tiny/3')
    receiver.status = 500
    d, failed = told(world.promote('tiny/3'), 0, 'promoted'), 'the webhook was not notified: HTTP status 500'
    kept = read_artifact(world.store, d.evidence['run_id'], 'decision.json'), Path(d.run, 'decision.json').read_bytes()
    assert d.reasons[-1] == failed and world.alias() == 3 and [json.loads(o)['reasons'][-1] for o in kept] == [failed]*2
    set_alias(world.store, 'tiny', 'champion', 2)
    assert told(world.rollback(reason='why not'), 6, 'conflict').reasons[-1] == failed
    told(world.reconcile(), 0, 'reconciled')
    told(world.reconcile(), 0)
    told(world.rollback(expect=1), 6, 'conflict')
    with monkeypatch.context() as m, pytest.raises(OSError):
        m.setattr('mlops_kit.promotion.settle', mock.Mock(side_effect=OSError))
        world.rollback(reason='why not')
    told(world.rollback(reason='why not'), 0, 'rolledback')
    assert world.alias() == 1
