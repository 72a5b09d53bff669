//! PostgreSQL's SQL, with operators that bind as they do there.

use std::any::TypeId;

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, UnaryOperator};
use datafusion::sql::sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

/// The dialect that all statements are parsed in.
pub(crate) const DIALECT: &dyn Dialect = &Postgres(PostgreSqlDialect {});

/// How strongly a sign binds: more than all operators between two values, less than `::` and `[]`.
const SIGN: u8 = 125;

/// The parser's PostgreSQL, but for what it gets wrong of operators:
///
/// - the right side of `IS [NOT] DISTINCT FROM` would go on over `AND` and `OR`;
/// - a sign would bind less than `^`: `-a ^ 2` would be `-(a ^ 2)`;
/// - `~`, `~~` and the like would bind as `=` does: `p = a ~ b` would be `(p = a) ~ b`. They bind as `LIKE` does;
/// - a sign, and the begin of a comment, would be parts of the operator before it: `a>-1`, `a>/* least */b`.
#[derive(Debug)]
struct Postgres(PostgreSqlDialect);

/// What a dialect is asked, answered by the parser's own.
macro_rules! as_postgres {
    ($($question:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)*) => {
        $(fn $question(&self, $($argument: $kind),*) -> $answer {
            self.0.$question($($argument),*)
        })*
    };
}

impl Dialect for Postgres {
    fn dialect(&self) -> TypeId {
        self.0.dialect()
    }

    /// Operators that end in a sign, or have `/` or `*` after their first character, are none that the engine has, or the tokenizer
    /// knows them by name.
    fn is_custom_operator_part(&self, ch: char) -> bool {
        !matches!(ch, '+' | '-' | '*' | '/') && self.0.is_custom_operator_part(ch)
    }

    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        match parser.peek_token_ref().token {
            Token::Tilde
            | Token::TildeAsterisk
            | Token::ExclamationMarkTilde
            | Token::ExclamationMarkTildeAsterisk
            | Token::DoubleTilde
            | Token::DoubleTildeAsterisk
            | Token::ExclamationMarkDoubleTilde
            | Token::ExclamationMarkDoubleTildeAsterisk => Some(Ok(self.prec_value(Precedence::Like))),
            _ => self.0.get_next_precedence(parser),
        }
    }

    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        let op = match parser.peek_token_ref().token {
            Token::Minus => UnaryOperator::Minus,
            Token::Plus => UnaryOperator::Plus,
            _ => return self.0.parse_prefix(parser),
        };
        parser.advance_token();
        Some(parser.parse_subexpr(SIGN).map(|expr| Expr::UnaryOp { op, expr: Box::new(expr) }))
    }

    fn parse_infix(&self, parser: &mut Parser, left: &Expr, precedence: u8) -> Option<Result<Expr, ParserError>> {
        if parser.parse_keywords(&[Keyword::BETWEEN, Keyword::SYMMETRIC]) {
            return Some(symmetric(parser, left, false));
        }
        if parser.parse_keywords(&[Keyword::NOT, Keyword::BETWEEN, Keyword::SYMMETRIC]) {
            return Some(symmetric(parser, left, true));
        }
        let of: fn(Box<Expr>, Box<Expr>) -> Expr =
            if parser.parse_keywords(&[Keyword::IS, Keyword::DISTINCT, Keyword::FROM]) {
                Expr::IsDistinctFrom
            } else if parser.parse_keywords(&[Keyword::IS, Keyword::NOT, Keyword::DISTINCT, Keyword::FROM]) {
                Expr::IsNotDistinctFrom
            } else {
                return self.0.parse_infix(parser, left, precedence);
            };
        Some(parser.parse_subexpr(precedence).map(|right| of(Box::new(left.clone()), Box::new(right))))
    }

    /// `* EXCLUDE (a)`, as DuckDB has it: PostgreSQL has no words for it.
    fn supports_select_wildcard_exclude(&self) -> bool {
        true
    }

    as_postgres! {
        identifier_quote_style(identifier: &str) -> Option<char>;
        is_delimited_identifier_start(ch: char) -> bool;
        is_identifier_start(ch: char) -> bool;
        is_identifier_part(ch: char) -> bool;
        is_reserved_for_identifier(keyword: Keyword) -> bool;
        prec_value(precedence: Precedence) -> u8;
        supports_unicode_string_literal() -> bool;
        supports_filter_during_aggregation() -> bool;
        supports_group_by_expr() -> bool;
        allow_extract_custom() -> bool;
        allow_extract_single_quotes() -> bool;
        supports_create_index_with_clause() -> bool;
        supports_explain_with_utility_options() -> bool;
        supports_listen_notify() -> bool;
        supports_factorial_operator() -> bool;
        supports_bitwise_shift_operators() -> bool;
        supports_comment_on() -> bool;
        supports_load_extension() -> bool;
        supports_named_fn_args_with_colon_operator() -> bool;
        supports_named_fn_args_with_expr_name() -> bool;
        supports_empty_projections() -> bool;
        supports_nested_comments() -> bool;
        supports_string_escape_constant() -> bool;
        supports_numeric_literal_underscores() -> bool;
        supports_array_typedef_with_brackets() -> bool;
        supports_geometric_types() -> bool;
        supports_set_names() -> bool;
        supports_alter_column_type_using() -> bool;
        supports_notnull_operator() -> bool;
        supports_interval_options() -> bool;
        supports_insert_table_alias() -> bool;
        supports_create_table_like_parenthesized() -> bool;
        supports_select_wildcard_with_alias() -> bool;
        supports_comma_separated_trim() -> bool;
        supports_xml_expressions() -> bool;
        supports_comment_optimizer_hint() -> bool;
    }
}

/// `a BETWEEN SYMMETRIC b AND c`: the parser has `BETWEEN` alone, which is asked both ways.
fn symmetric(parser: &mut Parser, of: &Expr, negated: bool) -> Result<Expr, ParserError> {
    let precedence = DIALECT.prec_value(Precedence::Between);
    let one = parser.parse_subexpr(precedence)?;
    parser.expect_keyword(Keyword::AND)?;
    let other = parser.parse_subexpr(precedence)?;
    let between = |low: &Expr, high: &Expr| Expr::Between {
        expr: Box::new(of.clone()),
        negated,
        low: Box::new(low.clone()),
        high: Box::new(high.clone()),
    };
    let op = if negated { BinaryOperator::And } else { BinaryOperator::Or };
    let (left, right) = (Box::new(between(&one, &other)), Box::new(between(&other, &one)));
    Ok(Expr::Nested(Box::new(Expr::BinaryOp { left, op, right })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str, dialect: &dyn Dialect) -> Expr {
        Parser::new(dialect).try_with_sql(text).unwrap().parse_expr().unwrap()
    }

    /// An expression with parentheses wherever one is made of others.
    fn grouped(expr: &Expr) -> String {
        let all = |exprs: &[&Expr]| exprs.iter().map(|expr| grouped(expr)).collect::<Vec<_>>();
        match expr {
            Expr::BinaryOp { left, op, right } => format!("({} {op} {})", grouped(left), grouped(right)),
            Expr::UnaryOp { op, expr } => format!("({op} {})", grouped(expr)),
            Expr::Nested(expr) => grouped(expr),
            Expr::IsDistinctFrom(left, right) => format!("({} <is not> {})", grouped(left), grouped(right)),
            Expr::IsNotDistinctFrom(left, right) => format!("({} <is> {})", grouped(left), grouped(right)),
            Expr::IsNull(expr) => format!("({} IS NULL)", grouped(expr)),
            Expr::IsNotNull(expr) => format!("({} IS NOT NULL)", grouped(expr)),
            Expr::IsTrue(expr) => format!("({} IS TRUE)", grouped(expr)),
            Expr::InList { expr, list, negated: false } => {
                format!("({} IN {})", grouped(expr), all(&list.iter().collect::<Vec<_>>()).join(","))
            }
            Expr::Between { expr, negated: false, low, high } => {
                format!("({})", all(&[&**expr, &**low, &**high]).join(" .. "))
            }
            Expr::Like { expr, pattern, negated: false, .. }
            | Expr::SimilarTo { expr, pattern, negated: false, .. } => {
                format!("({} LIKE {})", grouped(expr), grouped(pattern))
            }
            Expr::Cast { expr, data_type, .. } => format!("({}::{data_type})", grouped(expr)),
            Expr::AtTimeZone { timestamp, time_zone } => format!("({} AT {})", grouped(timestamp), grouped(time_zone)),
            other => other.to_string(),
        }
    }

    #[test]
    fn operators_bind_as_in_postgresql() {
        for (text, is) in [
            ("a IS NOT DISTINCT FROM b AND c", "((a <is> b) AND c)"),
            ("c AND a IS DISTINCT FROM b OR d", "((c AND (a <is not> b)) OR d)"),
            ("NOT a IS DISTINCT FROM b AND c", "((NOT (a <is not> b)) AND c)"),
            ("a IS NOT DISTINCT FROM b = c", "(a <is> (b = c))"),
            ("a IS NOT DISTINCT FROM b + 1", "(a <is> (b + 1))"),
            ("a = b IS DISTINCT FROM c", "((a = b) <is not> c)"),
            ("a IS DISTINCT FROM b BETWEEN 1 AND 2", "(a <is not> (b .. 1 .. 2))"),
            ("a IS DISTINCT FROM b IS NULL", "((a <is not> b) IS NULL)"),
            ("a = b IS NOT NULL", "((a = b) IS NOT NULL)"),
            ("a = b IS TRUE", "((a = b) IS TRUE)"),
            ("NOT a IS NULL", "(NOT (a IS NULL))"),
            ("NOT a = b", "(NOT (a = b))"),
            ("NOT a AND b", "((NOT a) AND b)"),
            ("a OR b AND c", "(a OR (b AND c))"),
            ("-a ^ 2", "((- a) ^ 2)"),
            ("2 ^ -1", "(2 ^ (- 1))"),
            ("-a::int", "(- (a::INT))"),
            ("-a[1]", "(- a[1])"),
            ("- - a", "(- (- a))"),
            ("+a ^ b", "((+ a) ^ b)"),
            ("-a * b", "((- a) * b)"),
            ("a - -b", "(a - (- b))"),
            ("2 ^ 3 ^ 2", "((2 ^ 3) ^ 2)"),
            ("a * b ^ c", "(a * (b ^ c))"),
            ("a + b * c - d", "((a + (b * c)) - d)"),
            ("a || b + c", "(a || (b + c))"),
            ("a || b = c", "((a || b) = c)"),
            ("a || b LIKE c", "((a || b) LIKE c)"),
            ("p = a ~ b", "(p = (a ~ b))"),
            ("p = a !~ b", "(p = (a !~ b))"),
            ("p = a ~~ b", "(p = (a ~~ b))"),
            ("a ~ b || c", "(a ~ (b || c))"),
            ("a || b ~* c", "((a || b) ~* c)"),
            ("NOT a ~ b", "(NOT (a ~ b))"),
            ("p = a LIKE b", "(p = (a LIKE b))"),
            ("a LIKE b || c AND d", "((a LIKE (b || c)) AND d)"),
            ("p = a SIMILAR TO b", "(p = (a LIKE b))"),
            ("p = a IN (1)", "(p = (a IN 1))"),
            ("p = a BETWEEN 1 AND 2", "(p = (a .. 1 .. 2))"),
            ("a BETWEEN SYMMETRIC 2 AND 1 AND b", "(((a .. 2 .. 1) OR (a .. 1 .. 2)) AND b)"),
            ("a BETWEEN 1 AND 2 AND b", "((a .. 1 .. 2) AND b)"),
            ("a + b BETWEEN c + 1 AND d + 1 OR e", "(((a + b) .. (c + 1) .. (d + 1)) OR e)"),
            ("a | b + 1", "(a | (b + 1))"),
            ("a << 1 & b", "((a << 1) & b)"),
            ("a & 1 = b", "((a & 1) = b)"),
            ("a::int::text || b", "(((a::INT)::TEXT) || b)"),
            ("-t AT TIME ZONE 'UTC'", "((- t) AT 'UTC')"),
            ("t + i AT TIME ZONE 'a' || 'b'", "((t + (i AT 'a')) || 'b')"),
        ] {
            assert_eq!(grouped(&parsed(text, DIALECT)), is, "{text}");
        }
    }

    #[test]
    fn a_sign_or_a_comment_ends_an_operator() {
        let operators = [
            "=", "<>", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "&", "|", "||", "<<", ">>", "^", "~", "~*",
            "!~", "->", "->>", "&&", "@>", "<@",
        ];
        for operator in operators {
            let expected = grouped(&parsed(&format!("a {operator} - 1"), DIALECT));
            // Two minuses begin a comment, in PostgreSQL too.
            if operator != "-" {
                assert_eq!(grouped(&parsed(&format!("a{operator}-1"), DIALECT)), expected, "{operator}");
                assert_eq!(parsed(&format!("a{operator}--b\n1"), DIALECT), parsed(&format!("a {operator} 1"), DIALECT));
            }
            assert_eq!(parsed(&format!("a{operator}+b"), DIALECT), parsed(&format!("a {operator} +b"), DIALECT));
            // `|/` is a square root.
            if !operator.ends_with('|') {
                assert_eq!(
                    parsed(&format!("a{operator}/* b */1"), DIALECT),
                    parsed(&format!("a {operator} 1"), DIALECT)
                );
            }
        }
    }

    #[test]
    fn all_else_is_read_as_the_parser_reads_it() {
        for text in [
            "E'a\\n' || U&'\\0061' || '1_0'",
            "1_000 + 2",
            "\"A b\" + \u{e4}",
            "ARRAY[1, 2][1]",
            "a::int[]",
            "a->'b'->>'c'",
            "a @> b",
            "extract(DOW FROM t)",
            "extract('dow' FROM t)",
            "INTERVAL '1 day'",
            "f(x => 1, y := 2)",
            "count(*) FILTER (WHERE a)",
            "a NOTNULL",
            "interval + 1",
            "/* a /* b */ c */ 1",
            "trim(BOTH 'a' FROM b)",
            "a # b",
            "a COLLATE \"C\"",
            "DATE '2020-01-01'",
            "a IS NOT TRUE OR b",
            "CASE WHEN a THEN b END",
            "a = ANY (ARRAY[1])",
            "EXISTS (SELECT FROM t)",
            "XML '<a/>'",
        ] {
            assert_eq!(parsed(text, DIALECT), parsed(text, &PostgreSqlDialect {}), "{text}");
        }
    }
}
