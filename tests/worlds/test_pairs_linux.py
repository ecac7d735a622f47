"""The same question on Linux: natbox in Mininet gives the answer that ns-3 gives (Must hold 3)."""
import pytest

from asking import NINE, ask, direct_by_pair, needs_root, oracle

pytestmark = [pytest.mark.root, needs_root]

# The four classes of answer: sure, order decides, one hard side, two hard sides.
SAMPLE = ["eim-apdf", "apdm-eif", "apdm-apdf"]


def test_a_sample_of_pairs_agrees_with_the_oracle(tmp_path):
    rows = ask("cone_vs_symmetric", tmp_path, "--on", "linux", "--set",
               "nat_a=" + ",".join(SAMPLE), "--set", "nat_b=" + ",".join(SAMPLE), "--seed", 1)
    assert direct_by_pair(rows) == {(a, b): {oracle(a, b)} for a in SAMPLE for b in SAMPLE}


@pytest.mark.slow
def test_all_81_pairs_three_times(tmp_path):
    rows = ask("cone_vs_symmetric", tmp_path, "--on", "linux", "--set", "kinds=rfc4787", "--seeds", 3)
    assert direct_by_pair(rows) == {(a, b): {oracle(a, b)} for a in NINE for b in NINE}
