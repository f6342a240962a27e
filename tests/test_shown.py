"What a notebook shows of a verdict on request: a tidy table, and a drawing of one column."
import subprocess
import sys

import nbformat
import pytest

from browser import PICTURES, axe, browser, settle
from mlops_kit.core import Check, DataError, Verdict, Verdicts
from mlops_kit.dossier import notebook_html
from world import World, flights


def verdicts(): return Verdicts([Verdict('drift', [Check('drift:temp', 'fail', 'it moved', 'above_bound', column='temp', value=.3, bound=.1)]),
                                 Verdict('contract', [Check('required:late', 'pass')])])


def test_the_table_has_the_same_columns_and_types_whatever_was_checked():
    table = verdicts().frame()
    assert list(table.gate) == ['drift', 'contract'] and table.value.isna().tolist() == [False, True]
    assert dict(table.dtypes) == dict(Verdicts().frame().dtypes) == dict(verdicts()['contract'].frame().dtypes)
    assert verdicts()._ipython_key_completions_() == ['drift', 'contract']


def test_one_column_is_drawn_and_a_slip_is_told():
    drawn = verdicts()['drift'].plot('temp')
    assert 'drift:temp' in drawn._repr_html_() and 'fail' in repr(drawn)
    with pytest.raises(DataError, match='did you mean `temp`'): verdicts()['drift'].plot('tmep')


def test_core_still_needs_no_drawing():
    code = 'import sys, mlops_kit.core; print("mlops_kit.figure" in sys.modules, "pandas" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True).stdout.split() == ["False", "False"]


def notebook_of(things):
    "A notebook whose cells show these things, as Jupyter would have stored it"
    from nbformat import v4
    shown = lambda i, o: v4.new_output('execute_result', {'text/html': o._repr_html_(), 'text/plain': repr(o)}, execution_count=i)
    return v4.new_notebook(cells=[v4.new_code_cell(name, execution_count=i, outputs=[shown(i, o)]) for i,(name, o) in enumerate(things.items(), 1)])


def everything(folder, monkeypatch):
    "One of each that a cell may show, from a small world in which much has happened"
    from mlops_kit import audit, drift, profile, promotion, registry
    world = World(folder).furnish()
    monkeypatch.setenv('MLOPS_KIT_KEY', str(world.key))
    for upside_down in (False, True): world.register(upside_down=upside_down)
    decided = [(world.judge(f'tiny/{n}'), world.promote(f'tiny/{n}'))[1] for n in (1, 2)]
    assert [d.exit_code for d in decided] == [0, 1]
    store, rows = world.store, flights()
    moved = drift.compare(rows, rows.assign(hour=rows.hour*2, text=[f'note {i}' for i in range(12)]))
    sliced = Verdict('performance', [Check(f'performance:auc:by={o}', 'pass' if o else 'fail', 'm', '' if o else 'below_bound', slice=f'by={o}', value=.5 + .1*o, low=.4 + .1*o, high=.6 + .1*o, bound=.55) for o in range(3)])
    return {'version': registry.resolve('tiny/2', store), 'promoted': decided[0], 'refused': decided[1], 'verdicts': decided[1].verdicts, 'verdict': decided[1].verdicts[0],
            'history("tiny", all=True)': promotion.history('tiny', all=True, store=store), 'status("tiny")': promotion.status('tiny', store), 'status()': promotion.status(store=store),
            'profile(rows)': profile.profile(rows), 'compare(train, later)': moved, 'compare(train, later).plot("hour")': moved.plot('hour'),
            'performance.plot()': sliced.plot(), 'performance.plot("by")': sliced.plot('by'), 'verify("tiny")': audit.verify('tiny', store=store)}


@pytest.mark.slow
def test_what_a_cell_shows_reads_in_jupyters_light_and_dark(tmp_path, monkeypatch):
    shown = everything(tmp_path/'world', monkeypatch)
    nb = notebook_of(shown)
    assert all(len(repr(o)) > 20 and '<' not in repr(o).replace('<=', '') for o in shown.values()), 'each has a plain twin'
    PICTURES.mkdir(exist_ok=True)
    with browser() as page:
        for theme in 'light', 'dark':
            (tmp_path/'shown.ipynb').write_text(nbformat.writes(nb))
            page.get(notebook_html(tmp_path/'shown.ipynb', theme).as_uri())
            height = settle(page)
            assert page.execute_script('return document.querySelectorAll(".jp-OutputArea-output").length') >= len(shown)
            page.set_window_size(1300, height + 120)
            page.save_screenshot(str(PICTURES/f'notebook-{theme}.png'))
            found = [o for o in axe(page, '.jp-RenderedHTMLCommon') if o[0] in ('serious', 'critical')]
            page.set_window_size(1300, 1000)
            assert found == [], theme


@pytest.mark.slow
def test_a_bar_is_drawn_for_a_person_and_not_for_a_job():
    from jupyter_client.manager import start_new_kernel
    manager, client = start_new_kernel(kernel_name='python3')
    code, said = 'from mlops_kit.core import bar; print(bar("x", [1]).disable)', []
    try:
        for person in True, False:
            client.execute_interactive(code, timeout=60, allow_stdin=person, output_hook=lambda m: said.append(m['content'].get('text', '').strip()) if m['msg_type'] == 'stream' else None)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert said == ['False', 'True']
