-- The two latest flights of each day, with the weather in which they left.
WITH ranked AS (
    SELECT *, row_number() OVER (PARTITION BY month, day ORDER BY delay DESC) AS place
    FROM flown
)
SELECT month, day, place, flight, origin, dest, delay, wind, rain
FROM ranked
WHERE place <= 2
