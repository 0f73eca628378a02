//! A text file of the repository; for Rust also its tokens, flat, with their lines.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// What is read: Rust, and the other text that people write by hand.
const EXTENSIONS: &[&str] = &["rs", "toml", "md", "c", "cpp", "h", "py", "sh", "yaml", "yml"];

/// A text file.
pub(super) struct Source {
    /// From the top of the repository, with `/`.
    pub(super) path: String,
    pub(super) text: String,
    /// Empty unless it is Rust.
    pub(super) tokens: Vec<Token>,
    /// The parsed file, if it is Rust.
    pub(super) file: Option<syn::File>,
    /// Why it is not, although its name says so.
    pub(super) unreadable: Option<syn::Error>,
}

/// One token; a group is its opening and closing tokens with everything between.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) line: usize,
}

/// What of a token the rules look at.
#[derive(Debug, PartialEq)]
pub(super) enum Kind {
    Ident(String),
    /// Also the brackets of a group.
    Punct(char),
    Literal,
}

impl Token {
    pub(super) fn ident(&self) -> Option<&str> {
        match &self.kind {
            Kind::Ident(name) => Some(name),
            Kind::Punct(_) | Kind::Literal => None,
        }
    }

    pub(super) fn is(&self, punct: char) -> bool {
        self.kind == Kind::Punct(punct)
    }
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let mut source = Self {
            path: path.to_owned(),
            text: text.to_owned(),
            tokens: Vec::new(),
            file: None,
            unreadable: None,
        };
        if source.is_rust() {
            match parse(text) {
                Ok((tokens, file)) => (source.tokens, source.file) = (tokens, Some(file)),
                Err(error) => source.unreadable = Some(error),
            }
        }
        source
    }

    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Is there a `::` at this token?
    pub(super) fn path_separator(&self, at: usize) -> bool {
        [at, at + 1].iter().all(|&at| self.tokens.get(at).is_some_and(|token| token.is(':')))
    }
}

fn parse(text: &str) -> syn::Result<(Vec<Token>, syn::File)> {
    let stream: TokenStream = text.parse()?;
    let mut tokens = Vec::new();
    flatten(stream.clone(), &mut tokens);
    Ok((tokens, syn::parse2(stream)?))
}

fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    for tree in stream {
        let line = tree.span().start().line;
        let kind = match tree {
            TokenTree::Ident(ident) => Kind::Ident(ident.to_string().trim_start_matches("r#").to_owned()),
            TokenTree::Punct(punct) => Kind::Punct(punct.as_char()),
            TokenTree::Literal(_) => Kind::Literal,
            TokenTree::Group(group) => {
                let brackets = match group.delimiter() {
                    Delimiter::Parenthesis => ['(', ')'],
                    Delimiter::Brace => ['{', '}'],
                    Delimiter::Bracket => ['[', ']'],
                    Delimiter::None => {
                        flatten(group.stream(), tokens);
                        continue;
                    }
                };
                tokens.push(Token { kind: Kind::Punct(brackets[0]), line });
                flatten(group.stream(), tokens);
                let line = group.span_close().start().line;
                tokens.push(Token { kind: Kind::Punct(brackets[1]), line });
                continue;
            }
        };
        tokens.push(Token { kind, line });
    }
}

/// Reads every text file below a folder, in the order of their paths.
pub(super) fn read(repository: &Path) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    walk(repository, repository, &mut sources)?;
    sources.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(sources)
}

fn walk(repository: &Path, folder: &Path, sources: &mut Vec<Source>) -> Result<()> {
    let failed = || format!("failed to read {}", folder.display());
    for entry in fs::read_dir(folder).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        let (path, kind) = (entry.path(), entry.file_type().with_context(failed)?);
        let name = path.strip_prefix(repository)?.to_string_lossy().into_owned();
        if kind.is_dir() {
            // Not ours: what is built, and git's own files.
            if name != "target" && name != ".git" {
                walk(repository, &path, sources)?;
            }
        } else if kind.is_file()
            && path.extension().is_some_and(|end| EXTENSIONS.iter().any(|known| end == *known))
        {
            let text =
                fs::read_to_string(&path).with_context(|| format!("failed to read {name} as UTF-8"))?;
            sources.push(Source::new(&name, &text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hand_written_text_outside_target_is_read() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["a/b.rs", "target/c.rs", ".git/d.rs", "e.png", "f.md", ".ci/g.sh"] {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let paths: Vec<_> = read(folder.path()).unwrap().into_iter().map(|source| source.path).collect();
        assert_eq!(paths, [".ci/g.sh", "a/b.rs", "f.md"]);
    }

    #[test]
    fn tokens_keep_their_lines_through_groups_and_macros() {
        let source = Source::new("a.rs", "fn f() {\n    m!(\n        x\n    );\n}\n");
        let x = source.tokens.iter().find(|token| token.ident() == Some("x")).unwrap();
        assert_eq!(x.line, 3);
        assert_eq!(source.tokens.last().unwrap().line, 5);
    }
}
