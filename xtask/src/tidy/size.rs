//! Files and functions stay small enough to be read at once.

use syn::{
    Attribute, Block, ImplItemFn, ItemFn, ItemMod, Signature, TraitItemFn,
    spanned::Spanned as _,
    visit::{self, Visit},
};

use super::{Finding, source::Source};

/// Lines of a file, without its `#[cfg(test)]` modules.
const FILE_LINES: usize = 400;
/// Lines of a function's body, without blank lines and comments: as clippy counts.
const FUNCTION_LINES: usize = 70;

pub(super) fn check(source: &Source) -> Vec<Finding> {
    let Some(file) = &source.file else { return Vec::new() };
    let mut sizes = Sizes { source, findings: Vec::new(), test_lines: 0 };
    sizes.visit_file(file);
    let lines = source.text.lines().count() - sizes.test_lines;
    // The file of a `#[cfg(test)] mod tests;` is tests from its first line to its last.
    if lines > FILE_LINES && !source.path.ends_with("/tests.rs") {
        sizes.findings.push(Finding::new(
            source,
            1,
            format!("has {lines} lines without its tests; the limit is {FILE_LINES}"),
            "a file is one idea; two in one file hide each other",
            "move one of its ideas to a file of its own",
        ));
    }
    sizes.findings
}

struct Sizes<'a> {
    source: &'a Source,
    findings: Vec<Finding>,
    test_lines: usize,
}

impl Sizes<'_> {
    fn function(&mut self, signature: &Signature, body: &Block) {
        let (open, close) = (body.span().start().line, body.span().end().line);
        let inside = self.source.text.lines().skip(open).take(close.saturating_sub(open + 1));
        let code = inside.map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).count();
        if code > FUNCTION_LINES {
            self.findings.push(Finding::new(
                self.source,
                signature.span().start().line,
                format!("{} has {code} lines of code; the limit is {FUNCTION_LINES}", signature.ident),
                "a function that fits a screen can be checked by reading it",
                "give its steps names: one function per step",
            ));
        }
    }
}

impl<'ast> Visit<'ast> for Sizes<'_> {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if module.content.is_some() && module.attrs.iter().any(is_cfg_test) {
            let span = module.span();
            self.test_lines += span.end().line + 1 - span.start().line;
        }
        visit::visit_item_mod(self, module);
    }

    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.function(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        self.function(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast TraitItemFn) {
        if let Some(body) = &function.default {
            self.function(&function.sig, body);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

fn is_cfg_test(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute.parse_args::<syn::Path>().is_ok_and(|condition| condition.is_ident("test"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whats(text: &str) -> Vec<String> {
        check(&Source::new("a.rs", text)).into_iter().map(|finding| finding.what).collect()
    }

    fn function(lines: usize) -> String {
        format!("fn f() {{\n{}}}\n", "    g();\n".repeat(lines))
    }

    #[test]
    fn a_function_above_the_limit_is_found_wherever_it_stands() {
        assert!(whats(&function(FUNCTION_LINES)).is_empty());
        let long = function(FUNCTION_LINES + 1);
        for text in [long.clone(), format!("impl A {{\n{long}}}"), format!("trait A {{\n{long}}}")] {
            assert_eq!(whats(&text).len(), 1);
        }
        assert!(whats(&long)[0].starts_with("f has 71 lines"));
    }

    #[test]
    fn comments_and_blank_lines_do_not_make_a_function_long() {
        let text = format!("fn f() {{\n{}{}}}\n", "    g();\n".repeat(70), "    // why\n\n".repeat(40));
        assert!(whats(&text).is_empty());
    }

    #[test]
    fn a_file_above_the_limit_is_found_and_its_tests_do_not_count() {
        let code = "const A: u8 = 1;\n".repeat(FILE_LINES);
        assert!(whats(&code).is_empty());
        assert_eq!(whats(&format!("{code}const B: u8 = 1;\n")).len(), 1);
        let tests = format!("#[cfg(test)]\nmod tests {{\n{code}}}\n");
        assert!(whats(&format!("{code}{tests}")).is_empty());
        assert!(check(&Source::new("elf/tests.rs", &code.repeat(2))).is_empty());
        assert_eq!(whats(&format!("{code}{}", tests.replace("#[cfg(test)]", ""))).len(), 1);
    }
}
