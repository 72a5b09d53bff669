"""Makes the data of this pipeline: the same every time."""

import csv
import random
from pathlib import Path

HERE = Path(__file__).parent
random.seed(2023)
CARRIERS = {"AA": "American", "B6": "JetBlue", "DL": "Delta", "UA": "United", "WN": "Southwest"}
ORIGINS = ["EWR", "JFK", "LGA"]
DESTINATIONS = ["ATL", "BOS", "LAX", "MIA", "ORD", "SFO"]
PLANES = [f"N{number}" for number in range(101, 141)]


def write(name, header, rows):
    with open(HERE / name, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


write("airlines.csv", ["carrier", "name"], CARRIERS.items())
makers = ["AIRBUS", "BOEING", "EMBRAER"]
write(
    "planes.csv",
    ["tailnum", "year", "maker", "seats"],
    # Three planes are in no register.
    [[plane, random.choice([1999, 2004, 2012, ""]), random.choice(makers), random.choice([55, 149, 200])] for plane in PLANES[:-3]],
)
hours = [(day, hour) for day in range(1, 11) for hour in range(6, 22, 3)]
write(
    "weather.csv",
    ["origin", "month", "day", "hour", "wind", "rain"],
    [
        [origin, month, day, hour, round(abs(random.gauss(10, 5)), 1), random.choice([0, 0, 0, 0.02, 0.3])]
        for origin in ORIGINS
        for month in (1, 2, 3)
        for day, hour in hours
    ],
)
number = 0
for month in (1, 2, 3):
    rows = []
    for day, hour in hours:
        for _ in range(4):
            number += 1
            delay = "" if random.random() < 0.04 else round(random.expovariate(1 / 12)) - 6
            carrier, plane = random.choice(list(CARRIERS)), random.choice(PLANES)
            rows.append([number, month, day, hour, carrier, plane, random.choice(ORIGINS), random.choice(DESTINATIONS), delay])
    write(f"flights/2023-{month:02}.csv", ["flight", "month", "day", "hour", "carrier", "tailnum", "origin", "dest", "delay"], rows)
