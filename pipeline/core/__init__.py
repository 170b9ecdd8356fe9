"""Errors, files, parameters, environment: what every other room stands on."""

from pipeline.core.process import configure_libraries

configure_libraries()
