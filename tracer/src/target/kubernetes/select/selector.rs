//! Label selectors, as `kubectl -l` takes them:
//! <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors>. `>` and `<` are left out.
//!
//! kube has the meaning of selectors, and no parser of their text.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::names;

/// Requirements that all must hold: `app=api,track in (canary, next),!legacy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    text: String,
    requirements: Vec<Requirement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    /// `None`: any value.
    values: Option<Vec<String>>,
    /// It must not be so.
    is_negative: bool,
}

/// What is wrong with the text of a selector, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at character {at}: {text}")]
pub struct SelectorError {
    /// Counted from 1; one behind the last where something is missing.
    pub at: usize,
    /// What.
    pub text: String,
}

impl Selector {
    /// Whether all its requirements hold.
    #[must_use]
    pub fn fits(&self, pairs: &BTreeMap<String, String>) -> bool {
        self.requirements.iter().all(|requirement| {
            let is_so = pairs
                .get(&requirement.key)
                .is_some_and(|value| requirement.values.as_ref().is_none_or(|values| values.contains(value)));
            is_so != requirement.is_negative
        })
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let mut parser = Parser { tokens: tokens(text), next: 0, end: text.chars().count() + 1 };
        let mut requirements = vec![parser.requirement()?];
        while parser.take(&Token::Comma) {
            requirements.push(parser.requirement()?);
        }
        match parser.tokens.get(parser.next) {
            None => Ok(Self { text: text.trim().to_owned(), requirements }),
            Some(_) => parser.wrong("a comma, or the end"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Equals,
    NotEquals,
    Not,
    Comma,
    Open,
    Close,
    /// It means something to kubectl, or to nobody.
    Other(char),
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => write!(f, "{word:?}"),
            Self::Equals => f.write_str("'='"),
            Self::NotEquals => f.write_str("'!='"),
            Self::Not => f.write_str("'!'"),
            Self::Comma => f.write_str("','"),
            Self::Open => f.write_str("'('"),
            Self::Close => f.write_str("')'"),
            Self::Other(c) => write!(f, "{c:?}"),
        }
    }
}

/// The tokens, and the character that each begins with.
fn tokens(text: &str) -> Vec<(Token, usize)> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().zip(1..).peekable();
    while let Some((c, at)) = rest.next() {
        let token = match c {
            c if c.is_whitespace() => continue,
            '=' => {
                let _ = rest.next_if(|&(c, _)| c == '=');
                Token::Equals
            }
            '!' if rest.next_if(|&(c, _)| c == '=').is_some() => Token::NotEquals,
            '!' => Token::Not,
            ',' => Token::Comma,
            '(' => Token::Open,
            ')' => Token::Close,
            '<' | '>' => Token::Other(c),
            c => {
                let mut word = c.to_string();
                while let Some((c, _)) = rest.next_if(|&(c, _)| !is_end_of_word(c)) {
                    word.push(c);
                }
                Token::Word(word)
            }
        };
        tokens.push((token, at));
    }
    tokens
}

fn is_end_of_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, '=' | '!' | ',' | '(' | ')' | '<' | '>')
}

struct Parser {
    tokens: Vec<(Token, usize)>,
    next: usize,
    /// One behind the last character.
    end: usize,
}

impl Parser {
    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        if self.take(&Token::Not) {
            let key = self.key()?;
            return Ok(Requirement { key, values: None, is_negative: true });
        }
        let key = self.key()?;
        let (values, is_negative) = match self.tokens.get(self.next).map(|(token, _)| token) {
            None | Some(Token::Comma) => (None, false),
            Some(Token::Equals) => (Some(self.one()?), false),
            Some(Token::NotEquals) => (Some(self.one()?), true),
            Some(Token::Word(word)) if word == "in" => (Some(self.set()?), false),
            Some(Token::Word(word)) if word == "notin" => (Some(self.set()?), true),
            Some(Token::Other('<' | '>')) => {
                return self.wrong("=, ==, !=, in or notin, since numbers are not compared here");
            }
            Some(_) => return self.wrong("=, ==, !=, in, notin, a comma, or the end"),
        };
        Ok(Requirement { key, values, is_negative })
    }

    fn key(&mut self) -> Result<String, SelectorError> {
        self.word("the key of a label", names::key)
    }

    /// The value behind an operator, which may be empty.
    fn one(&mut self) -> Result<Vec<String>, SelectorError> {
        self.next += 1;
        Ok(vec![self.value()?])
    }

    /// The values in parentheses behind an operator.
    fn set(&mut self) -> Result<Vec<String>, SelectorError> {
        self.next += 1;
        if !self.take(&Token::Open) {
            return self.wrong("'('");
        }
        if self.tokens.get(self.next).is_some_and(|(token, _)| *token == Token::Close) {
            return self.wrong("a value");
        }
        let mut values = vec![self.value()?];
        while self.take(&Token::Comma) {
            values.push(self.value()?);
        }
        if self.take(&Token::Close) { Ok(values) } else { self.wrong("a comma, or ')'") }
    }

    fn value(&mut self) -> Result<String, SelectorError> {
        match self.tokens.get(self.next) {
            Some((Token::Word(_), _)) => self.word("a value", names::value),
            _ => Ok(String::new()),
        }
    }

    fn word(&mut self, wanted: &str, check: fn(&str) -> Result<(), String>) -> Result<String, SelectorError> {
        let Some((Token::Word(word), at)) = self.tokens.get(self.next) else { return self.wrong(wanted) };
        check(word).map_err(|text| SelectorError { at: *at, text })?;
        self.next += 1;
        Ok(word.clone())
    }

    fn take(&mut self, token: &Token) -> bool {
        let is_there = self.tokens.get(self.next).is_some_and(|(next, _)| next == token);
        self.next += usize::from(is_there);
        is_there
    }

    fn wrong<T>(&self, wanted: &str) -> Result<T, SelectorError> {
        Err(match self.tokens.get(self.next) {
            Some((token, at)) => SelectorError { at: *at, text: format!("{token} instead of {wanted}") },
            None => SelectorError { at: self.end, text: format!("it ends, instead of {wanted}") },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_fits_as_it_does_for_kubectl() {
        let pairs: BTreeMap<String, String> =
            [("app", "api"), ("track", "canary"), ("x.io/empty", ""), ("in", "notin")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into();
        let check = |text: &str, expect: bool| {
            let selector: Selector = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(selector.fits(&pairs), expect, "{text}");
            assert_eq!(selector.to_string(), text.trim());
        };
        check("app", true);
        check("none", false);
        check("!app", false);
        check("! none", true);
        check("app=api", true);
        check("app==api", true);
        check("app = web", false);
        check("app!=web", true);
        check("app != api", false);
        check("none=api", false);
        check("none!=api", true);
        check("track in (canary, next)", true);
        check("track in(next)", false);
        check("none in (canary)", false);
        check("track notin (canary)", false);
        check("track notin (next,canary2)", true);
        check("none notin (canary)", true);
        check("x.io/empty=", true);
        check("x.io/empty", true);
        check("app=", false);
        check("app!=", true);
        check("x.io/empty in (,a)", true);
        check("app in (web,)", false);
        check("in in (notin)", true);
        check("in=notin,notin!=in", true);
        check("app=api,track=canary", true);
        check("app=api,track=next", false);
        check("  app = api , track in ( canary ) ,\t!legacy ", true);
        check("app,!track", false);
    }

    #[test]
    fn what_is_no_selector_is_refused_with_the_place_where_it_stops_to_be_one() {
        let check = |text: &str, expect: &str| {
            let error = text.parse::<Selector>().expect_err(text).to_string();
            assert!(error.starts_with(expect), "{text}: {error}");
        };
        check("", "at character 1: it ends, instead of the key of a label");
        check("  ", "at character 3: it ends, instead of the key of a label");
        check("app=api,", "at character 9: it ends, instead of the key of a label");
        check(",app", "at character 1: ',' instead of the key of a label");
        check("app,,x", "at character 5: ',' instead of the key of a label");
        check("=api", "at character 1: '=' instead of the key of a label");
        check("app api", "at character 5: \"api\" instead of =, ==, !=, in, notin");
        check("app=api web", "at character 9: \"web\" instead of a comma, or the end");
        check("app===api", "at character 6: '=' instead of a comma, or the end");
        check("app=!api", "at character 5: '!' instead of a comma, or the end");
        check("!app=api", "at character 5: '=' instead of a comma, or the end");
        check("!!app", "at character 2: '!' instead of the key of a label");
        check("app in", "at character 7: it ends, instead of '('");
        check("app in api", "at character 8: \"api\" instead of '('");
        check("app in ()", "at character 9: ')' instead of a value");
        check("app in (a", "at character 10: it ends, instead of a comma, or ')'");
        check("app in (a b)", "at character 11: \"b\" instead of a comma, or ')'");
        check("app in (a))", "at character 11: ')' instead of a comma, or the end");
        check("app In (a)", "at character 5: \"In\" instead of =, ==, !=, in, notin");
        check("size>3", "at character 5: '>' instead of =, ==, !=, in or notin, since numbers");
        check("Ä=1", "at character 1: the name of a key has no 'Ä'");
        check("app=ä", "at character 5: a value has no 'ä'");
        check("app='api'", "at character 5: a value has no '\\''");
        check("a/b/c", "at character 1: the name of a key has no '/'");
        check("app in (a,-b)", "at character 11: a value begins and ends");
        check(&format!("app={}", "a".repeat(64)), "at character 5: a value has 63 characters at most");
        check(
            &format!("{}=1", "a".repeat(64)),
            "at character 1: the name of a key has 63 characters at most",
        );
    }
}
