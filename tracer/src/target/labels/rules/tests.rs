//! Which value each label gets.

use super::*;
use crate::target::kubernetes::Place;

fn rule(name: &'static str, from: Source, pattern: &str, value: Option<&str>) -> Result<LabelRule, String> {
    let pattern = Some(Regex::new(pattern).expect("it is a pattern"));
    LabelRule::new(name, Some(from), pattern, value.map(str::to_owned))
}

fn environment(pairs: &[(&str, &str)]) -> Facts {
    let environment = pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    Facts { environment, ..Facts::default() }
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    environment(pairs).environment
}

fn set(pairs: &[(&str, &str)]) -> LabelSet {
    LabelRules::default().apply(&[&map(pairs)], &Facts::default())
}

#[test]
fn there_are_seven_built_in_rules_by_label() {
    let rules = LabelRules::or_built_in(Vec::new());
    let names: Vec<_> = rules.all().iter().map(|rule| rule.name).collect();
    let service = "service";
    assert_eq!(names, ["namespace", service, service, service, service, "version", "canary_group"]);
}

#[test]
fn built_in_rules_take_what_the_environment_says_then_the_unit_then_the_program() {
    let check = |facts: Facts, expect: &[(&str, &str)]| {
        let labels = LabelRules::or_built_in(Vec::new()).apply(&[], &facts);
        assert_eq!(labels, set(expect), "{facts:?}");
    };
    let program = Facts { exe: Some("api".to_owned()), comm: Some("worker".to_owned()), ..Facts::default() };
    check(Facts::default(), &[]);
    check(program.clone(), &[("service", "api")]);
    for (unit, service) in [
        ("shop.service", "shop"),
        ("shop@1.service", "shop"),
        ("dbus-org.example.Shop.service", "dbus-org.example.Shop"),
        ("user@1000.service", "api"),
        ("session-3.scope", "api"),
        ("user.slice", "api"),
    ] {
        check(Facts { unit: Some(unit.to_owned()), ..program.clone() }, &[("service", service)]);
    }
    let attributes = "deployment=x,service.name=My%20Shop%2C 2 , service.version=1.2,service.namespace=sales";
    let sales = [("version", "1.2"), ("namespace", "sales")];
    let given = environment(&[("OTEL_RESOURCE_ATTRIBUTES", attributes)]);
    let unit = Some("api.service".to_owned());
    let given = Facts { unit, ..given };
    check(given.clone(), &[&sales[..], &[("service", "My Shop, 2")]].concat());
    let mut named = given;
    named.environment.extend(map(&[("OTEL_SERVICE_NAME", "till"), ("TRACER_CANARY_GROUP", "canary")]));
    check(named.clone(), &[&sales[..], &[("service", "till"), ("canary_group", "canary")]].concat());
    named.environment.extend(map(&[("OTEL_SERVICE_NAME", "")]));
    let expect = [&sales[..], &[("service", "My Shop, 2"), ("canary_group", "canary")]].concat();
    check(named, &expect);
    check(environment(&[("OTEL_RESOURCE_ATTRIBUTES", "my.service.name=no,service.names=no")]), &[]);
}

#[test]
fn what_is_given_comes_before_the_rules_and_the_first_given_before_the_second() {
    let rules = LabelRules::or_built_in(Vec::new());
    let facts = environment(&[("OTEL_SERVICE_NAME", "of the rules"), ("TRACER_CANARY_GROUP", "canary")]);
    let rule = map(&[("service", "of the target"), ("canary_group", "")]);
    let flags = map(&[("service", "of the flags"), ("version", "2")]);
    let labels = rules.apply(&[&rule, &flags], &facts);
    assert_eq!(labels, set(&[("service", "of the target"), ("version", "2")]));
    let labels = rules.apply(&[&flags], &facts);
    assert_eq!(labels, set(&[("service", "of the flags"), ("version", "2"), ("canary_group", "canary")]));
}

#[test]
fn own_rules_replace_the_built_in_ones_of_their_label_only() {
    let own = rule("service", Source::Comm, "^api", None).expect("it is a rule");
    let rules = LabelRules::or_built_in(vec![own]);
    let mut facts =
        environment(&[("OTEL_SERVICE_NAME", "no"), ("OTEL_RESOURCE_ATTRIBUTES", "service.version=2")]);
    assert_eq!(rules.apply(&[], &facts), set(&[("version", "2")]));
    facts.comm = Some("api-1".to_owned());
    assert_eq!(rules.apply(&[], &facts), set(&[("version", "2"), ("service", "api-1")]));
}

#[test]
fn a_rule_gives_its_value_its_first_group_or_the_whole_text() {
    let check = |pattern, value, text: &str, expect: Option<&str>| {
        let facts = Facts { exe: Some(text.to_owned()), ..Facts::default() };
        let rule = rule("service", Source::Exe, pattern, value).expect("it is a rule");
        assert_eq!(rule.apply(&facts).as_deref(), expect, "{pattern} {value:?} {text}");
    };
    check(r"^(.*)-v(\d+)$", Some("$2"), "api-v12", Some("12"));
    check(r"^(.*)-v(\d+)$", None, "api-v12", Some("api"));
    check(r"^(.*)-v(\d+)$", None, "api", None);
    check("api", None, "my-api-1", Some("my-api-1"));
    check("api", Some("it"), "my-api-1", Some("it"));
    check("(?<n>api)", Some("${n}_$$0"), "api", Some("api_$0"));
    check("^x|(api)", None, "x", None);
}

#[test]
fn a_value_that_does_not_fit_its_match_is_refused() {
    let check = |pattern, value, part: &str| {
        let error = rule("service", Source::Exe, pattern, Some(value)).expect_err(value);
        assert!(error.contains(part), "{error}");
    };
    check("(a)", "$2", "the group $2");
    check("(a)", "${1}-${n}", "the group $n");
    check("a", "$1", "the group $1");
    check("(a)", "$1_b", "the group $1_b");
    assert!(rule("service", Source::Exe, "(?<n>a)(b)", Some("$$9 $0 $1-$2${n} $ {x}")).is_ok());
    let error = LabelRule::new("service", Some(Source::Exe), None, Some("x".to_owned()));
    assert!(error.is_err_and(|error| error.contains("needs a match")));
}

#[test]
fn a_rule_that_looks_at_nothing_gives_its_value_and_one_for_a_place_only_there() {
    let fixed = LabelRule::new("version", None, None, Some("none".to_owned())).expect("it is a rule");
    let rules = LabelRules::new(vec![
        rule("version", Source::Exe, "^api-(.*)$", None).expect("it is a rule"),
        LabelRule { place: Some(Where::UnknownPod), value: Some("unknown".to_owned()), ..fixed.clone() },
        fixed,
    ]);
    let check = |exe: &str, place: Place, expect: &str| {
        let facts = Facts { exe: Some(exe.to_owned()), place, ..Facts::default() };
        assert_eq!(&*rules.apply(&[], &facts).version, expect, "{facts:?}");
    };
    check("api-2", Place::Outside, "2");
    check("api-2", Place::Unknown, "2");
    check("api", Place::Outside, "none");
    check("api", Place::Unknown, "unknown");
    let error = LabelRule::new("version", None, Some(Regex::new("x").expect("a pattern")), None);
    assert!(error.is_err_and(|error| error.contains("match needs from")));
    let error = LabelRule::new("version", None, None, None);
    assert!(error.is_err_and(|error| error.contains("it has no from, and needs one")));
}
