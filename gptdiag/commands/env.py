"""`gptdiag env`: what a bug report needs."""

from __future__ import annotations

import importlib.metadata
import platform
import sys

import click

from gptdiag import __version__
from gptdiag.devices import DTYPES, devices
from gptdiag.registry import detectors, formats

PACKAGES = ("numpy", "pandas", "matplotlib", "click", "zstandard", "pyarrow", "torch", "tiktoken")


@click.command("env", short_help="Print versions and environment.")
@click.option(
    "--devices", "list_devices", is_flag=True, help="List the table of device peaks instead."
)
def command(list_devices: bool) -> None:
    """Print the versions and the environment that a bug report needs."""
    if list_devices:
        _devices()
        return
    click.echo(f"gptdiag     {__version__}")
    click.echo(f"python      {platform.python_version()} ({platform.python_implementation()})")
    click.echo(f"platform    {platform.platform()}")
    click.echo(f"encoding    stdout {sys.stdout.encoding}, files {sys.getfilesystemencoding()}")
    for name in PACKAGES:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            version = "not installed"
        click.echo(f"{name:<11} {version}")
    click.echo(f"formats     {', '.join(formats())}")
    click.echo(f"detectors   {len(detectors())}: {', '.join(detectors())}")


def _devices() -> None:
    click.echo("Dense peak rates in TFLOP/s with 32-bit accumulation, without sparsity")
    click.echo(f"{'device':<20}" + "".join(f"{dtype:>10}" for dtype in DTYPES) + "  source")
    for device in devices().values():
        rates = "".join(f"{device.peaks.get(dtype, '-'):>10}" for dtype in DTYPES)
        click.echo(f"{device.name:<20}{rates}  {device.source}")
