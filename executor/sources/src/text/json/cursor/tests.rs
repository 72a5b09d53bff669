//! What is read of texts of JSON, against `serde_json`.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// A value as `serde_json` has it; the last of repeated members stands.
fn value(cursor: &mut Cursor<'_>) -> Result<Value, ArrowError> {
    Ok(match cursor.token()? {
        Token::Null => Value::Null,
        Token::Truth(truth) => truth.into(),
        Token::Number(digits) => serde_json::from_str(digits).map_err(|error| malformed(&error.to_string()))?,
        Token::Text(text) => text.into_owned().into(),
        Token::List => {
            let mut items = Vec::new();
            while cursor.next_item()? {
                items.push(value(cursor)?);
            }
            items.into()
        }
        Token::Object => {
            let mut members = serde_json::Map::new();
            while let Some(name) = cursor.next_member()? {
                members.insert(name.into_owned(), value(cursor)?);
            }
            members.into()
        }
    })
}

fn read(text: &[u8]) -> Option<Value> {
    let mut cursor = Cursor::new(text).ok()?;
    let value = value(&mut cursor).ok()?;
    cursor.end().ok().map(|()| value)
}

fn json() -> impl Strategy<Value = String> {
    let piece = proptest::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        " ",
        "\"a\"",
        "\"b\\n\\u00e9\"",
        "\"\\ud83d\\ude00\"",
        "\"\\ud83d\"",
        "\"",
        "\\",
        "0",
        "-1",
        "1.5",
        "01",
        "-",
        ".",
        "1e5",
        "1E+",
        "null",
        "true",
        "fals",
        "é",
        "\n",
        "\u{1}",
    ]);
    proptest::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

fn nested() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i32>().prop_map(|number| Value::from(f64::from(number) / 8.0)),
        any::<String>().prop_map(Value::from),
    ];
    scalar.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec(("[a-c]{1,2}", inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_json_is_what_serde_takes(text in json()) {
        prop_assert_eq!(read(text.as_bytes()), serde_json::from_str::<Value>(&text).ok());
    }

    #[test]
    fn values_come_back(value in nested()) {
        prop_assert_eq!(read(value.to_string().as_bytes()), Some(value.clone()));
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        prop_assert!(check(pretty.as_bytes()).is_ok());
        let mut cursor = Cursor::new(pretty.as_bytes()).unwrap();
        prop_assert_eq!(cursor.raw().unwrap(), pretty.as_str());
    }

    #[test]
    fn bytes_of_any_kind_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let _ = check(&bytes);
    }
}

#[test]
fn a_repeated_member_is_found_at_any_depth() {
    assert!(check(b"{\"a\":1,\"b\":{\"a\":[{\"a\":1},{\"a\":2}]}}").unwrap());
    for text in ["{\"a\":1,\"a\":1}", "{\"x\":{\"a\":1,\"b\":2,\"a\":null}}", "[{},{\"a\":1,\"\\u0061\":2}]"] {
        let error = check(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("the member `a` occurs more than once"), "{error}");
    }
}

proptest! {
    #[test]
    fn numbers_are_whole_within_their_bounds(number in any::<i32>(), least in any::<i32>(), most in any::<i32>()) {
        let text = format!("{number}}}");
        let mut cursor = Cursor::new(text.as_bytes()).unwrap();
        let due = (least..=most).contains(&number).then_some(i64::from(number));
        prop_assert_eq!(cursor.whole(least.into(), most.into()), due);
        prop_assert_eq!(cursor.at, due.map_or(0, |_| text.len() - 1));
    }

    #[test]
    fn whole_numbers_are_read_as_others_are(text in "-?[0-9]{0,20}[.eE0-9,} ]?[0-9]?") {
        let mut cursor = Cursor::new(text.as_bytes()).unwrap();
        let mut other = cursor.clone();
        match cursor.whole(i64::MIN, i64::MAX) {
            Some(value) => {
                let Ok(Token::Number(number)) = other.token() else { panic!("{text}") };
                prop_assert_eq!((number.parse(), cursor.at), (Ok(value), other.at));
            }
            None => prop_assert_eq!(cursor.at, 0),
        }
    }

    #[test]
    fn decimals_are_read_as_others_are(text in "-?(0|[1-9][0-9]{0,18}|0[0-9]{0,3})?([.][0-9]{0,18})?([eE][0-9])?[,} x]?") {
        let mut cursor = Cursor::new(text.as_bytes()).unwrap();
        let mut other = cursor.clone();
        match cursor.decimal() {
            Some(value) => {
                let Ok(Token::Number(number)) = other.token() else { panic!("{text}") };
                let due: f64 = serde_json::from_str(number).unwrap();
                prop_assert_eq!((value.to_bits(), cursor.at), (due.to_bits(), other.at));
            }
            None => prop_assert_eq!(cursor.at, 0),
        }
    }

    #[test]
    fn short_decimals_are_read_at_once(whole in 0u32..10_000_000, cents in 0u8..100) {
        let text = format!("{whole}.{cents:02}");
        let mut cursor = Cursor::new(text.as_bytes()).unwrap();
        prop_assert_eq!(cursor.decimal(), text.parse().ok());
    }

    #[test]
    fn plain_texts_are_read_as_others_are(text in "\"[a-z\\\\\"\u{1}é]{0,20}\"?") {
        let mut cursor = Cursor::new(text.as_bytes()).unwrap();
        let mut other = cursor.clone();
        match cursor.plain_text() {
            Some(plain) => {
                prop_assert_eq!(other.token().ok(), Some(Token::Text(Cow::Borrowed(plain))));
                prop_assert_eq!(cursor.at, other.at);
            }
            None => prop_assert_eq!(cursor.at, 0),
        }
    }
}

#[test]
fn depth_is_bounded() {
    assert!(check("[".repeat(1 << 20).as_bytes()).is_err());
    assert!(check(("[".repeat(128) + &"]".repeat(128)).as_bytes()).is_ok());
    assert!(check(("[".repeat(129) + &"]".repeat(129)).as_bytes()).is_err());
}
