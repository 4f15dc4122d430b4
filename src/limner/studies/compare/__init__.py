"""Comparing generators: a plan of rows, each made once, and one report of all of them."""

from limner.studies.compare.plan import Row as Row
from limner.studies.compare.plan import Shard as Shard
from limner.studies.compare.plan import named_rows as named_rows
from limner.studies.compare.report import Report as Report
from limner.studies.compare.rows import Stopped as Stopped
from limner.studies.compare.rows import finish as finish
from limner.studies.compare.rows import outcomes as outcomes
from limner.studies.compare.rows import run_rows as run_rows
from limner.studies.compare.rows import unmade as unmade
