"""Clients of `flowc serve`: `clients.py PART URI [TOKEN [CERTIFICATE]]`."""

import sys
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.flight as fl

TOTALS = [
    {"word": "apple", "total": 7},
    {"word": "fig", "total": 1},
    {"word": "pear", "total": 5},
]


def arguments():
    """The URI, the token and the certificate, as far as they were given."""
    given = sys.argv[2:] + [None, None]
    return given[0], given[1], given[2]


def connect():
    """A Flight client, and the options of its calls."""
    uri, token, certificate = arguments()
    options = {"tls_root_certs": Path(certificate).read_bytes()} if certificate else {}
    headers = [(b"authorization", f"Bearer {token}".encode())] if token else []
    return fl.connect(uri, **options), fl.FlightCallOptions(headers=headers)


def adbc():
    """An ADBC connection."""
    import adbc_driver_flightsql.dbapi as dbapi
    from adbc_driver_flightsql import DatabaseOptions

    uri, token, certificate = arguments()
    options = {DatabaseOptions.AUTHORIZATION_HEADER.value: f"Bearer {token}"} if token else {}
    if certificate:
        options[DatabaseOptions.TLS_ROOT_CERTS.value] = Path(certificate).read_text()
    return dbapi.connect(uri, db_kwargs=options, autocommit=True)


def refused(call, *words):
    """Fails unless the call is refused with these words."""
    try:
        call()
    except Exception as error:
        missing = [word for word in words if word not in str(error)]
        assert not missing, f"{missing} not in: {error}"
        return
    raise AssertionError("it was not refused")


def flight():
    """Plain Flight: tables by their names."""
    client, options = connect()
    flights = {flight.descriptor.path[0].decode(): flight for flight in client.list_flights(options=options)}
    assert set(flights) == {"big", "totals", "words"}, flights
    assert flights["totals"].total_records == 3
    assert flights["totals"].schema.equals(pa.schema([("word", pa.string()), ("total", pa.int64())]))
    for descriptor in [fl.FlightDescriptor.for_path("totals"), fl.FlightDescriptor.for_command(b"totals")]:
        info = client.get_flight_info(descriptor, options)
        assert client.get_schema(descriptor, options).schema.equals(info.schema)
        assert client.do_get(info.endpoints[0].ticket, options).read_all().to_pylist() == TOTALS
    assert client.do_get(fl.Ticket(b"words"), options).read_all().num_rows == 4
    refused(lambda: client.do_get(fl.Ticket(b"word"), options).read_all(), "there is no table `word`", "`words`")
    refused(lambda: client.get_flight_info(fl.FlightDescriptor.for_path("a", "b"), options), "one part")
    refused(lambda: client.do_get(fl.Ticket(b"\xff\xfe"), options).read_all(), "names no table")

    def put():
        writer, reader = client.do_put(fl.FlightDescriptor.for_path("totals"), flights["totals"].schema, options)
        writer.done_writing()
        reader.read()
        writer.close()

    refused(put, "read, not written")
    refused(lambda: list(client.do_action(fl.Action("Shutdown", b""), options)), "no action `Shutdown`")


def sql():
    """Flight SQL by ADBC, alone and under pandas and Polars."""
    import pandas
    import polars

    with adbc() as connection:
        info = connection.adbc_get_info()
        assert info["vendor_name"] == "flowc", info
        [catalog] = connection.adbc_get_objects(depth="all").read_all().to_pylist()
        [schema] = catalog["catalog_db_schemas"]
        tables = {table["table_name"]: table for table in schema["db_schema_tables"]}
        assert (catalog["catalog_name"], schema["db_schema_name"]) == ("flowc", "public")
        assert [column["column_name"] for column in tables["big"]["table_columns"]] == ["word", "n", "twice"]
        assert connection.adbc_get_table_types() == ["TABLE"]
        assert connection.adbc_get_table_schema("totals").names == ["word", "total"]
        with connection.cursor() as cursor:
            for statement, rows in [
                ("SELECT * FROM totals", TOTALS),
                ("SELECT * FROM public.totals LIMIT 1", TOTALS[:1]),
                ("SELECT 1 AS one", [{"one": 1}]),
                ("SELECT count(*) AS n FROM flowc.public.words", [{"n": 4}]),
                (
                    "SELECT b.word, max(t.total) AS total FROM big b JOIN totals t ON b.word = t.word "
                    "GROUP BY b.word ORDER BY b.word DESC",
                    [TOTALS[2], TOTALS[0]],
                ),
                ("WITH few AS (SELECT * FROM big WHERE n > 4) SELECT word, twice FROM few", [{"word": "pear", "twice": 10}]),
            ]:
                cursor.execute(statement)
                assert cursor.fetch_arrow_table().to_pylist() == rows, statement
            for statement, words in [
                ("SELECT wrd FROM words", ["there is no column `wrd`", "did you mean `word`"]),
                ("SELECT * FROM totls", ["there is no table `totls`", "did you mean `totals`"]),
                ("SELECT FROM WHERE", []),
                ("DELETE FROM totals", ["read, not written"]),
                ("CREATE TABLE t (a int)", ["read, not written"]),
                ("SELECT 1; SELECT 2", ["several statements"]),
            ]:
                refused(lambda statement=statement: cursor.execute(statement), *words)
            refused(lambda: cursor.executemany("SELECT * FROM totals WHERE total = $1", [(7,)]))
            refused(lambda: cursor.adbc_ingest("mine", pa.table({"a": [1]})), "")
        frame = pandas.read_sql("SELECT * FROM totals", connection)
        assert frame.to_dict("records") == TOTALS
        frame = polars.read_database("SELECT word, total FROM totals ORDER BY total", connection)
        assert frame.rows() == [("fig", 1), ("pear", 5), ("apple", 7)]


def token():
    """Nobody is answered who shows no token."""
    uri, token, certificate = arguments()
    options = {"tls_root_certs": Path(certificate).read_bytes()} if certificate else {}
    client = fl.connect(uri, **options)
    for headers in [[], [(b"authorization", b"Bearer wrong-wrong-wrong-wrong")], [(b"authorization", b"Basic eDp5")]]:
        calls = fl.FlightCallOptions(headers=headers)
        refused(lambda calls=calls: list(client.list_flights(options=calls)), "token")
        refused(lambda calls=calls: client.do_get(fl.Ticket(b"totals"), calls).read_all(), "token")
    pair = client.authenticate_basic_token(b"anybody", token.encode())
    calls = fl.FlightCallOptions(headers=[pair])
    assert client.do_get(fl.Ticket(b"totals"), calls).read_all().to_pylist() == TOTALS
    refused(lambda: client.authenticate_basic_token(b"anybody", b"wrong"), "token")
    flight()
    sql()


def total():
    """The sum of all totals, as both ways tell it."""
    uri, expected, _ = arguments()
    client = fl.connect(uri)
    totals = client.do_get(fl.Ticket(b"totals")).read_all()["total"].to_pylist()
    assert sum(totals) == int(expected), totals
    import adbc_driver_flightsql.dbapi as dbapi

    with dbapi.connect(uri, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT sum(total) AS total FROM totals")
        assert cursor.fetchone() == (int(expected),)


def held():
    """A stream that is begun goes on over the results that it began with."""
    uri, _, _ = arguments()
    client = fl.connect(uri)
    reader = client.do_get(fl.Ticket(b"numbers"))
    first = reader.read_chunk().data
    print("begun", flush=True)
    sys.stdin.readline()
    rows, last = first.num_rows, first["n"][-1].as_py()
    for chunk in reader:
        assert chunk.data["n"][0].as_py() == last + 1
        rows, last = rows + chunk.data.num_rows, chunk.data["n"][-1].as_py()
    assert rows == 1_000_000, rows


def limits():
    """A statement that takes too long is ended, and the server goes on."""
    with adbc() as connection, connection.cursor() as cursor:
        endless = "SELECT sum(a.n * b.n) AS s FROM numbers a, numbers b"
        refused(lambda: (cursor.execute(endless), cursor.fetchall()), "took longer than")
        cursor.execute("SELECT count(*) AS c FROM numbers")
        assert cursor.fetchone() == (1_000_000,)


def endless():
    """A statement that takes too long to plan is ended, and the server goes on."""
    with adbc() as connection, connection.cursor() as cursor:
        long = " UNION ALL ".join(["SELECT word FROM words"] * 20_000)
        refused(lambda: cursor.execute(long), "took longer than 2s")
        cursor.execute("SELECT count(*) AS c FROM words")
        assert cursor.fetchone() == (4,)


def hostile():
    """Statements that end the program which plans them are told what they did, and those of others are answered meanwhile."""
    statements = [
        "SELECT repeat('x', 2000000000) AS r",
        "SELECT repeat(word, 2000000000) AS r FROM words WHERE repeat('x', 2000000000) = word",
    ]
    is_over, failures, answered = threading.Event(), [], []

    def ask(number):
        while not is_over.is_set():
            try:
                with adbc() as connection, connection.cursor() as cursor:
                    cursor.execute(f"SELECT count(*) + {number} AS c FROM words")
                    assert cursor.fetchone() == (4 + number,)
                answered.append(number)
            except Exception as error:
                failures.append(error)

    others = [threading.Thread(target=ask, args=(number,)) for number in range(2)]
    for other in others:
        other.start()
    with adbc() as connection, connection.cursor() as cursor:
        for statement in 5 * statements:
            refused(lambda statement=statement: cursor.execute(statement), "its process ended", "want of memory")
    is_over.set()
    for other in others:
        other.join()
    assert answered and not failures, failures[:3]


if __name__ == "__main__":
    parts = [flight, sql, token, total, held, limits, endless, hostile]
    {part.__name__: part for part in parts}[sys.argv[1]]()
