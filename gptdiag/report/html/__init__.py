"""The report as one HTML file: opens from disk, asks no host for anything, trusts no log.

`view` says what is shown, `charts` what is drawn, `page` puts the file together.
"""

from gptdiag.report.html.page import framed, render

__all__ = ["framed", "render"]
