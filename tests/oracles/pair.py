"""A manhole and its neighbour in plain ifs, written from docs/detectors/pair.md."""


class Pair:
    def __init__(self, least: float, learn: int, memory: int, side: str) -> None:
        self.least, self.learn, self.memory, self.side = least, learn, memory, side
        self.count = 0
        self.own = self.other = self.variance = self.covariance = self.deviation = 0.0

    def reading(self, own: float, other: float | None) -> float | None:
        if other is None:
            return None
        if self.count == 0:
            self.own, self.other, self.count = own, other, 1
            return None
        slope = self.covariance / max(self.variance, self.least * self.least)
        slope = min(max(slope, 0.0), 3.0)
        line = self.own + slope * (other - self.other)
        scale = max(1.2533 * self.deviation, self.least)
        z = (own - line) / scale
        signal = None
        pulled = z * scale
        if self.count >= self.learn:
            signal = abs(z) if self.side == "both" else max(z if self.side == "high" else -z, 0.0)
            pulled = min(max(z, -3.0), 3.0) * scale
        weight = 1 / min(self.count + 1, self.memory)
        d_own, d_other = line + pulled - self.own, other - self.other
        self.own += weight * d_own
        self.other += weight * d_other
        self.variance = (1 - weight) * (self.variance + weight * d_other * d_other)
        self.covariance = (1 - weight) * (self.covariance + weight * d_own * d_other)
        self.deviation += weight * (abs(pulled) - self.deviation)
        self.count += 1
        return signal
