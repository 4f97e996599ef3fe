"""Makes the pictures of this folder, and what Pillow reads in them: `python3 make.py`, with Pillow and numpy."""

import numpy as np
from PIL import Image

down, right = np.mgrid[0:20, 0:28]
colours = np.stack([down * 12, right * 9, 255 - 5 * (down + right)], axis=-1).astype(np.uint8)
picture = Image.fromarray(colours)


def keep(name, image, **options):
    image.save(name, **options)
    read = Image.open(name)
    np.save(name + ".npy", np.asarray(read if read.mode == "L" else read.convert("RGB")))


keep("plain.jpg", picture, quality=95, subsampling=0)
keep("coarse.jpg", picture, quality=90, subsampling=2)
keep("progressive.jpg", picture, quality=95, subsampling=0, progressive=True)
keep("grey.jpg", picture.convert("L"), quality=95)
keep("cmyk.jpg", picture.convert("CMYK"), quality=95, subsampling=0)
keep("plain.png", picture)
keep("alpha.png", picture.convert("RGBA"))
keep("palette.png", picture.quantize(16))
keep("grey.png", picture.convert("L"))
smaller = {
    "bilinear": picture.resize((9, 7), Image.BILINEAR),
    "larger": picture.resize((41, 33), Image.BILINEAR),
}
for name, image in smaller.items():
    np.save(name + ".npy", np.asarray(image))
