"A model's whole life in one folder: registrations, approvals, a refusal, a waiver, promotions, a rollback, an entry that a stranger wrote."
import os
from contextlib import contextmanager
from datetime import date, timedelta

from mlops_kit import ledger
from mlops_kit.core import now, write_file
from world import POLICY, World

STAGE = 'gates: [performance], approvals: {required: 2, roles: [risk]}'
TEAM = POLICY.replace('{champion: {gates: [performance]}}', f'{{champion: {{{STAGE}}}, challenger: {{gates: [performance]}}}}')
SOON = str(date.fromisoformat(now()[:10]) + timedelta(days=20))
CONTRACT = '''version: 1.0.0
apiVersion: v3.0.2
kind: DataContract
id: tiny
name: tiny
status: active
schema:
  - name: tiny
    logicalType: object
    properties:
      - {name: hour, logicalType: integer}
      - {name: wind, logicalType: number}
      - {name: late, logicalType: integer}
'''


def agreed(world, ref, *people):
    for by in people: world.says('approve', by, ref)


def promoted(world, ref, *people):
    world.judge(ref)
    agreed(world, ref, *people)
    d = world.promote(ref)
    assert d.exit_code == 0, d


def stranger(world):
    "Somebody writes the next entry straight into MLflow"
    from mlops_kit.store import log_param_once
    chain = world.book().read()[0]
    log_param_once(world.store, chain.runs[-1], f'seq-{chain.seq:06d}', '{"kind": "promote", "by": "a stranger"}')


@contextmanager
def short_pages(entries=9):
    "A ledger that goes on in a new run after a few entries"
    before, ledger.MOST_ENTRIES = ledger.MOST_ENTRIES, entries
    try: yield
    finally: ledger.MOST_ENTRIES = before


@short_pages()
def lived(folder):
    "Ana registers; Ben and Dee answer for risk, Cy for the business. Version 1 was adopted; afterwards 4 is champion, and 5 waits with one approval."
    world = World(folder).furnish()
    for name, role in [('Ben Ode', 'risk'), ('Cy Moe', 'owner'), ('Dee Fox', 'risk')]: world.person(name, role)
    world.policy.write_text(TEAM)
    os.environ['MLOPS_KIT_KEY'] = str(world.key)
    world.log()
    world.adopt()
    write_file(contract := world.folder/'tiny.odcs.yaml', CONTRACT)
    for upside_down in (False, True, False): world.register(upside_down=upside_down, contract=contract)
    promoted(world, 'tiny/2', 'benrisk', 'cyowner')
    world.judge('tiny/3')
    assert world.promote('tiny/3').exit_code == 1
    world.says('waive', 'deerisk', 'tiny/3', gate='performance', until=SOON, reason='a known strike')
    agreed(world, 'tiny/3', 'benrisk', 'cyowner')
    assert world.promote('tiny/3').exit_code == 0
    world.rollback(reason='refunds spiked')
    stranger(world)
    world.judge('tiny/4')
    world.says('reject', 'deerisk', 'tiny/4', reason='not yet')
    stranger(world)
    world.says('withdraw', 'deerisk', 'tiny/4')
    agreed(world, 'tiny/4', 'cyowner', 'deerisk')
    assert world.promote('tiny/4').exit_code == 0
    world.register(contract=contract)
    for _ in range(2): world.judge('tiny/5')
    world.says('approve', 'benrisk', 'tiny/5')
    return world
