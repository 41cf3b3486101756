//! What a policy says that its author may not have meant.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::Policy;
use super::path::{Path, Segment};
use super::rule::{Access, Rule};

/// What a decoded segment may hold that a path may not.
const RESERVED: AsciiSet = CONTROLS.add(b' ').add(b'#').add(b';').add(b'?');
/// Methods that a rule may leave to others, and one that nobody has heard of.
const METHODS: [&str; 8] = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "ANYTHING"];

impl Policy {
    /// Places where a method that a rule does not name falls through to a weaker rule, each as a sentence.
    pub fn warnings(&self) -> Vec<String> {
        self.rules().iter().flat_map(|rule| self.weaker_ways(rule)).collect()
    }

    fn weaker_ways(&self, rule: &Rule) -> Vec<String> {
        if rule.methods.is_none() {
            return Vec::new();
        }
        let path = sample(rule);
        let Ok(path) = Path::parse(path.as_bytes()) else { return Vec::new() };
        let other = |method: &&str| {
            self.rules().first_match(method.as_bytes(), &path).filter(|m| m.index > rule.index)
        };
        let weaker: Vec<_> = METHODS
            .iter()
            .filter_map(|method| other(method).map(|found| (*method, found)))
            .filter(|(_, found)| strength(found) < strength(rule))
            .collect();
        let sentence = |(method, found): (&str, &Rule)| {
            let (from, to) = (rule.index, found.index);
            format!("rules[{from}]: {method} falls through to rules[{to}], which asks for less")
        };
        weaker.into_iter().map(sentence).collect()
    }
}

/// A path that the rule's template matches, and hardly any other's literals.
fn sample(rule: &Rule) -> String {
    let segments = rule.template.segments.iter().map(|segment| match segment {
        Segment::Literal(text) => utf8_percent_encode(text, &RESERVED).to_string(),
        Segment::Any => "~any~".to_owned(),
    });
    let open = rule.template.open.then(|| "~any~".to_owned());
    segments.chain(open).map(|segment| format!("/{segment}")).collect()
}

fn strength(rule: &Rule) -> u8 {
    match rule.access() {
        Access::Public => 0,
        Access::Optional => 1,
        Access::Authenticated => 2,
        Access::Demand(_) => 3,
        Access::Deny => 4,
    }
}
