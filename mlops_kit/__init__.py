"""Take a model from a notebook to production through gates whose evidence anyone can check, and back in one verified command.

Modules:

- `mlops_kit.adoption`: Take the version that an alias of plain MLflow points at into a ledger, as it is: hashed, loaded, recorded as adopted and unjudged.
- `mlops_kit.anchor`: What a reader brings along, so that a whole ledger cannot be swapped: public keys, or a head that was kept elsewhere.
- `mlops_kit.approval`: People approve, reject and waive with their keys; what each word covers is counted from the ledger.
- `mlops_kit.audit`: One command hashes every file, checks every signature and counts every vote again, in a store or in a file that left it.
- `mlops_kit.behaviour`: The saved files in an environment of their own, asked what production will ask, by a process that may die.
- `mlops_kit.calibration`: The calibration error with its interval; and what probabilities alone may tell where labels are missing.
- `mlops_kit.ci_output`: The same verdicts and the same exit code, written for whoever reads them: a log, a pull request, a test report, a code scanner.
- `mlops_kit.cli`: The commands: thin, quick to start, and with exit codes that never lie.
- `mlops_kit.consent`: What each signed word covers, whose it is, and whether there are enough: counted from entries, keys and the policy alone.
- `mlops_kit.contract`: A data contract in the Open Data Contract Standard, read strictly, and every promise in it turned into a check.
- `mlops_kit.core`: Statuses, checks, verdicts, exit codes and errors: the words that every other page uses.
- `mlops_kit.demo`: Every flight that left New York in 2013, a model of which ones will be late, and five acts: promoted, refused, stopped by broken data, replaced, rolled back.
- `mlops_kit.dossier`: One page for one attempt to promote a version: what was decided, what the gates found, what changed, and what nobody looked at.
- `mlops_kit.drift`: Evidently's distances, exactly, from counted columns; and the checks that a drift gate makes of them: far enough to matter, and further than chance would go.
- `mlops_kit.engine`: A table in DuckDB, PostgreSQL or Spark answers questions about itself; its rows stay where they live.
- `mlops_kit.entry`: An entry is a small signed record; who wrote it down and who said it may be two people.
- `mlops_kit.evidence`: Manifests of files, signed statements over what was judged, and where they are kept.
- `mlops_kit.fairness`: fairlearn's metrics by group: the widest gap and the worst ratio, each with an interval, and the groups named.
- `mlops_kit.figure`: One picture for every gate: each check against its bound, the worst first.
- `mlops_kit.gates.candidate`: Bring a model, its champion and fresh data together, and ask them one gate at a time.
- `mlops_kit.gates.isolation`: The ways to shut a process in that this machine offers, and the questions that show whether one of them holds.
- `mlops_kit.gates.worker`: A process of its own, that has rows coming in and numbers going out, and nothing else to reach.
- `mlops_kit.governance`: What has to be written down about a version before somebody signs for it.
- `mlops_kit.graph`: Boxes from left to right and the lines between them: sources, tables, a version, what judged it, and the alias that names it.
- `mlops_kit.importance`: Permutation importance, measured once when a version is registered: what it costs the model to lose a column, and how far its answers move.
- `mlops_kit.inbox`: People hand their signed words into an inbox; the one account that may write the ledger copies in those that hold.
- `mlops_kit.ledger`: An append-only, hash-chained, signed history in MLflow; the alias is only its shadow.
- `mlops_kit.lineage`: Sources by digest, code by commit, environment by version: what a version must be able to say of its own making.
- `mlops_kit.notify`: A promotion, a refusal, a waiting approval, a rollback, a conflict and its end can be sent as a CloudEvent to a webhook, or through Apprise.
- `mlops_kit.page`: What a notebook printed is shown, and runs nothing; what needs scripts is shown behind glass.
- `mlops_kit.performance`: Metrics with their intervals: absolute bounds on the value, the champion on the paired difference.
- `mlops_kit.policy`: The policy file: which gates stand before which alias, with which bounds, and who may loosen them.
- `mlops_kit.profile`: Per column: how many values, how many missing, which ones and how often. Small enough to keep, enough to judge drift and quality without the rows.
- `mlops_kit.promotion`: Move the alias or say why not; go back the same way, after looking at what we go back to.
- `mlops_kit.quality`: Missing, infinite and empty values, categories and numbers never seen, columns that stopped varying, too few rows, a training table too clean: measured against training.
- `mlops_kit.registry`: Register a model with everything that a later judgement rests on, find it again by name, and load nothing but the very bytes that were registered.
- `mlops_kit.report`: Evidently's own page, of our checks or of a report of your own, computed from profiles: no row is read that need not be.
- `mlops_kit.requirements`: Three frameworks, point by point: which gate of this run speaks to it, in which file, with which digest; and what nothing here answers.
- `mlops_kit.runner`: Run gate notebooks side by side and believe only what they wrote, for this run, about these bytes.
- `mlops_kit.selftest`: Known faults are put into a copy of the candidate or of its data, and each has to be caught by a gate that is meant to catch it.
- `mlops_kit.site`: A folder of plain pages about every model of a store: who is champion, what waits, and a page for each promotion.
- `mlops_kit.slices`: Groups of rows by the values of columns: named, large enough to judge, and none dropped in silence.
- `mlops_kit.store`: Every call to MLflow stands on this page: model files, versions, aliases, write-once params, runs, and one line for each way a store can fail.
- `mlops_kit.table`: One small interface over files, frames and databases: columns with kinds, rows, digests, batches and aggregates."""

__version__ = "0.1.0"

_HOMES = dict(register='registry', adopt='adoption', load='registry', judge='gates.candidate', self_test='selftest', run_gates='runner', approve='approval', reject='approval', withdraw='approval', waive='approval', change_policy='approval',
    promote='promotion', rollback='promotion', reconcile='promotion', history='promotion', status='promotion', verify='audit', verify_bundle='audit', plot='figure')
__all__ = list(_HOMES)


def __getattr__(name):
    if name not in _HOMES: raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    from importlib import import_module
    return getattr(import_module(f'{__name__}.{_HOMES[name]}'), name)


def __dir__(): return sorted([*globals(), *__all__])
