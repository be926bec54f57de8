"""Predictions held against real servers on this machine: sizes, speed of one model, serving."""
