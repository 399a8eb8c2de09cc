"""A simulated district: devices that speak the real field protocols, two weeks of past, scenarios with ground truth.

Nothing here imports the gateway or the server parts: what it says about a reading is an independent second opinion.
"""
