//! What a policy says that its author may not have meant.

use std::collections::BTreeSet;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::Policy;
use super::path::{Path, Segment, Template};
use super::rule::Rule;

/// What a decoded segment may hold that a path may not.
const RESERVED: AsciiSet = CONTROLS.add(b' ').add(b'#').add(b';').add(b'?');
/// A segment that is no rule's literal, so that only wildcards match it: a tilde is never needed in a path.
const NOBODYS: &str = "~any~";
/// Methods that a rule may leave to others, and one that nobody has heard of.
const METHODS: [&str; 8] = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "ANYTHING"];

impl Policy {
    /// Places where a method that a rule does not name falls through to a weaker rule, each as a sentence.
    pub fn warnings(&self) -> Vec<String> {
        let lengths = self.rules().iter().map(|rule| rule.template.segments.len());
        let longest = lengths.max().unwrap_or_default().saturating_add(1);
        let named = self.rules().iter().flat_map(|rule| rule.methods.iter().flatten().map(|name| &**name));
        let methods: BTreeSet<&str> = METHODS.into_iter().chain(named).collect();
        let partial = self.rules().iter().filter(|rule| rule.methods.is_some());
        partial.flat_map(|rule| self.weaker_ways(rule, &methods, longest)).collect()
    }

    fn weaker_ways(&self, rule: &Rule, methods: &BTreeSet<&str>, longest: usize) -> Vec<String> {
        let left: Vec<_> = methods.iter().filter(|method| !rule.covers(method.as_bytes())).collect();
        let mut sentences = Vec::new();
        for later in self.rules().iter().filter(|later| later.index > rule.index) {
            let Some(common) = rule.template.intersection(&later.template) else { continue };
            let paths = samples(&common, longest);
            let decides = |method: &str| {
                let found = |path: &String| {
                    let path = Path::parse(path.as_bytes()).ok()?;
                    self.rules().first_match(method.as_bytes(), &path).map(|first| first.index)
                };
                paths.iter().any(|path| found(path) == Some(later.index))
            };
            let fallen = left.iter().filter(|method| decides(method));
            sentences.extend(fallen.filter_map(|method| self.complaint(rule, later, method)));
        }
        sentences
    }

    /// What can be said against a method that one rule leaves to another. Who names the method in that other rule
    /// has thought of it, and may want somebody else there, such as writers instead of readers; but hardly more.
    fn complaint(&self, rule: &Rule, later: &Rule, method: &str) -> Option<String> {
        let providers = self.providers().len();
        let is_less = rule.lets_in_at_most_those_of(later, providers);
        let what = match later.lets_in_at_most_those_of(rule, providers) {
            true => return None,
            false if is_less => "which asks for less",
            false if later.methods.is_none() => "which lets in others",
            false => return None,
        };
        let (from, to) = (rule.index, later.index);
        Some(format!("rules[{from}]: {method} falls through to rules[{to}], {what}"))
    }
}

/// A path for each length, up to the length from which all are alike. Its wildcards are filled with what is
/// nobody's literal: a rule that matches it matches all paths of the template with that length.
fn samples(template: &Template, longest: usize) -> Vec<String> {
    let fixed: String = template
        .segments
        .iter()
        .map(|segment| match segment {
            Segment::Literal(text) => format!("/{}", utf8_percent_encode(text, &RESERVED)),
            Segment::Any => format!("/{NOBODYS}"),
        })
        .collect();
    let more = if template.open { longest.saturating_sub(template.segments.len()) } else { 0 };
    let path = |n| format!("{fixed}{}", format!("/{NOBODYS}").repeat(n));
    (0..=more).map(path).map(|path| if path.is_empty() { "/".to_owned() } else { path }).collect()
}
