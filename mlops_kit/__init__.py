__version__ = "0.1.0"

_HOMES = dict(register='registry', load='registry', judge='gates', run_gates='runner', promote='promotion',
    rollback='promotion', reconcile='promotion', history='promotion', status='promotion')
__all__ = list(_HOMES)


def __getattr__(name):
    if name not in _HOMES: raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    from importlib import import_module
    return getattr(import_module(f'{__name__}.{_HOMES[name]}'), name)


def __dir__(): return sorted([*globals(), *__all__])
