"Lineage in a real git checkout, and what must never be recorded."
import hashlib
import re
import subprocess

import pytest

from mlops_kit.core import DataError
from mlops_kit.lineage import code_record, environment_record, git as ask, sources_record, without_user


def git(folder, *args): subprocess.run(['git', '-c', 'user.name=a', '-c', 'user.email=a@b', *args], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path):
    "A clean checkout with one commit and a remote that carries a token"
    git(tmp_path, 'init', '-q')
    (tmp_path/'train.py').write_text('fit()')
    git(tmp_path, 'add', '.')
    git(tmp_path, 'commit', '-qm', 'one')
    git(tmp_path, 'remote', 'add', 'origin', 'https://me:token@example.org/x.git')
    return tmp_path


def test_clean_and_dirty_are_told_apart(checkout):
    clean = code_record(checkout)
    assert re.fullmatch('[0-9a-f]{40}', clean['commit']) and clean['dirty'] is False and clean['note'] == ''
    assert clean['remote'] == 'https://example.org/x.git'
    (checkout/'train.py').write_text('fit(2)')
    (checkout/'new.py').write_text('')
    dirty = code_record(checkout)
    assert dirty['dirty'] is True and dirty['note'] == '1 changed, 1 unknown to git' and dirty['commit'] == clean['commit']
    assert 'token' not in str(dirty)


def test_a_folder_below_the_top_is_the_same_code(checkout):
    (checkout/'notebooks').mkdir()
    assert code_record(checkout/'notebooks')['commit'] == code_record(checkout)['commit']


def test_a_hook_of_another_repository_does_not_mislead(checkout, tmp_path_factory, monkeypatch):
    other = tmp_path_factory.mktemp('other')
    git(other, 'init', '-q')
    monkeypatch.setenv('GIT_DIR', str(other/'.git'))
    assert code_record(checkout)['commit']


@pytest.mark.parametrize('case', ['no_git', 'no_checkout', 'no_commit', 'no_folder'])
def test_what_is_not_known_is_said(case, tmp_path, monkeypatch):
    folder = tmp_path/'nowhere' if case == 'no_folder' else tmp_path
    if case == 'no_git': monkeypatch.setenv('PATH', '')
    if case == 'no_commit': git(tmp_path, 'init', '-q')
    found = code_record(folder)
    assert (found['commit'], found['dirty'], found['remote']) == (None, None, None) and 'not known' in found['note']


def test_an_unanswered_question_is_not_clean(checkout, monkeypatch):
    import mlops_kit.lineage as lineage
    monkeypatch.setattr(lineage, 'git', lambda *args, folder: None if args[0] == 'status' else ask(*args, folder=folder))
    found = code_record(checkout)
    assert found['commit'] and found['dirty'] is None and 'did not say' in found['note']


@pytest.mark.parametrize('uri, wanted', [
    ('https://me:token@example.org/x.git', 'https://example.org/x.git'),
    ('https://token@example.org:8443/x.git', 'https://example.org:8443/x.git'),
    ('ssh://git@example.org/x.git', 'ssh://example.org/x.git'),
    ('git@example.org:team/x.git', 'example.org:team/x.git'),
    ('postgres://u:p@[::1]:5432/db?table=t', 'postgres://[::1]:5432/db?table=t'),
    ('postgres://u:p/q@db/x', 'postgres://db/x'),
    ('postgres://u:p@q@db/x', 'postgres://db/x'),
    ('postgres://db/x?user=u&password=p&table=t', 'postgres://db/x?user=u&password=…&table=t'),
    ('https://b.example.org/a?X-Amz-Signature=abc&sig=d#access_token=e', 'https://b.example.org/a?X-Amz-Signature=…&sig=…#access_token=…'),
    ('s3://bucket/a@b/c.parquet', 's3://bucket/a@b/c.parquet'),
    ('data/2013-04.parquet', 'data/2013-04.parquet'), ('/a/b@c.csv', '/a/b@c.csv')])
def test_addresses_lose_their_secrets_and_nothing_else(uri, wanted): assert without_user(uri) == wanted


def test_a_folder_is_its_files(tmp_path):
    (tmp_path/'deep').mkdir()
    for n in ('a', 'b', 'deep/c'): (tmp_path/f'{n}.csv').write_text(n)
    record = sources_record(tmp_path)
    assert [r['digest'] for r in record] == [hashlib.sha256(n.encode()).hexdigest() for n in ('a', 'b', 'deep/c')]
    assert [r['bytes'] for r in record] == [1, 1, 6]
    (tmp_path/'a.csv').write_text('c')
    assert len({r['digest'] for r in sources_record(tmp_path)} - {r['digest'] for r in record}) == 1


def test_globs_files_and_addresses_of_files(tmp_path, monkeypatch):
    for n in 'ab': (tmp_path/f'{n} 1.csv').write_text(n)
    (tmp_path/'x.d').mkdir()
    (tmp_path/'x.d'/'c.csv').write_text('c')
    names = lambda s: [r['uri'].rsplit('/', 1)[-1] for r in sources_record(s)]
    assert names(tmp_path/'*.csv') == ['a 1.csv', 'b 1.csv']
    assert names(tmp_path/'*') == ['a 1.csv', 'b 1.csv', 'c.csv']
    assert names((tmp_path/'a 1.csv').as_uri()) == ['a 1.csv']
    monkeypatch.chdir(tmp_path)
    assert names(['*.csv', 'x.d']) == ['a 1.csv', 'b 1.csv', 'c.csv']


def test_a_dict_keeps_what_it_says_but_no_password():
    said = dict(name='weather', uri='postgres://u:p@db/x', join='by hour')
    assert sources_record(said) == [said | dict(uri='postgres://db/x')]
    assert sources_record([dict(join='by hour')]) == [dict(join='by hour')]
    assert sources_record(()) == []


@pytest.mark.parametrize('name', ['gone.csv', '*.gone', 'empty'])
def test_a_source_without_files_is_refused(name, tmp_path):
    (tmp_path/'empty').mkdir()
    with pytest.raises(DataError, match='matches no file'): sources_record(tmp_path/name)


def test_a_source_that_goes_away_meanwhile_is_one_line(tmp_path, monkeypatch):
    import mlops_kit.lineage as lineage
    monkeypatch.setattr(lineage, 'files_of', lambda s: [tmp_path/'gone.csv'])
    with pytest.raises(DataError, match='cannot be read'): sources_record('gone.csv')


def test_the_environment_is_pinned_and_its_digest_follows_it(monkeypatch):
    from importlib import metadata
    here = environment_record()
    assert here['packages']['mlflow'] == metadata.version('mlflow') and list(here['packages']) == sorted(here['packages'])
    assert all(re.fullmatch('[a-z0-9-]+', k) and v for k, v in here['packages'].items())
    monkeypatch.setattr(metadata, 'distributions', lambda: [d for d in [metadata.distribution('mlflow'), metadata.distribution('mlflow')]])
    fewer = environment_record()
    assert list(fewer['packages']) == ['mlflow'] and fewer['digest'] != here['digest']
