//! Both languages say the same, with the right places.

use super::*;

fn error(parse: Parser, text: &str) -> (Option<String>, String) {
    let errors = parse(text).expect_err(text);
    (errors[0].at.map(|at| at.to_string()), errors[0].text.clone())
}

/// The tree as text, each key and value with its place.
fn tree(node: &Node) -> String {
    let inside = match &node.value {
        Value::Text(text) => format!("{text:?}"),
        Value::Number(number) => number.clone(),
        Value::Truth(truth) => truth.to_string(),
        Value::List(list) => format!("[{}]", list.iter().map(tree).collect::<Vec<_>>().join(", ")),
        Value::Table(entries) => {
            let entry = |(key, value): &(Key, Node)| format!("{}@{} {}", key.name, key.at, tree(value));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        Value::Other(kind) => format!("({kind})"),
    };
    format!("{inside}@{}", node.at)
}

#[test]
fn toml_values_know_where_they_stand() {
    let text = "b = \"ü\" \n# x\nlabels = { 'ü' = 'v', w = true }\n[[target]]\nsize = 0x10\nlist = [\n  1.5,\n  -3]\n";
    let expect = "{b@1:1 \"ü\"@1:5, labels@3:1 {ü@3:12 \"v\"@3:18, w@3:23 true@3:27}@3:10, target@4:3 [{size@5:1 \
                  16@5:8, list@6:1 [(a number with a fraction)@7:3, -3@8:3]@6:8}@4:1]@4:1}@1:1";
    assert_eq!(tree(&toml::parse(text).expect("it is TOML")), expect);
}

#[test]
fn yaml_values_know_where_they_stand() {
    let text = "# x\nb: ü\nlabels: { w: true, \"x\": '1' }\ntarget:\n  - size: 16\n    list: [1.5, -3, yes, 64KiB, 1.10]\n";
    let expect = "{b@2:1 \"ü\"@2:4, labels@3:1 {w@3:11 true@3:14, x@3:20 \"1\"@3:25}@3:9, target@4:1 [{size@5:5 \
                  16@5:11, list@6:5 [(a number with a fraction)@6:12, -3@6:17, \"yes\"@6:21, \"64KiB\"@6:26, (a \
                  number with a fraction)@6:33]@6:11}@5:5]@5:3}@2:1";
    assert_eq!(tree(&yaml::parse(text).expect("it is YAML")), expect);
}

#[test]
fn a_file_of_comments_only_is_a_table_without_entries() {
    for text in ["", "\n", "# nothing\n"] {
        let check = |parse: Parser| assert_eq!(tree(&parse(text).expect(text)), "{}@1:1", "{text:?}");
        check(toml::parse);
        check(yaml::parse);
    }
}

#[test]
fn toml_says_every_error_of_its_syntax_with_its_place() {
    let errors = toml::parse("a = x y\nb = 1\n[c\nd == 2\n").expect_err("it is no TOML");
    let lines: Vec<_> = errors.iter().filter_map(|error| error.at).map(|at| at.line).collect();
    assert_eq!(lines, [1, 3, 4], "{errors:?}");
    let (at, text) = error(toml::parse, "a = 1\n\na = 2\n");
    assert_eq!((at.as_deref(), text.as_str()), (Some("3:1"), "duplicate key"));
}

#[test]
fn yaml_says_where_its_error_is() {
    let check = |text: &str, line: &str, part: &str| {
        let (at, said) = error(yaml::parse, text);
        assert!(at.is_some_and(|at| at.starts_with(line)), "{text:?}: {said}");
        assert!(said.contains(part), "{text:?}: {said}");
        assert!(!said.contains('\n'), "{said}");
    };
    check("a: 1\nb: [1, 2\n", "", "");
    check("a: 1\nb: 2\na: 3\n", "3:", "duplicate");
    check("a: *b\n", "1:", "");
    check("a: 1\n---\nb: 2\n", "", "document");
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let check = |name: &str, part: &str| {
        let errors = read(&folder.path().join(name)).expect_err(name);
        assert!(errors[0].text.contains(part), "{errors:?}");
    };
    check("tracer.json", "Use .toml for TOML, or .yaml or .yml for YAML");
    check("tracer", "Use .toml");
    check("tracer.toml", "No such file");
    std::fs::create_dir(folder.path().join("folder.toml")).expect("a folder");
    check("folder.toml", "it is no file");
    std::fs::write(folder.path().join("bytes.toml"), b"a = \"\xff\"").expect("a file");
    check("bytes.toml", "UTF-8");
    std::fs::write(folder.path().join("large.yaml"), vec![b'#'; 2 << 20]).expect("a file");
    check("large.yaml", "more than 1 MiB");
}
