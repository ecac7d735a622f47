"""Makes `analysis` importable from the repository's root, whatever the working directory."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
