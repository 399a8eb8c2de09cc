"""Detectors on labelled public data: what they find, and how often they are wrong.

The data are not part of the project. They are looked for in `../shared/datasets`, or where `GATEHOUSE_DATASETS` says.
"""
