"""`limn data`."""

from __future__ import annotations

from typing import Any

import click

from limner.cli.frame import verb
from limner.cli.options import data_options
from limner.cli.terminal import Terminal


@verb("data")
@click.argument("data")
@data_options
@click.option("--out", metavar="PACK", help="Pack the set into this folder.")
def data(terminal: Terminal, data: str, out: str | None, **options: Any) -> None:
    """Say what is in DATA before anything is trained.

    DATA is a folder, a zip, tar, parquet, idx, .npz or .npy file, shards such as 'set/{000..127}.tar' (in quotes) or
    s3://bucket/*.parquet, hf:owner/name, or a built-in set: digits, shapes, photos. Films, medical scans (DICOM, NIfTI)
    and recordings become pictures.
    """
    from limner import verbs

    if options["labels"] == "none":
        options["labels"] = None
    if out is None and terminal.mute:
        return
    if out is None:
        report = verbs.scan(data, terminal.progress, **options)
        terminal.result(report.to_dict(), report.text())
        return
    from limner.verbs.datasets import report_of

    report = report_of(verbs.pack(data, out, terminal.progress, **options))
    terminal.result(report.to_dict(), report.text())
