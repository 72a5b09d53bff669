"""Writes `database/podcasts.sql`: podcasts and their episodes, as an index of podcasts has them."""

import random
from pathlib import Path

ADJECTIVES = "quiet lost brave hidden early distant honest curious broken golden".split()
NOUNS = "river garden engine signal harbour letter winter market island machine".split()
VERBS = "build find cross repair imagine measure remember paint follow defend".split()
LANGUAGES = ["en", "en", "en", "de", "fr"]
PODCASTS = 12
EPISODES = 300


def sentence(rng: random.Random) -> str:
    adjective, noun, verb, other = (rng.choice(words) for words in (ADJECTIVES, NOUNS, VERBS, NOUNS))
    return f"We {verb} the {adjective} {noun}, and talk about every {other}."


def text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def main() -> None:
    rng = random.Random(7)
    lines = [
        "CREATE TABLE podcasts (id INTEGER PRIMARY KEY, title TEXT NOT NULL, language TEXT NOT NULL);",
        "CREATE TABLE episodes (id INTEGER PRIMARY KEY, podcast INTEGER NOT NULL REFERENCES podcasts, published INTEGER NOT NULL,",
        "    title TEXT NOT NULL, description TEXT, seconds REAL);",
    ]
    for podcast in range(1, PODCASTS + 1):
        title = f"The {rng.choice(ADJECTIVES)} {rng.choice(NOUNS)}".title()
        lines.append(f"INSERT INTO podcasts VALUES ({podcast}, {text(title)}, {text(rng.choice(LANGUAGES))});")
    for episode in range(1, EPISODES + 1):
        title = f"{rng.choice(VERBS)} it, they said: {rng.choice(NOUNS)}".capitalize()
        description = text(" ".join(sentence(rng) for _ in range(rng.randint(1, 4)))) if rng.random() > 0.05 else "NULL"
        values = [episode, rng.randint(1, PODCASTS), 1_700_000_000 + 3600 * episode, text(title), description]
        lines.append(f"INSERT INTO episodes VALUES ({', '.join(map(str, values))}, {rng.randint(600, 7200) / 4});")
    Path(__file__).with_name("database").joinpath("podcasts.sql").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
