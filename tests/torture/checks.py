"What must hold of a world after anything: asked of the store, not of what a command said about itself."
import json
import tempfile
from pathlib import Path

from mlops_kit import ledger as lg, registry
from mlops_kit.core import MlopsKitError
from mlops_kit.evidence import check_evidence, fetch_evidence, has_evidence, list_evidence
from mlops_kit.store import aliases

WORDS = 'approve', 'reject', 'withdraw', 'waive'
SEEN = {} # Digest of evidence that was fetched and read already to what was found


def forget():
    "Drop what this process remembers of entries and files that it has verified"
    for o in (lg.PINS, lg.KNOWN, registry._LOADED): o.clear()


def chain(entries):
    "Every entry counts, its number is the next, it holds the digest of the one before, and its base is the target of the move before"
    before, held = None, {}
    for n, e in enumerate(entries, 1):
        if e.void: yield f'entry {e.seq} is void: {e.void}'
        if e.seq != n: yield f'entry {e.seq} stands in place {n}'
        if before and e.previous != before.digest: yield f'entry {e.seq} does not hold the digest of entry {before.seq}'
        if e.kind in lg.MOVES:
            if e.base != held.get(e.alias): yield f'the base of entry {e.seq} is not the target of the move before'
            held[e.alias] = e.target
        before = e
    if len({e.token for e in entries}) < len(entries): yield 'two entries have the same token'


def evidence(store, entries):
    "What an entry names is there"
    for e in entries:
        if e.kind in ('promote', *WORDS) and e.target and e.evidence and not has_evidence(store, e.evidence): yield f'entry {e.seq} ({e.kind}) names evidence that is not there'


def judged(store, book, entries):
    "Every promotion rests on verdicts about this very version, against the champion of that moment, or nobody where that one is gone by now, that let it through or were waived"
    last = {}
    for e in entries:
        if e.kind == 'promote':
            run, statuses = reading(store, book.name, e)
            if not run: yield f'the evidence of entry {e.seq} cannot be read: {statuses}'
            else:
                waived = {o.decision.split(' until ')[0] for o in entries[:e.seq] if o.kind == 'waive' and o.target == e.target}
                says = dict(version=(lg.identity(run['version']), e.target), champion=(run['champion'] and lg.identity(run['champion']), e.base), policy=(run['policy'], e.policy), last_decision=(run['last_decision'], last.get(e.alias)))
                if not run['champion'] and e.base and not lg.is_there(book, e.base): says.pop('champion')
                yield from (f'the evidence of entry {e.seq} is about another {k}' for k, (has, wants) in says.items() if has != wants)
                yield from (f'entry {e.seq} promotes although {g} says {s}' for g, s in statuses.items() if s not in ('pass', 'warn') and (g not in waived or s == 'error'))
        if e.kind in ('promote', 'rollback'): last[e.alias] = e.digest


def reading(store, name, e):
    "Fetch the evidence of an entry and hash it all again; what `run.json` says, and gate to status"
    if e.evidence['digest'] in SEEN: return SEEN[e.evidence['digest']]
    try:
        found = next(o for o in list_evidence(store, e.target['manifest'], name) if o.run_id == e.evidence['run_id'])
        with tempfile.TemporaryDirectory() as tmp:
            folder = fetch_evidence(store, found, Path(tmp)/'run')
            verdicts = check_evidence(folder, {}, e.evidence['digest'])['statement']['predicate']['verdicts']
            SEEN[e.evidence['digest']] = json.loads((folder/'run.json').read_text()), {k: v['status'] for k, v in verdicts.items()}
    except (MlopsKitError, StopIteration) as err: return None, str(err)
    return SEEN[e.evidence['digest']]


def projected(book, held, settled):
    "Each alias is where its head says; before the next command it may still be where its head found it"
    heads = book.read()[0].heads
    for alias in sorted({*heads, *held}):
        head, at = heads.get(alias), held.get(alias)
        if not head: yield f'the alias `{alias}` is at {at}, which nobody decided'
        elif at != head.target['version'] and (settled or book.is_done(head) or at != (head.base or {}).get('version')): yield f'the alias `{alias}` is at {at}, its head says {head.target["version"]}'


def loadable(store, name, heads):
    "Who holds an alias can be loaded, after all its files were hashed"
    for alias, head in heads.items():
        try:
            version = registry.resolve(f'{name}@{alias}', store)
            if lg.identity(version) != head.target: yield f'`{name}@{alias}` is not the version that the ledger names'
            registry.load(version.ref, store)
        except Exception as e: yield f'`{name}@{alias}` cannot be loaded: {type(e).__name__}: {e}'


def broken(world, settled=True, conflict=False):
    "List what does not hold; `settled`: no alias may be behind any more; `conflict`: a person moved one, and that was reported"
    forget()
    store, book = world.store, world.book()
    entries = book.entries(all=True)
    found = [*chain(entries), *evidence(store, entries), *judged(store, book, entries), *loadable(store, world.name, book.read()[0].heads)]
    return found if conflict else found + [*projected(book, aliases(store, world.name), settled)]


def told(world):
    "What was decided, in order, without what differs from one time to another"
    number = lambda o: o and o['version']
    return [(e.kind, e.alias, number(e.base), number(e.target), e.decision, e.actor) for e in world.book().entries(all=True)]
