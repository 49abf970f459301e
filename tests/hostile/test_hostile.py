"""No hostile file crashes, hangs, swallows memory, writes where it should not, or is refused without being named."""

import sys
from collections import Counter

import pytest
from tests.hostile.cases import lone
from tests.hostile.corpus import CATEGORIES, corpus
from tests.hostile.readers import TRAPS
from tests.hostile.watching import complaints

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and /proc are Linux's")


@pytest.mark.parametrize("category", CATEGORIES)
def test_files_are_read_or_refused(category, tmp_path):
    cases = corpus(category)
    if not cases:
        pytest.skip(f"what makes {category} is not installed")
    wrong = complaints(cases, tmp_path)
    assert not wrong, "\n" + "\n".join(wrong)


def test_the_corpus_is_large_and_the_same_each_time():
    first = {category: corpus(category) for category in CATEGORIES}
    names = Counter(case.name for cases in first.values() for case in cases)
    assert len(names) >= 300 and max(names.values()) == 1
    for category in ("images", "labels", "results"):
        assert corpus(category) == first[category]
        assert corpus(category, seed=1) != first[category]


# What the watch must say of readers that do what none may.
SAID = {
    "spins": "used too much processor time",
    "sleeps": "hung",
    "swallows": "raised MemoryError",
    "aborts": "died with -6",
    "slips": "raised KeyError",
    "escapes": "did open",
    "runs": "did os.system",
    "names nothing": "names no file",
    "takes it": "was not refused",
}


def test_the_watch_sees_readers_that_do_wrong(tmp_path):
    assert SAID.keys() == TRAPS.keys()
    cases = [lone("traps", trap, "a.txt", trap, b"x") for trap in TRAPS]
    said = complaints(cases, tmp_path, patience_s=60, cpu_s=3)
    for trap in TRAPS:
        assert any(line.startswith(f"traps/{trap}: ") and SAID[trap] in line for line in said), (trap, said)
    assert len(said) == len(TRAPS)
