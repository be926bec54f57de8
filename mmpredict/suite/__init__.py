"""Suites of published experiments: what a document asks of its machine, simulated anywhere, run where the machine is here."""
