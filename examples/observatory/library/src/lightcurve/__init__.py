"""Periods of variable stars, from measurements of their brightness."""

from lightcurve.observation import Observation, ObservationError
from lightcurve.period import find_period, phase
from lightcurve.star import Star, read_stars

__all__ = ["Observation", "ObservationError", "Star", "find_period", "phase", "read_stars"]
