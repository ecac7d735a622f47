"""Twenty deliberate defects and more: each must break a test of the codec or the broker."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import mutate  # noqa: E402


def test_every_defect_can_be_put_in():
    table = mutate.mutations()
    assert len(table) >= 20
    assert len({one["name"] for one in table}) == len(table)
    for one in table:
        assert one["find"] != one["replace"]


@pytest.mark.slow
def test_every_defect_is_noticed():
    assert mutate.check_all(mutate.default_build()) == []
