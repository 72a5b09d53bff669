"""Makes `data/`: views from two servers, out of order, with duplicates and late rows."""

import random
from datetime import datetime, timedelta
from pathlib import Path

PAGES = ["/", "/shop", "/shop/kettle", "/shop/mug", "/cart", "/about"]

chance = random.Random(5)
for server in ["north", "south"]:
    views = []
    for visitor in range(12):
        time = datetime(2024, 3, 30, 20) + timedelta(minutes=chance.randrange(600))
        for _ in range(chance.randrange(1, 4)):
            for _ in range(chance.randrange(1, 6)):
                views.append((time, f"{server[0]}{visitor}", chance.choice(PAGES)))
                time += timedelta(seconds=chance.randrange(5, 900))
            time += timedelta(hours=chance.randrange(1, 9))
    # In the order in which they arrived: most within seconds, a few much later.
    arrived = sorted(views, key=lambda view: view[0] + timedelta(seconds=chance.choice([0, 0, 10, 60, 7200])))
    arrived += chance.choices(arrived, k=3)
    rows = [f"{time.isoformat()},{visitor},{page}" for time, visitor, page in arrived]
    rows.insert(7, f",{server[0]}0,/")
    Path(__file__).with_name("data").joinpath(f"{server}.csv").write_text("\n".join(["at,visitor,page", *rows, ""]))
