"""Makes `topics/`: orders and payments of an hour, a file for each partition, with records that are twice there, late or broken."""

import json
import random
from datetime import datetime, timedelta, timezone
from pathlib import Path

START = datetime(2024, 3, 1, 12, tzinfo=timezone.utc)
FOLDER = Path(__file__).with_name("topics")

chance = random.Random(15)


def record(value: dict) -> str:
    """The text of a record, which is sometimes broken."""
    text = json.dumps(value)
    luck = chance.random()
    if luck < 0.01:
        return text[: len(text) // 2]
    return text.replace(str(value["amount"]), '"none"') if luck < 0.02 else text


def arrivals(at: datetime) -> list[datetime]:
    """When a record is appended: some seconds later, sometimes again, sometimes after much longer."""
    delay = 1500 if chance.random() < 0.03 else chance.random() * 8
    first = at + timedelta(seconds=delay)
    return [first, first + timedelta(seconds=2)] if chance.random() < 0.05 else [first]


topics = {name: [] for name in ["orders-0", "orders-1", "payments-0", "payments-1"]}
for number in range(300):
    at = START + timedelta(seconds=chance.random() * 3600)
    amount = round(chance.uniform(5, 200), 2)
    order = {"id": f"o{number:03}", "at": at.isoformat(timespec="milliseconds"), "amount": amount}
    topics[f"orders-{number % 2}"] += [(time, record(order)) for time in arrivals(at)]
    if chance.random() < 0.8:
        paid = at + timedelta(seconds=chance.uniform(5, 400))
        payment = {"order": order["id"], "at": paid.isoformat(timespec="milliseconds"), "amount": amount}
        topics[f"payments-{chance.randrange(2)}"] += [(time, record(payment)) for time in arrivals(paid)]
for name, records in topics.items():
    records.sort()
    FOLDER.joinpath(f"{name}.jsonl").write_text("".join(text + "\n" for _, text in records))
