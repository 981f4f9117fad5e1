"""Options that several commands have, each with the default of `RunConfig`."""

from typing import get_args

import click

from sfedge.core.config import DetectorEngine, EngineName, RunConfig

_DEFAULTS = RunConfig()

engine_option = click.option(
    "--engine",
    type=click.Choice(get_args(EngineName)),
    default=_DEFAULTS.engine,
    show_default=True,
    help="Engine that runs the model.",
)
precision_option = click.option(
    "--precision",
    metavar="NAME",
    help="One of the bundle's, such as fp32. [the one that suits the engine best]",
)
detector_option = click.option(
    "--detector",
    metavar="NAME|FILE.json",
    default=_DEFAULTS.detector,
    show_default=True,
    help="Detector of faces, hands and persons; see `sfedge detectors`.",
)
detector_engine_option = click.option(
    "--detector-engine",
    type=click.Choice(get_args(DetectorEngine)),
    default=_DEFAULTS.detector_engine,
    show_default=True,
    help="Engine that runs the detector: on a GPU where the model is, else on the CPU.",
)
offline_option = click.option("--offline", is_flag=True, help="Never fetch anything.")
