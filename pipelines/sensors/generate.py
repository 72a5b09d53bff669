"""Makes `data/`: readings of three devices, one file for each gateway, with readings that are off, late or empty."""

import json
import random
from datetime import datetime, timedelta, timezone
from pathlib import Path

START = datetime(2024, 3, 1, 12, tzinfo=timezone.utc)

chance = random.Random(3)
for gateway, devices in {"hall": ["a", "b"], "roof": ["c"]}.items():
    readings = []
    for second in range(0, 300, 2):
        for device in devices:
            degrees = 20 + 5 * devices.index(device) + chance.gauss(0, 0.2)
            if chance.random() < 0.01:
                degrees += chance.choice([-9, 9])
            value = None if chance.random() < 0.02 else round(degrees, 2)
            at = START + timedelta(seconds=second + chance.random())
            delay = 90 if chance.random() < 0.01 else chance.random() * 3
            readings.append((at + timedelta(seconds=delay), {"device": device, "at": at.isoformat(), "degrees": value}))
    readings.sort(key=lambda reading: reading[0])
    lines = [json.dumps(reading) + "\n" for _, reading in readings]
    Path(__file__).with_name("data").joinpath(f"{gateway}.jsonl").write_text("".join(lines))
