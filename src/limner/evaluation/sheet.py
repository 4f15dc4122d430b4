"""A sheet of samples over their nearest training pictures."""

from __future__ import annotations

import numpy as np
from PIL import Image

_GAP = 4


def sheet(rows: list[np.ndarray]) -> Image.Image:
    """Rows of equally many uint8 pictures (n, H, W, 1 or 3), one row under the other; small ones are enlarged by whole factors."""
    height, width = rows[0].shape[1:3]
    scale = max(1, round(64 / max(height, width)))
    count = max(len(row) for row in rows)
    canvas = Image.new(
        "RGB", (count * (width * scale + _GAP) + _GAP, len(rows) * (height * scale + _GAP) + _GAP), (255, 255, 255)
    )
    for down, row in enumerate(rows):
        for across, picture in enumerate(row):
            image = Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).convert("RGB")
            image = image.resize((width * scale, height * scale), Image.Resampling.NEAREST)
            canvas.paste(image, (_GAP + across * (width * scale + _GAP), _GAP + down * (height * scale + _GAP)))
    return canvas
