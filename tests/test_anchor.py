"What a reader brings along is held against the ledger by every command that loads, moves or checks."
import shutil

import pytest

from mlops_kit.core import MlopsKitError
from test_swapped import asked, furnished, world  # noqa: F401

pytestmark = pytest.mark.slow


@pytest.fixture
def known(world, tmp_path, monkeypatch):  # noqa: F811
    "A folder of Ana's key, one of a stranger's, the head of now, and a folder to stand in"
    from mlops_kit.audit import verify
    from mlops_kit.evidence import make_key, public_key_file
    here = tmp_path/'here'
    here.mkdir()
    monkeypatch.chdir(here)
    shutil.copytree(world.folder/'keys', tmp_path/'keys')
    public_key_file(make_key(tmp_path/'cem.pem', 'Cem'), tmp_path/'other')
    h = verify('tiny', world.store, progress=False).head
    return dict(keys=tmp_path/'keys', other=tmp_path/'other', head=f'{h["seq"]}:{h["digest"]}', wrong=f'{h["seq"]}:{"0"*64}', cut=f'{h["seq"] + 1}:{"0"*64}', here=here)


def readers(world):  # noqa: F811
    "Every command that takes an anchor"
    from mlops_kit.audit import verify
    from mlops_kit.promotion import status
    from mlops_kit.registry import load
    store = world.store
    return dict(load=lambda **kw: load('tiny@champion', store, **kw), status=lambda **kw: status('tiny', store, **kw),
                verify=lambda **kw: verify('tiny', store, progress=False, **kw), promote=lambda **kw: world.promote('tiny/2', **kw), rollback=lambda **kw: world.rollback(**kw))


def held(world, codes, said='', **kw):  # noqa: F811
    for name, fn in readers(world).items():
        code, text = asked(fn, **kw)
        assert code == codes.get(name, codes['else']) and said in text, (name, code, text)


NO = {'else': 6, 'verify': 1}


@pytest.mark.parametrize('way', ['option', 'variable', 'file'])
@pytest.mark.parametrize('what', ['keys', 'head'])
def test_an_anchor_that_does_not_fit_loads_and_moves_nothing(world, known, monkeypatch, way, what):  # noqa: F811
    bad = known['other' if what == 'keys' else 'wrong']
    before, kw = len(world.book().entries(all=True)), {}
    if way == 'option': kw = {what: bad}
    if way == 'variable': monkeypatch.setenv(f'MLOPS_KIT_{what.upper()}', str(bad))
    if way == 'file':
        for folder in (known['here'], world.folder): (folder/'mlops-kit.toml').write_text(f'model = "tiny"\n{what} = "{bad}"\n')
    held(world, NO, 'is signed by one of the 1 keys' if what == 'keys' else 'whose head was kept', **kw)
    assert len(world.book().entries(all=True)) == before and world.alias() == 1


def test_a_head_that_was_cut_off(world, known): held(world, NO, 'was cut off', head=known['cut'])  # noqa: F811


def test_an_anchor_that_fits_survives_the_ledger_growing(world, known):  # noqa: F811
    kw = dict(keys=known['keys'], head=known['head'])
    assert world.promote('tiny/2', **kw).exit_code == 0
    held(world, {'else': 0}, **kw)


def test_a_made_up_ledger_is_refused_by_the_readers_keys(world, known, tmp_path, monkeypatch):  # noqa: F811
    "Where every trace in MLflow was taken away too"
    from test_swapped import forged_ledger, rename, TAG
    client = rename(world)
    for alias in ('champion', 'candidate'): client.delete_registered_model_alias('tiny', alias)
    for n in ('1', '2'): client.delete_model_version('tiny', n)
    client.delete_registered_model_tag('tiny', TAG)
    forged_ledger(world, tmp_path)
    from mlops_kit.registry import load
    assert asked(lambda: load('tiny@champion', world.store))[0] == 0 # What is left is consistent: only an anchor can tell
    for kw in (dict(keys=known['keys']), dict(head=known['head'])):
        assert asked(lambda: load('tiny@champion', world.store, **kw))[0] == 6


def test_the_cache_is_served_only_to_who_held_it_against_the_same(world, known):  # noqa: F811
    from mlops_kit import registry
    load = lambda **kw: registry.load('tiny@champion', world.store, **kw)
    load()
    world.store.client.delete_run(world.book().run_id)
    with pytest.warns(UserWarning, match='from the cache|as it was verified last'): assert asked(load)[0] == 0
    assert asked(load, keys=known['keys'])[0] == 3


def test_not_anchored_is_said_once(world, known, caplog):  # noqa: F811
    from mlops_kit import anchor, registry
    from mlops_kit.promotion import status
    anchor._SAID.clear()
    for _ in range(3): registry.load('tiny@champion', world.store)
    assert caplog.text.count('not anchored') == 1
    assert repr(status(store=world.store)).count('not anchored') == repr(status('tiny', world.store)).count('not anchored') == 1
    assert 'not anchored' not in repr(status('tiny', world.store, keys=known['keys']))


@pytest.mark.parametrize('text, said', [('keyz = "keys"', 'did you mean `keys`'), ('keys = 3', 'has to be text'), ('keys =', 'cannot be read'), ('head = "12"', 'is no head')])
def test_a_broken_file_is_one_line(world, known, text, said):  # noqa: F811
    (known['here']/'mlops-kit.toml').write_text(text)
    from mlops_kit.registry import load
    with pytest.raises(MlopsKitError, match=said) as e: load('tiny@champion', world.store)
    assert e.value.exit_code == 2 and 'Hint: ' in str(e.value)


def test_init_writes_the_file(cli, tmp_path):
    code, out, err = cli('init', 'tiny', '--target', 'late', cwd=tmp_path, MLOPS_KIT_KEY=tmp_path/'home'/'key.pem', USER='Ana')
    assert code == 0, err
    from mlops_kit.anchor import find_anchor
    assert [k['person'] for k in find_anchor('tiny', near=tmp_path).keys.values()] == ['Ana']
