"""The fonts that the cases are drawn with, and the one that the demo brings along."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from PIL import ImageFont

from bench.media import BenchError

NEEDED = (
    "DejaVuSans.ttf",
    "DejaVuSans-Bold.ttf",
    "DejaVuSans-BoldOblique.ttf",
    "DejaVuSans-ExtraLight.ttf",
    "DejaVuSerif-Italic.ttf",
    "NotoSansArabic-Bold.ttf",
    "NotoSansCJK-Bold.ttc",
    "NotoSansThai-Regular.ttf",
)
PACKAGES = "fonts-dejavu-core fonts-dejavu-extra fonts-noto-core fonts-noto-cjk"
DEMO_FONT = "Aileron"  # the family name of the font inside Pillow


def check_fonts() -> None:
    """Nothing, or an error that says which fonts to install: other fonts are other cases."""
    home = Path.home()
    roots = (
        Path("/usr/share/fonts"),
        Path("/usr/local/share/fonts"),
        home / ".fonts",
        home / ".local/share/fonts",
    )
    installed = {path.name for root in roots if root.is_dir() for path in root.rglob("*.tt?")}
    if missing := [name for name in NEEDED if name not in installed]:
        raise BenchError(
            f"the cases are drawn with fonts that are not installed ({', '.join(missing)}); "
            f"apt-get install {PACKAGES}"
        )


def write_demo_font(folder: Path) -> Path:
    """The folder, now holding Pillow's own font as a file: libass needs no other one."""
    font = ImageFont.load_default(size=20)
    if not isinstance(font, ImageFont.FreeTypeFont) or not isinstance(font.path, BytesIO):
        raise BenchError("this Pillow brings no font of its own; install the pinned version")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{DEMO_FONT}.ttf").write_bytes(font.path.getvalue())
    return folder
