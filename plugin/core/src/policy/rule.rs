//! Rules: the first one that matches decides, and what it demands of a caller.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::path::{Path, Segment, Template};
use crate::token::Identity;
use crate::{Reason, Refusal};

/// One compiled rule.
#[derive(Debug)]
pub struct Rule {
    /// Its place in the configuration's `rules`.
    pub index: usize,
    /// Whether the token travels on to the service.
    pub forward_token: bool,
    pub(super) methods: Option<Vec<Box<str>>>,
    pub(super) template: Template,
    pub(super) providers: Option<Vec<usize>>,
    pub(super) access: Access,
}

/// Who may pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Access {
    Public,
    Optional,
    Authenticated,
    Deny,
    Demand(Demand),
}

/// A compiled expression: names are resolved to what a request is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Demand {
    Role(Box<str>),
    Permission(Box<str>),
    /// The user's id stands in the path at this segment.
    Owner(usize),
    Provider(usize),
    AnyOf(Vec<Demand>),
    AllOf(Vec<Demand>),
}

/// Leave to pass, with the identity that the service will be told, or without one. Only a rule gives it.
#[derive(Debug)]
pub struct Permit {
    identity: Option<Rc<Identity>>,
    keep_credential: bool,
    rule: Option<usize>,
}

impl Permit {
    /// The caller, if the rule asked who it is.
    pub fn identity(&self) -> Option<&Rc<Identity>> {
        self.identity.as_ref()
    }

    /// Whether the credential travels on to the service.
    pub fn keeps_credential(&self) -> bool {
        self.keep_credential
    }

    /// The place of the rule that gave it, in the configuration.
    pub fn rule(&self) -> Option<usize> {
        self.rule
    }

    /// For a request that nobody looked into: a preflight, or a refused one in shadow mode.
    pub(crate) fn anonymous() -> Self {
        Self { identity: None, keep_credential: true, rule: None }
    }
}

impl Rule {
    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    /// A refusal under this rule.
    pub(crate) fn refuses(&self, reason: Reason) -> Refusal {
        Refusal { rule: Some(self.index), ..reason.into() }
    }

    /// Leave to pass without an identity, if that is all this rule wants.
    pub(crate) fn permit_anonymous(&self) -> Option<Permit> {
        match self.access {
            Access::Public => Some(Permit { rule: Some(self.index), ..Permit::anonymous() }),
            Access::Optional => Some(self.permit_for(None)),
            Access::Authenticated | Access::Deny | Access::Demand(_) => None,
        }
    }

    /// Leave to pass for this caller.
    ///
    /// # Errors
    /// `rule_denied` where the caller is not one whom the rule lets in, `no_rule` where nobody is.
    pub(crate) fn permit(&self, identity: Rc<Identity>, path: &Path<'_>) -> Result<Permit, Refusal> {
        let trusted = self.trusts(identity.provider_index());
        let verdict = match &self.access {
            Access::Deny => Err(Reason::NoRule),
            Access::Demand(demand) if !(trusted && demand.holds(&identity, path)) => Err(Reason::RuleDenied),
            _ if !trusted => Err(Reason::RuleDenied),
            _ => Ok(()),
        };
        match verdict {
            Ok(()) => Ok(self.permit_for(Some(identity))),
            Err(reason) => {
                Err(Refusal { provider: Some(identity.provider().to_owned()), ..self.refuses(reason) })
            }
        }
    }

    /// Whether tokens of this provider count here.
    pub(super) fn trusts(&self, provider: usize) -> bool {
        self.providers.as_ref().is_none_or(|providers| providers.contains(&provider))
    }

    fn permit_for(&self, identity: Option<Rc<Identity>>) -> Permit {
        Permit { identity, keep_credential: self.forward_token, rule: Some(self.index) }
    }

    /// Whether this rule speaks of a method.
    pub(super) fn covers(&self, method: &[u8]) -> bool {
        self.methods.as_ref().is_none_or(|methods| {
            methods.iter().any(|m| m.as_bytes() == method || (&**m == "GET" && method == b"HEAD"))
        })
    }
}

impl Demand {
    fn holds(&self, identity: &Identity, path: &Path<'_>) -> bool {
        match self {
            Self::Role(role) => identity.has_role(role),
            Self::Permission(permission) => identity.has_permission(permission),
            Self::Owner(segment) => path.segments().nth(*segment) == Some(identity.user_id().as_bytes()),
            Self::Provider(index) => identity.provider_index() == *index,
            Self::AnyOf(parts) => parts.iter().any(|d| d.holds(identity, path)),
            Self::AllOf(parts) => parts.iter().all(|d| d.holds(identity, path)),
        }
    }
}

/// All rules, in a tree over path segments, so that a thousand of them cost a request no more than ten.
#[derive(Debug, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    literals: BTreeMap<Box<[u8]>, Node>,
    any: Option<Box<Node>>,
    /// Rules whose template ends here, in the order of the configuration.
    ends: Vec<usize>,
    /// Rules whose template goes on with `**` from here.
    open: Vec<usize>,
}

impl Rules {
    pub(super) fn new(rules: Vec<Rule>) -> Self {
        let mut root = Node::default();
        for (index, rule) in rules.iter().enumerate() {
            root.insert(&rule.template.segments, rule.template.open, index);
        }
        Self { rules, root }
    }

    /// The rule that decides: of all that match path and method, the one written first.
    pub fn first_match(&self, method: &[u8], path: &Path<'_>) -> Option<&Rule> {
        let mut search = Search { rules: &self.rules, method, best: None };
        search.visit(&self.root, &mut path.segments());
        search.best
    }

    /// The rules in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }
}

impl Node {
    fn insert(&mut self, segments: &[Segment], open: bool, index: usize) {
        let mut node = self;
        for segment in segments {
            node = match segment {
                Segment::Literal(text) => node.literals.entry(text.as_bytes().into()).or_default(),
                Segment::Any => node.any.get_or_insert_default(),
            };
        }
        if open { node.open.push(index) } else { node.ends.push(index) }
    }
}

struct Search<'r, 'm> {
    rules: &'r [Rule],
    method: &'m [u8],
    best: Option<&'r Rule>,
}

impl<'r> Search<'r, '_> {
    fn visit<'p>(&mut self, node: &'r Node, rest: &mut (impl Iterator<Item = &'p [u8]> + Clone)) {
        self.consider(&node.open);
        let Some(segment) = rest.next() else {
            return self.consider(&node.ends);
        };
        if let Some(next) = node.literals.get(segment) {
            self.visit(next, &mut rest.clone());
        }
        if let Some(next) = &node.any {
            self.visit(next, rest);
        }
    }

    fn consider(&mut self, candidates: &[usize]) {
        let earlier = |rule: &&Rule| self.best.is_none_or(|best| rule.index < best.index);
        let mut rules = candidates.iter().filter_map(|index| self.rules.get(*index)).take_while(earlier);
        if let Some(rule) = rules.find(|rule| rule.covers(self.method)) {
            self.best = Some(rule);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rule(index: usize, methods: Option<&[&str]>, template: &str) -> Rule {
        Rule {
            index,
            forward_token: false,
            methods: methods.map(|m| m.iter().map(|m| (*m).into()).collect()),
            template: Template::parse(template).unwrap(),
            providers: None,
            access: Access::Public,
        }
    }

    fn rules(templates: &[&str]) -> Rules {
        Rules::new(templates.iter().enumerate().map(|(i, t)| rule(i, None, t)).collect())
    }

    fn matched(rules: &Rules, method: &str, path: &str) -> Option<usize> {
        rules.first_match(method.as_bytes(), &Path::parse(path.as_bytes()).unwrap()).map(|r| r.index)
    }

    #[test]
    fn the_first_match_wins_however_special_a_later_one_is() {
        let r = rules(&["/a/*", "/a/b", "/a/**", "/**"]);
        assert_eq!(matched(&r, "GET", "/a/b"), Some(0));
        assert_eq!(matched(&r, "GET", "/a"), Some(2));
        assert_eq!(matched(&r, "GET", "/a/b/c"), Some(2));
        assert_eq!(matched(&r, "GET", "/"), Some(3));
        assert_eq!(matched(&rules(&["/a"]), "GET", "/b"), None);
        assert_eq!(matched(&rules(&["/a"]), "GET", "/a/"), Some(0));
        assert_eq!(matched(&rules(&["/a/*"]), "GET", "/a"), None);
    }

    #[test]
    fn a_method_that_a_rule_does_not_name_falls_through() {
        let r = Rules::new(vec![rule(0, Some(&["GET"]), "/a"), rule(1, None, "/**")]);
        assert_eq!(matched(&r, "GET", "/a"), Some(0));
        assert_eq!(matched(&r, "HEAD", "/a"), Some(0));
        assert_eq!(matched(&r, "get", "/a"), Some(1));
        assert_eq!(matched(&r, "POST", "/a"), Some(1));
    }

    /// The tree must answer as a plain walk down the list would.
    fn plain_walk(templates: &[String], path: &str) -> Option<usize> {
        let segments: Vec<_> = path.split('/').skip(1).filter(|s| !s.is_empty()).collect();
        templates.iter().position(|template| {
            let parts: Vec<_> = template.split('/').skip(1).filter(|s| !s.is_empty()).collect();
            let (fixed, open) = match parts.split_last() {
                Some((&"**", fixed)) => (fixed, true),
                _ => (&parts[..], false),
            };
            (segments.len() == fixed.len() || open && segments.len() > fixed.len())
                && fixed.iter().zip(&segments).all(|(t, s)| *t == "*" || t == s)
        })
    }

    proptest! {
        #[test]
        fn the_tree_answers_as_the_list_would(
            templates in prop::collection::vec("(/(a|b|\\*)){1,4}(/\\*\\*)?", 1..12),
            path in "(/(a|b|c)){0,5}",
        ) {
            let path = if path.is_empty() { "/".to_owned() } else { path };
            let r = rules(&templates.iter().map(String::as_str).collect::<Vec<_>>());
            prop_assert_eq!(matched(&r, "GET", &path), plain_walk(&templates, &path));
        }
    }
}
