//! `tokenize@1` run natively, by the rules of the host.

use flowc_sdk::serde_json::{Value, json};
use flowc_sdk::{Rows, testing};

use super::*;

fn run(config: Value, lines: &[Option<&str>]) -> RecordBatch {
    let numbers: Vec<u32> = (0..lines.len() as u32).collect();
    let columns: [(&str, ArrayRef); 2] =
        [("line", Arc::new(StringArray::from(lines.to_vec()))), ("number", Arc::new(UInt32Array::from(numbers)))];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    testing::run::<Tokenize>(&config, &[vec![batch]]).unwrap().remove(0)
}

fn words(batch: &RecordBatch) -> Vec<String> {
    let words = batch.column_by_name("word").unwrap().as_string::<i32>();
    words.iter().map(|word| word.unwrap().to_owned()).collect()
}

/// The definition, without any speed.
fn plain(line: &str) -> Vec<String> {
    let words = line.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(|word| word.chars().flat_map(char::to_lowercase).collect()).collect()
}

#[test]
fn text_is_split_into_words_in_lower_case() {
    let batch = run(json!({"column": "line"}), &[Some("The quick, brown FOX-42"), None, Some(""), Some("jumps")]);
    assert_eq!(words(&batch), ["the", "quick", "brown", "fox", "42", "jumps"]);
}

#[test]
fn letters_of_any_script_are_letters() {
    let batch = run(json!({"column": "line"}), &[Some("Äpfel & Öl İx"), Some("naïve—привет")]);
    assert_eq!(words(&batch), ["äpfel", "öl", "i\u{307}x", "naïve", "привет"]);
}

#[test]
fn case_stays_where_the_config_says_so() {
    let batch = run(json!({"column": "line", "lowercase": false}), &[Some("The FOX Äh")]);
    assert_eq!(words(&batch), ["The", "FOX", "Äh"]);
}

#[test]
fn kept_columns_go_along_with_each_word() {
    let batch = run(json!({"column": "line", "keep": ["number"]}), &[Some("a b"), Some("--"), Some("c")]);
    assert_eq!(words(&batch), ["a", "b", "c"]);
    let numbers = batch.column_by_name("number").unwrap();
    assert_eq!(numbers.as_ref(), &UInt32Array::from(vec![0, 0, 2]));
}

#[test]
fn words_of_any_length_at_any_place_match_the_definition() {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as usize
    };
    let lines: Vec<String> = (0..400)
        .map(|_| {
            (0..next() % 300).map(|_| ['a', 'Z', '7', ' ', '-', 'é', '_', 'x'][next() % (5 + next() % 4)]).collect()
        })
        .chain([["word"; 60_000].join(" "), "x".repeat(1_500_000), "y".repeat(64), "z".repeat(128) + " z"])
        .collect();
    let given: Vec<Option<&str>> = lines.iter().map(|line| Some(line.as_str())).collect();
    let expected: Vec<String> = lines.iter().flat_map(|line| plain(line)).collect();
    assert!(words(&run(json!({"column": "line"}), &given)) == expected);
}

#[test]
fn only_the_text_is_read_and_new_rows_need_nothing_else() {
    let schema =
        Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false), Field::new("line", DataType::Utf8, true)]));
    let description = testing::describe::<Tokenize>(&json!({"column": "line"}), std::slice::from_ref(&schema)).unwrap();
    assert_eq!(description.inputs[0].reads, [1]);
    assert_eq!(description.outputs[0].rows, Rows::New);
    let problem = testing::describe::<Tokenize>(&json!({"column": "id"}), &[schema]).unwrap_err();
    assert_eq!(problem.config_path.as_deref(), Some("/column"));
}
