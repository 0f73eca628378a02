//! The table of layouts against the DWARF of real programs.

use tracer::go::runtime::layout::{Layout, Source};

use super::program::{image, version};
use super::toolchains::{Build, all};

#[test]
fn the_table_of_layouts_is_what_the_dwarf_of_each_version_says() {
    for go in all("the_table_of_layouts_is_what_the_dwarf_of_each_version_says") {
        let image = image(&go.build("no_profile", Build::Plain));
        let built = Layout::find(&image, None).expect("the program has DWARF");
        assert_eq!(built.source, Source::Dwarf);
        let table = Layout::from_table(go.minor).expect("the table has it");
        assert_eq!(Layout { source: Source::Dwarf, ..table }, built, "Go 1.{}", go.minor);
    }
}

#[test]
fn a_stripped_program_has_the_layout_of_its_version() {
    for go in all("a_stripped_program_has_the_layout_of_its_version") {
        let image = image(&go.build("no_profile", Build::Stripped));
        let layout = Layout::find(&image, Some(&version(go.minor))).expect("its version is known");
        assert_eq!(layout.source, Source::Table(go.minor));
        let unknown = Layout::find(&image, Some(&version(99))).expect_err("nobody has seen it");
        assert!(unknown.starts_with("go1.99: its layout is not known"), "{unknown}");
    }
}
