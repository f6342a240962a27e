"Bring a model, its champion and fresh data together, and ask them one gate at a time."
from importlib import import_module


def __getattr__(name):
    "What `mlops_kit.gates.candidate` defines is found here too: gate notebooks import it by this name"
    candidate = import_module('mlops_kit.gates.candidate') if not name.startswith('_') else None
    if not hasattr(candidate, name): raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(candidate, name)
