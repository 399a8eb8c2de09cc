"""Where the labelled data are, and what is measured on them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from telemetry.batch import Floats, Masks
from telemetry.errors import BadConfiguration

_ROOT = Path(__file__).parent.parent.parent


def datasets(name: str, folder: Path | None = None) -> Path:
    """The folder of one data set. Raises BadConfiguration where it is not there."""
    given = os.environ.get("GATEHOUSE_DATASETS")
    found = folder or (Path(given) if given else _ROOT.parent / "shared" / "datasets") / name
    if not found.is_dir():
        raise BadConfiguration(f"no data set in {found}: put it there, or say where with GATEHOUSE_DATASETS")
    return found


def roc_area(score: Floats, is_true: Masks) -> float:
    """The share of pairs (true, false) in which the true one scores higher; ties count half."""
    _, inverse, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[inverse]
    true, false = int(is_true.sum()), int((~is_true).sum())
    return float((rank[is_true].sum() - true * (true + 1) / 2) / (true * false))


def limit_at(score: Floats, is_true: Masks, specificity: float) -> float:
    """The lowest limit, among the scores of the false, that at most 1 - specificity of them lie above."""
    false = np.sort(score[~is_true])
    return float(false[int(np.ceil(specificity * len(false))) - 1])


def sensitivity_at(score: Floats, is_true: Masks, specificity: float) -> float:
    """The share of the true above that limit."""
    return float((score[is_true] > limit_at(score, is_true, specificity)).mean())
