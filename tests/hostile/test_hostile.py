"""No hostile file crashes a reader, hangs it, exhausts memory, writes elsewhere, or is refused without its name."""

import sys
from collections import Counter

import pytest
from tests.hostile.cases import file_case
from tests.hostile.corpus import CATEGORIES, make_cases
from tests.hostile.readers import FAULTY_READERS
from tests.hostile.supervisor import find_violations

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's resource limits and /proc")


@pytest.mark.parametrize("category", CATEGORIES)
def test_files_are_read_or_refused(category, tmp_path):
    cases = make_cases(category)
    if not cases:
        pytest.skip(f"the library that makes {category} is not installed")
    violations = find_violations(cases, tmp_path)
    assert not violations, "\n" + "\n".join(violations)


def test_the_corpus_is_large_and_the_same_each_time():
    first = {category: make_cases(category) for category in CATEGORIES}
    names = Counter(case.name for cases in first.values() for case in cases)
    assert len(names) >= 300 and max(names.values()) == 1
    for category in ("images", "labels", "results"):
        assert make_cases(category) == first[category]
        assert make_cases(category, seed=1) != first[category]


# The violations that must be found in readers that are faulty on purpose.
EXPECTED = {
    "spins": "used too much processor time",
    "sleeps": "hung",
    "allocates": "raised MemoryError",
    "aborts": "died with -6",
    "raises another error": "raised KeyError",
    "writes elsewhere": "did open",
    "starts a program": "did os.system",
    "names no file": "names no file",
    "accepts everything": "was not refused",
}


@pytest.mark.slow
def test_the_violations_of_faulty_readers_are_found(tmp_path):
    assert EXPECTED.keys() == FAULTY_READERS.keys()
    cases = [file_case("faulty", name, "a.txt", name, b"x") for name in FAULTY_READERS]
    violations = find_violations(cases, tmp_path, idle_timeout_s=45, cpu_timeout_s=1)
    for name, expected in EXPECTED.items():
        assert any(line.startswith(f"faulty/{name}: ") and expected in line for line in violations), (name, violations)
    assert len(violations) == len(FAULTY_READERS)
