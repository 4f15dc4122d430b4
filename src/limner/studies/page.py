"""The frame of a report's page: one HTML file with everything in it, for any width, light and dark."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable
from pathlib import Path

_STYLE = Path(__file__).with_name("page.css")


def document(title: str, parts: Iterable[str]) -> str:
    """A whole page that needs no other file."""
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{_STYLE.read_text()}</style>"
    )
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body><main>{"".join(parts)}</main></body></html>\n'


def heading(title: str, subtitle: str, verdict: Iterable[str]) -> str:
    """What stands above all: the question, what was looked at, the answer in sentences."""
    said = "".join(f"<p>{escape(line)}</p>" for line in verdict)
    soft = f'<p class="soft small">{escape(subtitle)}</p>'
    return f'<h1>{escape(title)}</h1>{soft}<div class="verdict">{said}</div>'


def section(title: str, *parts: str) -> str:
    """A part of the page under its heading."""
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def card(title: str, picture: str | None, note: str, colour: str | None = None) -> str:
    """A picture (a data URI) under its name, with the key of a colour of the style sheet."""
    key = f'<span class="key {colour}"></span>' if colour else ""
    shown = f'<img alt="{escape(title)}" src="{picture}">' if picture else "<p class='soft'>the pictures are gone</p>"
    return f'<div class="card"><h3>{key}{escape(title)}</h3>{shown}<p class="soft small">{escape(note)}</p></div>'


def legend(entries: Iterable[tuple[str, str]]) -> str:
    """Names with the keys of their colours."""
    items = "".join(f'<li><span class="key {colour}"></span>{escape(name)}</li>' for name, colour in entries)
    return f'<ul class="legend">{items}</ul>'


def data_uri(content: bytes, kind: str = "png") -> str:
    """A picture file's bytes as an address inside the page."""
    return f"data:image/{kind};base64," + base64.b64encode(content).decode()


def escape(text: str) -> str:
    """Text that is safe in HTML and in its attributes."""
    return html.escape(text)
