"""What the documents name exists: their links, paths, tests and events."""
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "tests/conformance/README.md"]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
# `model/mqtt/client`, `impl/linux/store.h`; not with wildcards, nor programs and results.
PATH = re.compile(r"`((?:model|impl|tests|scenarios|topologies|analysis|docs|frontdoor)/[\w./-]+)`")
TEST = re.compile(r"`(tests/[\w/]+): (\w+)`((?:, `\w+`)*)")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_and_paths_lead_somewhere(page):
    text = page.read_text()
    dead = [link for link in LINK.findall(text)
            if "://" not in link and not (page.parent / link).exists()]
    dead += [path for path in PATH.findall(text)
             if not (ROOT / path).exists() and not any(ROOT.glob(path + ".*"))]
    assert not dead


def test_every_test_that_proves_a_feature_is_there():
    text = (ROOT / "docs/reference/mqtt-features.md").read_text()
    rows = [(folder, [first, *re.findall(r"\w+", more)]) for folder, first, more in TEST.findall(text)]
    assert len(rows) > 30
    gone = []
    for folder, names in rows:
        source = "\n".join(p.read_text() for p in sorted((ROOT / folder).rglob("*.*"))
                           if p.suffix in (".cc", ".py"))
        gone += [f"{folder}: {name}" for name in names
                 if not re.search(rf"\b(def )?{name}\b", source)]
    assert not gone


def test_every_feature_has_a_test():
    rows = [line for line in (ROOT / "docs/reference/mqtt-features.md").read_text().splitlines()
            if line.startswith("| ") and not line.startswith("| feature")]
    assert [line for line in rows if "`tests/" not in line.rsplit("|", 2)[1]] == []
