"""Generators of points: the mathematics that pictures are trained with, small enough to be seen."""

from limner.studies.toy.plan import configured as configured
from limner.studies.toy.points import target as target
from limner.studies.toy.report import Study as Study
