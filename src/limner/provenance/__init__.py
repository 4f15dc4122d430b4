"""What a written picture says about itself: who made it, from what, and that a model did."""

from limner.provenance.png import parameters as parameters
from limner.provenance.png import png_text as png_text
from limner.provenance.png import read_png as read_png
from limner.provenance.version import version as version
