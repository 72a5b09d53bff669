-- The hours of each airport. A flight that was cancelled has no delay.
SELECT
    origin,
    hour,
    count(*) AS flights,
    count(*) - count(delay) AS cancelled,
    avg(delay) AS delay,
    sum(CASE WHEN delay IS NOT NULL THEN seats END) AS seats,
    max(wind) AS wind,
    max(snow) AS snow,
    min(visibility) AS visibility
FROM departures
GROUP BY origin, hour
