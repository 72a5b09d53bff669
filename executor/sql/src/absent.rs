//! Functions of other dialects, and what says the same.

use flowc_planner::nearest;

/// Functions that the engine does not have, and what says the same.
const ABSENT: &[(&[&str], &str)] = &[
    (&["isnull", "zeroifnull"], "`coalesce(a, b)` gives the first that is no null"),
    (&["if", "iff", "iif", "decode"], "write `CASE WHEN ... THEN ... ELSE ... END`"),
    (&["strftime", "date_format", "format_date", "to_varchar"], "`to_char(time, '%Y-%m-%d')` gives a text"),
    (
        &["strptime", "str_to_date", "parse_date", "parse_timestamp"],
        "use `to_timestamp(text, '%Y-%m-%d')` or `to_date`",
    ),
    (
        &["datediff", "date_diff", "timestampdiff", "timestamp_diff", "age", "months_between"],
        "subtract one from the other",
    ),
    (&["dateadd", "date_add", "adddate", "date_sub", "timestamp_add", "add_months"], "write `time + INTERVAL '1 day'`"),
    (&["last_day"], "write `date_trunc('month', day) + INTERVAL '1 month' - INTERVAL '1 day'`"),
    (
        &[
            "year",
            "quarter",
            "month",
            "week",
            "day",
            "hour",
            "minute",
            "second",
            "dayofweek",
            "dayofyear",
            "weekofyear",
        ],
        "write `extract(year FROM time)`",
    ),
    (&["len"], "use `length`"),
    (&["charindex", "locate"], "use `strpos(text, part)`"),
    (&["substring_index"], "use `split_part(text, ',', 1)`"),
    (&["group_concat", "listagg"], "use `string_agg(text, ',' ORDER BY text)`"),
    (&["regexp_extract", "regexp_substr"], "`regexp_match(text, pattern)[1]` is the first match"),
    (&["truncate"], "use `trunc`"),
    (&["quantile", "quantile_cont", "percentile"], "use `percentile_cont(0.5) WITHIN GROUP (ORDER BY x)`"),
    (&["arg_max", "argmax", "max_by"], "write `first_value(a ORDER BY b DESC)`"),
    (&["arg_min", "argmin", "min_by"], "write `first_value(a ORDER BY b)`"),
    (&["collect_list", "list", "array"], "use `array_agg`"),
    (&["countif", "count_if", "sumif", "sum_if"], "write `count(*) FILTER (WHERE ...)`"),
    (&["to_number", "int", "float", "str", "todouble", "toint"], "write `CAST(... AS ...)`"),
    (&["width_bucket"], "`floor((x - low) / (high - low) * buckets) + 1` is the bucket of x"),
    (&["format", "printf", "sprintf"], "put texts together with `||` or `concat`"),
    (&["md5", "sha1", "sha256", "sha512", "digest", "hash"], "a stage in Python or Rust has digests"),
    (
        &[
            "json_extract",
            "json_extract_string",
            "json_value",
            "json_query",
            "get_json_object",
            "json_extract_path",
            "json_extract_path_text",
            "jsonb_extract_path",
            "jsonb_extract_path_text",
            "json_array_elements",
            "jsonb_array_elements",
            "json_object_keys",
            "jsonb_object_keys",
            "parse_json",
            "json_build_object",
            "jsonb_build_object",
            "to_json",
            "to_jsonb",
            "row_to_json",
        ],
        PARSE_JSON,
    ),
];

/// How a document becomes columns.
pub(crate) const PARSE_JSON: &str =
    "the standard stage `parse-json@1` makes columns of documents, before a stage in SQL";

/// What to write in the place of a function that there is none of: what says the same, or the name that was meant.
pub(crate) fn instead(name: &str, near: Option<&str>) -> Option<String> {
    let name = name.to_lowercase();
    match ABSENT.iter().find(|(names, _)| names.contains(&name.as_str())) {
        Some((_, instead)) => Some((*instead).to_owned()),
        None => nearest(&name, near).map(|near| format!("did you mean `{near}`?")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_not_near_are_not_meant() {
        for (name, near, is) in [
            ("strftime", "to_time", Some("to_char")),
            ("ISNULL", "nullif", Some("coalesce")),
            ("datediff", "date_bin", Some("subtract")),
            ("concatt", "concat", Some("did you mean `concat`?")),
            ("upperr", "upper", Some("did you mean `upper`?")),
            ("frobnicate", "ln", None),
        ] {
            let found = instead(name, Some(near));
            assert!(
                found.as_deref().is_some_and(|found| is.is_some_and(|is| found.contains(is)))
                    || (found.is_none() && is.is_none()),
                "{name}: {found:?}"
            );
        }
    }
}
