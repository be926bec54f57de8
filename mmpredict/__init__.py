"""Predicts how several local language models run on one machine."""
