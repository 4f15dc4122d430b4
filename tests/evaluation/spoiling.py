"""Ways to spoil uint8 pictures (N, H, W, C), from mild to bad; not those that the feature network was taught."""

import io

import numpy as np
from PIL import Image, ImageFilter


def _each(pictures, change):
    out = []
    for picture in pictures:
        image = Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)
        out.append(np.asarray(change(image)).reshape(picture.shape))
    return np.stack(out)


def blurred(pictures, radius):
    return _each(pictures, lambda image: image.filter(ImageFilter.BoxBlur(radius)))


def noisy(pictures, amount):
    noise = np.random.default_rng(0).uniform(-amount, amount, pictures.shape)
    return (pictures + noise).clip(0, 255).round().astype(np.uint8)


def compressed(pictures, quality):
    def change(image):
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file).convert(image.mode)

    return _each(pictures, change)


def brightened(pictures, amount):
    return (pictures.astype(int) + amount).clip(0, 255).astype(np.uint8)


def reddened(pictures, amount):
    return (pictures.astype(int) + np.array([amount, 0, -amount])).clip(0, 255).astype(np.uint8)


WAYS = {
    "blurred": (blurred, (0.4, 0.8, 1.5)),
    "noisy": (noisy, (10, 30, 90)),
    "compressed": (compressed, (60, 25, 8)),
    "brightened": (brightened, (15, 40, 90)),
    "reddened": (reddened, (15, 40, 90)),
}
