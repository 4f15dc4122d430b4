"""Text inside a PNG, in three forms that other programs read.

- key `parameters`: the lines that web interfaces for diffusion models write and parse ("Steps: 20, Sampler: ...").
- key `limner`: one JSON object with everything that the picture is a function of.
- key `XML:com.adobe.xmp`: IPTC's DigitalSourceType, which says that a trained model made the picture (IPTC Photo
  Metadata Standard 2023.1, "Digital Source Type"; the news codes are at cv.iptc.org/newscodes/digitalsourcetype).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import quoteattr

from limner.errors import UserError
from limner.provenance.version import NAME, version

if TYPE_CHECKING:
    from PIL.PngImagePlugin import PngInfo

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"

_XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\
<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" \
xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" \
xmp:CreatorTool={tool} Iptc4xmpExt:DigitalSourceType={source}/></rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""

# Our option's name and the name that other programs know it by, in the order in which they write them.
_KNOWN = {"steps": "Steps", "solver": "Sampler", "guidance": "CFG scale"}


def parameters(record: Mapping[str, Any]) -> str:
    """The `parameters` text of a picture.

    The first line is what was asked for (left out where nothing was), the last one is `Name: value` pairs that begin
    with `Steps`, which is how other programs find it.

    Args:
        record: `seed`, `index`, `width`, `height`, `recipe`, `run`, `weights`, `label` and `options`, where known.
    """
    options = dict(record.get("options") or {})
    pairs = {"Steps": options.pop("steps", None) or 1}
    pairs |= {name: str(options.pop(key)).capitalize() for key, name in _KNOWN.items() if options.get(key) is not None}
    pairs["Seed"] = record.get("seed")
    if record.get("width"):
        pairs["Size"] = f"{record['width']}x{record['height']}"
    pairs["Model hash"] = (record.get("weights") or "")[:10] or None
    pairs |= {"Model": record.get("run"), "Recipe": record.get("recipe"), "Index": record.get("index")}
    pairs |= {key.capitalize(): value for key, value in options.items()}
    pairs["Version"] = f"{NAME} {version()}"
    line = ", ".join(f"{name}: {_quoted(value)}" for name, value in pairs.items() if value is not None)
    asked = " ".join(str(record.get("label") or "").split())
    return f"{asked}\n{line}" if asked else line


def png_text(record: Mapping[str, Any]) -> PngInfo:
    """Chunks for `Image.save(..., pnginfo=...)`; `record` as in `parameters`."""
    from PIL.PngImagePlugin import PngInfo

    tool = f"{NAME} {version()}"
    info = PngInfo()
    info.add_text("parameters", parameters(record))
    info.add_text(NAME, json.dumps({"version": version(), **record}, ensure_ascii=False))
    info.add_itxt("XML:com.adobe.xmp", _XMP.format(tool=quoteattr(tool), source=quoteattr(SOURCE_TYPE)))
    return info


def read_png(path: Path) -> dict[str, Any]:
    """The record that `png_text` wrote into a file. Raises `UserError` where there is none."""
    from PIL import Image

    with Image.open(path) as picture:
        text = picture.info.get(NAME)
    if text is None:
        raise UserError(f"{path} says nothing about how it was made: it has no text {NAME!r}")
    found: dict[str, Any] = json.loads(text)
    return found


def _quoted(value: Any) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if any(c in text for c in ",:\n") else text
