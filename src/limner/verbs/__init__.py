"""Every verb as a Python function; the command line parses and prints."""

from limner.provenance import version as version
from limner.runs import ROOT as ROOT
from limner.verbs.attending import attention as attention
from limner.verbs.catalogue import describe as describe
from limner.verbs.catalogue import doctor as doctor
from limner.verbs.catalogue import list_runs as list_runs
from limner.verbs.catalogue import models as models
from limner.verbs.checking import check_recipe as check_recipe
from limner.verbs.comparing import compare as compare
from limner.verbs.comparing import cost_in_words as cost_in_words
from limner.verbs.critiquing import Critique as Critique
from limner.verbs.critiquing import critique as critique
from limner.verbs.datasets import pack as pack
from limner.verbs.datasets import scan as scan
from limner.verbs.filming import film as film
from limner.verbs.measuring import evaluate as evaluate
from limner.verbs.mixing import mix as mix
from limner.verbs.run import Run as Run
from limner.verbs.run import open as open
from limner.verbs.run import sample as sample
from limner.verbs.sweeping import sweep as sweep
from limner.verbs.toying import toy as toy
from limner.verbs.training import estimate as estimate
from limner.verbs.training import train as train
