"""The command line program around the `lightcurve` library."""
