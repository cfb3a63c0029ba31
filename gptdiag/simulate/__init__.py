"""Make logs of runs whose faults are known, to test and calibrate detectors against.

`log_of(Recipe())` is the log of a healthy run; each field of a recipe that departs from its default
plants one fault of known place and strength. `FAULTS` names one recipe per detector.
"""

from gptdiag.simulate.recipe import FAULTS, Recipe
from gptdiag.simulate.write import console_log, log_of

__all__ = ["FAULTS", "Recipe", "console_log", "log_of"]
