"""How good are the pictures? Distances in features with intervals and floors, under a protocol that is named."""

from limner.evaluation.features import Features as Features
from limner.evaluation.features import Shared as Shared
from limner.evaluation.features import load as load
from limner.evaluation.meanings import Measure as Measure
from limner.evaluation.measure import evaluate as evaluate
from limner.evaluation.protocol import require_one_protocol as require_one_protocol
from limner.evaluation.protocol import require_same_protocol as require_same_protocol
from limner.evaluation.result import Result as Result
from limner.evaluation.result import compare as compare
from limner.evaluation.scorer import Scorer as Scorer
