CREATE TABLE hours (
    origin char(3) NOT NULL,
    hour timestamptz NOT NULL,
    flights integer NOT NULL,
    cancelled integer NOT NULL,
    delay double precision,
    seats integer,
    wind double precision,
    snow numeric,
    visibility double precision,
    note text NOT NULL DEFAULT '',
    PRIMARY KEY (origin, hour)
);
