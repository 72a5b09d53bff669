-- How punctual each carrier is. Cancelled flights have no delay.
SELECT
    a.name AS carrier,
    count(*) AS flights,
    count(*) - count(f.delay) AS cancelled,
    avg(f.delay) AS mean_delay,
    stddev(f.delay) AS spread,
    CAST(count(*) FILTER (WHERE f.delay > 15) AS DOUBLE) / count(f.delay) AS late
FROM flights f
JOIN airlines a ON f.carrier = a.carrier
GROUP BY a.name
ORDER BY late DESC
