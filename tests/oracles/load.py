"""Steps of one room's power, judged reading by reading with plain ifs."""


def forbidden(
    readings: list[tuple[int, float, float | None]],
    band: tuple[float, float],
    allowed: list[float],
    sustain_ms: int,
    rise_readings: int,
    gap_ms: int,
    count_ms: int,
) -> list[tuple[int, float]]:
    """How many loads were switched on lately, at every reading (time, W, power factor or None); 0 while none is on."""
    said: list[tuple[int, float]] = []
    lately: list[tuple[float, float | None]] = []  # (W, VA)
    rise_ms: int | None = None
    base, base_va = 0.0, None
    since: list[float] = []
    load: float | None = None
    on_ms: list[int] = []
    before_ms = None
    for time_ms, power, factor in readings:
        va = None if factor is None or abs(factor) < 0.05 else power / abs(factor)
        if before_ms is None or time_ms - before_ms > gap_ms:
            lately = []
            if load is None:
                rise_ms = None
        before_ms = time_ms
        was_on = load is not None
        if load is not None:
            fall = max((w for w, _ in lately), default=power) - power
            is_back = power >= min(since) - 0.2 * fall
            if (fall >= 0.7 * load and not is_back) or power < 0.5 * load:
                load = rise_ms = None
            else:
                since.append(power)
        elif rise_ms is not None:
            since.append(power)
            step = min(since) - base
            if power - base < 0.8 * band[0]:
                rise_ms = None
            elif time_ms - rise_ms >= sustain_ms:
                wrong = band[0] <= step <= band[1]
                for one in allowed:
                    if abs(step - one) <= 0.08 * one:
                        wrong = False
                if va is not None and base_va is not None and power - base < 0.95 * (va - base_va):
                    wrong = False
                if wrong:
                    load = step
                    on_ms = [*on_ms, rise_ms][-8:]
                else:
                    rise_ms = None
        if not was_on and rise_ms is None and lately:
            lowest = min(w for w, _ in lately)
            if power - lowest >= band[0]:
                base, base_va = next(one for one in lately if one[0] == lowest)
                rise_ms, since = time_ms, []
        lately = [*lately, (power, va)][-rise_readings:]
        if load is None:
            said.append((time_ms, 0))
        else:
            said.append((time_ms, max(len([at for at in on_ms if at > time_ms - count_ms]), 1)))
    return said
