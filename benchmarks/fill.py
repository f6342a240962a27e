"Write the last measured figures into benchmarks/README.md, from benchmarks/out/*.json. Each benchmark does so when it ends."
import json
from pathlib import Path

HERE = Path(__file__).resolve().parent
BELOW = '<!-- What follows is written by benchmarks/fill.py from benchmarks/out/*.json -->'
TITLES = dict(data='Drift and quality: `data.py`', data_long='Drift alone, large tables: `data.py --long`', memory='Memory and growth: `memory.py`',
    imports='Imports: `imports.py`', peers='Other tools: `peers.py`')


def table(lines):
    "Lay lines of cells out as a Markdown table"
    head, *rows = [[str(o) for o in line] for line in lines]
    return '\n'.join('| ' + ' | '.join(o) + ' |' for o in [head, ['---'] + ['---:']*(len(head) - 1), *rows]) + '\n'


def step_lines(found):
    "What each step cost"
    return [['', 'CPU-s', 'without imports', 'peak MB']] + [[k, f'{o["cpu"]:.2f}', f'{o["work"]:.2f}', f'{o["mb"]:.0f}'] for k, o in found.items()]


def size_lines(found):
    "What each size cost"
    return [['rows of each table', 'columns', 'CPU-s', 'without imports, per million rows', 'peak MB']] + [
        [f'{o["rows"]:,}', o['columns'], f'{o["cpu"]:.2f}', f'{o["work_per_million"]:.2f}', o['mb']] for o in found]


def import_lines(found):
    "What processes cost that do little but import"
    return [['', 'CPU-s until done', 'to the end of the process']] + [[k, f'{o["work"]:.2f}', f'{o["cpu"]:.2f}'] for k, o in found.items()]


def goal_lines(goals):
    "Figures beside their goals"
    return [['figure', 'measured', 'goal', '']] + [
        [o['what'], f'{o["value"]:.2f}', f'at {"least" if o["least"] else "most"} {o["goal"]:g}', 'met' if o['met'] else 'missed'] for o in goals]


LINES = dict(steps=step_lines, measured=size_lines, imports=import_lines)


def agreement_text(o):
    "How far ours and Evidently agree"
    same = 'all verdicts are the same' if not o['other_verdicts'] else f'the verdicts differ on {", ".join(o["other_verdicts"])}'
    return (f'Evidently judged {o["columns"]} columns and found {o["drifted"]} drifted; {same}. The scores that are computed from rows differ by {o["largest_difference"]:.0e} at most, '
        f'relatively. From the profiles {o["intervals"]} scores are intervals; Evidently\'s number lies outside of {o["outside_interval"]}.\n')


def section(name, found):
    "One benchmark's figures as Markdown"
    parts = [f'## {TITLES[name]}\n']
    if 'rows' in found: parts.append(f'Two tables of {found["rows"]:,} rows by {found["columns"]} columns.\n')
    parts.append(table(next(lines(found[k]) for k, lines in LINES.items() if k in found)))
    parts.append(table(goal_lines(found['goals'])))
    if 'agreement' in found: parts.append(agreement_text(found['agreement']))
    for k, why in found.get('skipped', {}).items(): parts.append(f'{k} was skipped: {why}\n')
    if found.get('versions'): parts.append('Measured with ' + ', '.join(f'{k} {v}' for k, v in found['versions'].items()) + '.\n')
    return '\n'.join(parts)


def rollback_section(found):
    "From the command to the visible alias, beside a bare alias write"
    rows = [['store', 'bare alias, s', 'fetch, s', 'plain, s', 'rollback, s', 'requests', 'rollback / bare', 'goal', '', 'fetch / bare', 'rollback / plain']]
    for k, o in found.items():
        seconds, requests = ([f(v) for v in o[part].values()] for part, f in (('seconds', '{:.3f}'.format), ('requests', str)))
        rows.append([k, *seconds, ', '.join(requests), f'{o["ratio"]:.2f}', f'at most {o["goal"]}', 'met' if o['ratio'] <= o['goal'] else 'missed', f'{o["fetching"]:.2f}', f'{o["beside"]:.2f}'])
    return ('## Going back: `rollback.py`\n\nMedians of processes of their own; what they import is imported before the clock starts. A rollback hashes the files, loads the model and has it answer its stored example before the alias moves. '
        'Fetch has MLflow fetch the files and set the alias, nothing else: no hash, no model loaded, no ledger. '
        'Plain is the same question asked with MLflow alone, without hashes, ledger or signature: fetch the files, load the model, have it answer its input example, set the alias. '
        'Through a server (four workers, as MLflow starts it) each step is a request, and a bare alias is two of them.\n\n' + table(rows))


def fairness_section(found):
    "How often the interval of a gap errs, and what judging by group costs"
    rows = [['metric', 'groups', 'covered', 'too high', 'too low']] + [[o['what'], o['groups'], *(f'{o[k]:.2%}' for k in ('covered', 'above', 'below'))] for o in found['cases']]
    cost = found['cost']
    return (f'## The widest gap between groups: `fairness.py`\n\n{found["runs"]:,} draws a line from known rates; 95% is stated, 2.5% for each end.\n\n{table(rows)}\n'
        f'{cost["metrics"]} metrics on {cost["rows"]:,} rows of {cost["groups"]} groups take {cost["ours"]:.2f} CPU-seconds with their intervals; the same figures by fairlearn, without any, {cost["fairlearn"]:.2f}.\n')


def alarms_section(found):
    "How often the drift gate alarms where nothing moved, and whether it finds what did"
    rows = [['rows', 'runs', 'the gate refuses', 'goal', "Evidently's default names a column", 'its own reports do']]
    for k, o in found['cases'].items():
        if k.startswith('none') and o['runs']:
            most = next(g['goal'] for g in found['goals'] if f' {k.removeprefix("none ").replace(" ", " against ")} rows' in g['what'])
            rows.append([k.removeprefix('none ').replace(' ', ' against '), o['runs'], f'{o["refused"]/o["runs"]:.1%}', f'at most {most:.1%}', f'{o["evidently"]/o["runs"]:.0%}',
                f'{o["reports_alarmed"]} of {o["reports"]}' if o.get('reports') else ''])
    text = '## False alarms of the drift gate: `alarms.py`\n\nFifty columns, half of them categories of 2 to 1,000 values, and nothing moved.\n\n' + table(rows)
    if (o := found['cases'].get('moved 5000')) and o['runs']:
        text += (f'\nThree of 20 columns of 5,000 rows moved by 0.3 standard deviations: those three and no other are named in {o["exactly"]/o["runs"]:.1%} of {o["runs"]} runs, '
            f'all three in {o["all_three"]/o["runs"]:.1%}. Evidently\'s default names exactly those in {o["evidently"]/o["runs"]:.1%}.\n')
    reports, other = (sum(o.get(k, 0) for o in found['cases'].values()) for k in ('reports', 'reports_other'))
    return text + (f'\nOf {reports} reports by Evidently itself, {other} name other columns than our `method: evidently`.\n' if reports else '')


def seven_section(found):
    "Where the time of seven gates goes"
    rows = [['gate', 'kernel', 'imports', 'judging', 'rendering']] + [[g, *(f'{o[k]:.1f} s' for k in ('kernel', 'imports', 'judging', 'rendering'))] for g, o in (found['gates'] | dict(all=found['total'])).items()]
    share = found['total']['judging']/sum(found['total'].values())
    return (f'## All seven gates on a month of flights: `seven.py`\n\n{found["wall"]:.0f} s with {found["jobs"]} at once; the goal is under {found["goal"]} s. '
            f'The judging itself is {share:.0%} of the gates\' time.\n\n{table(rows)}')


def performance_section(found):
    "What many comparisons cost"
    return (f'## Metrics, slices and intervals: `performance.py`\n\n{found["metrics"]} metrics on {found["rows"]:,} rows and {found["slices"]} slices, against a champion: {found["checks"]} checks '
            f'with their intervals in {found["cpu"]:.2f} CPU-seconds (goal: under {found["goal"]}); the values alone by scikit-learn take {found["scikit_learn"]:.2f}.\n')


def dossier_section(found):
    "What a page for reviewers costs"
    names = dict(read='reading and validating the same files', write='writing the dossier', notebook='one executed notebook by nbconvert')
    rows = [['', 'CPU-s', 'without imports']] + [[names[k], f'{o["cpu"]:.2f}', f'{o["work"]:.2f}'] for k, o in found['steps'].items()]
    return (f'## The dossier: `dossier.py`\n\n{found["gates"]} gates, {found["checks"]} checks, {found["drawings"]} drawings: a page of {found["kilobytes"]} KB in {found["steps"]["write"]["cpu"]:.2f} CPU-seconds, '
            f'imports included; the goal is under {found["goal"]}. That is {found["ratio"]["read"]:.1f} times reading and validating what it shows, and {found["ratio"]["notebook"]:.2f} times one notebook by nbconvert.\n\n{table(rows)}')


def site_section(found):
    "What the pages about a whole registry cost"
    rows = [['models', 'promotions', 'pages', 'CPU-s, first build', 'per promotion, ms', 'CPU-s, second build', 'questions to the store, first', 'second']]
    rows += [[f'{o["models"]:,}', f'{o["promotions"]:,}', f'{o["pages"]:,}', f'{o["cpu"]:.1f}', f'{1000*o["cpu"]/o["promotions"]:.0f}', f'{o["again"]:.1f}', f'{o["questions"]:,}', f'{o["questions_again"]:,}'] for o in found['rows']]
    grows = f' It grows with the power {found["exponent"]:.2f} of the number of promotions, the second build with {found["exponent_again"]:.2f}; the goal is at most {found["goal"]}.' if 'exponent' in found else ''
    return (f'## The site of a registry: `site.py`\n\nAn index, a page a model, and for each promotion a whole dossier from evidence that is fetched, hashed and verified; imports are not counted.{grows} '
            f'The second build keeps the pages about entries and evidence that cannot have changed.\n\n{table(rows)}')


def fill(folder=HERE):
    "Replace what follows the mark in the README by the figures that there are"
    readme = Path(folder)/'README.md'
    above = readme.read_text(encoding='utf-8').partition(BELOW)[0]
    there = [(k, Path(folder)/f'out/{k}.json') for k in TITLES]
    parts = [section(k, json.loads(p.read_text(encoding='utf-8'))) for k, p in there if p.exists()]
    more = dict(rollback=rollback_section, seven=seven_section, dossier=dossier_section, site=site_section, performance=performance_section, fairness=fairness_section, alarms=alarms_section)
    parts += [told(json.loads(p.read_text(encoding='utf-8'))) for told, p in ((f, Path(folder)/f'out/{k}.json') for k, f in more.items()) if p.exists()]
    readme.write_text(above + BELOW + '\n\n' + '\n'.join(parts), encoding='utf-8')


def headline(folder=HERE):
    "The figures that the project's README shows, as Markdown"
    read = lambda k: json.loads((Path(folder)/f'out/{k}.json').read_text(encoding='utf-8'))
    lines = [['two tables of 20 columns', 'ours', 'Evidently', '']]
    for name, what, peer in [('data', 'drift and quality', 'Evidently, both presets'), ('data_long', 'drift alone', 'Evidently, drift preset')]:
        found = read(name)
        ours, theirs = (next(v for k, v in found['steps'].items() if k.startswith(o)) for o in ('ours', peer))
        lines.append([f'{found["rows"]:,} rows, {what}', f'{ours["cpu"]:.1f} CPU-s, {ours["mb"]:,.0f} MB', f'{theirs["cpu"]:,.0f} CPU-s, {theirs["mb"]:,.0f} MB', f'{theirs["cpu"]/ours["cpu"]:.0f} times less'])
    large = next(o for o in read('memory')['measured'] if o['rows'] == 10_000_000 and o['columns'] == 20)
    return table(lines + [[f'{large["rows"]:,} rows, drift and quality', f'{large["cpu"]:.1f} CPU-s, {large["mb"]:,} MB', '', '']])


TORTURED = '<!-- What follows is written by benchmarks/fill.py from benchmarks/out/torture_*.json -->'


def lost_text(network):
    "What a bad network did to a race"
    if not network: return ''
    said = [f'{network[k]} {what}' for k, what in dict(request='requests lost', reply='replies lost', late='requests late').items() if network.get(k)]
    return f', through a network with {", ".join(said)} of {sum(network.values())}'


def torture_lines(found):
    "What was killed, raced and changed, and what broke"
    rows = [['run', 'store', 'what was done', 'broken']]
    for o in found:
        kind = o['schema'].split('/')[2] if 'schema' in o else 'fuzz'
        if kind == 'kill': did = f'{o["kill points"]} kills before and after a write' + (f', {o["random kills"]} at random moments' if o['random kills'] else '') + f'; {o["next commands"]} commands afterwards'
        elif kind == 'race': did = f'{o["processes"]} processes, {o["decisions"]} decisions out of {o["attempts"]} attempts' + lost_text(o.get('network'))
        elif kind == 'proxy': did = ', '.join(f'{o[k]} {k}' for k in o if k not in ('schema', 'store', 'seconds', 'commands', 'broken'))
        else: did = f'{o["mutations"]} changes of one thing, {o["detected"]} found and named'
        rows.append([kind, o.get('store', 'sqlite and bundle'), did, len(o.get('broken') or o.get('missed') or [])])
    return rows


def fill_guarantees(folder=HERE):
    "Replace what follows the mark in the page of guarantees by the last torture run"
    page, files = Path(folder).parent/'docs/guarantees.md', sorted((Path(folder)/'out').glob('torture_*.json'))
    above = page.read_text(encoding='utf-8').partition(TORTURED)[0]
    page.write_text(above + TORTURED + '\n\n`make torture` runs this again.\n\n' + table(torture_lines([json.loads(p.read_text(encoding='utf-8')) for p in files])), encoding='utf-8')


TRIED = '<!-- What follows is written by benchmarks/fill.py from benchmarks/out/selftest.json -->'


def selftest_lines(found):
    "What was done and who noticed; and how often each gate was right and wrong"
    faults = [['fault', 'what was done', 'caught by']] + [
        [f'`{o["fault"]}`', o['said'] if o['applied'] else f'not applied, because {o["said"]}', ', '.join(o['by']) or ('**nobody**' if o['applied'] else '')] for o in found['faults']]
    gates = [['gate', 'caught', 'false alarms', '95% interval', 'stated']] + [
        [o['gate'], f'{o["caught"]} of {o["meant"]}', f'{o["alarms"]} of {o["repeats"]}' + (f', {o["undecided"]} undecided' if o['undecided'] else ''), f'{o["low"]:.1%} to {o["high"]:.1%}', f'{o["stated"]:.1%}'] for o in found['gates']]
    return faults, gates


def fill_selftest(folder=HERE):
    "Replace what follows the mark in the page on the self-test by the last one"
    page, kept = Path(folder).parent/'docs/selftest.md', Path(folder)/'out/selftest.json'
    if not kept.exists(): return
    found, above = json.loads(kept.read_text(encoding='utf-8')), page.read_text(encoding='utf-8').partition(TRIED)[0]
    faults, gates = map(table, selftest_lines(found))
    page.write_text(above + TRIED + f'\n\nA model trained on January to March, judged on {found["rows"]:,} flights of April; `make self-test` runs this again.\n\n{faults}\n{gates}', encoding='utf-8')


if __name__ == '__main__':
    fill()
    fill_guarantees()
    fill_selftest()
