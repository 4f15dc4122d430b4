"""The rows of the contract tests make recipes small here as well."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "contract"))
