"""What `import pawprint` offers, and what it costs."""

import json
import subprocess
import sys

import pytest

import pawprint


def test_everything_that_is_offered_is_there_and_documented():
    assert set(pawprint.__all__) < set(dir(pawprint))
    for name in set(pawprint.__all__) - {"__version__"}:
        thing = getattr(pawprint, name)
        assert thing.__name__ == name
        assert thing.__doc__
    assert pawprint.__version__.count(".") == 2
    with pytest.raises(AttributeError, match="module 'pawprint' has no attribute 'lod'"):
        pawprint.lod  # noqa: B018


def test_the_import_alone_loads_no_library():
    program = (
        "import sys, time, json; before = set(sys.modules); began = time.perf_counter()\n"
        "import pawprint\n"
        "print(json.dumps([time.perf_counter() - began, sorted(set(sys.modules) - before)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    seconds, modules = json.loads(done.stdout)
    libraries = {name.partition(".")[0] for name in modules} - sys.stdlib_module_names
    assert libraries == {"pawprint"}
    assert seconds < 1  # some milliseconds on a quiet machine
