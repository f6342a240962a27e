"What a notebook shows of a verdict on request: a tidy table, and a drawing of one column."
import subprocess
import sys

import pytest

from mlops_kit.core import Check, DataError, Verdict, Verdicts


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
