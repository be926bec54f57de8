"""Recorded requests: files of other projects and of our own, read line by line."""
