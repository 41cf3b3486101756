//! Whether one rule lets in nobody whom another refuses.

use super::rule::{Access, Demand, Rule};

/// More ways into a rule than this are not gone through, and count as letting in too many.
const MAX_WAYS: usize = 4096;

/// A set of demands that opens a rule when all of them hold.
type Way<'a> = Vec<&'a Demand>;

impl Rule {
    /// Whether everybody whom this rule lets in, the other would let in on the same path. With a great number of ways in, the
    /// answer may be no where it is yes, and never the other way round.
    ///
    /// Expressions have no negation, so a caller who fulfils one way in and nothing else is the hardest case for the
    /// other rule; going through all of them is a proof. A caller has exactly one provider.
    pub(super) fn lets_in_at_most_those_of(&self, other: &Self, providers: usize) -> bool {
        let covered = |provider| {
            let ways = self.ways_in(provider);
            ways.is_some_and(|ways| ways.iter().all(|way| other.lets_in(provider, way)))
        };
        self.openness() <= other.openness() && (0..providers).all(covered)
    }

    /// How much is let in that is no good token: nothing, nothing at all in its place, or anything.
    fn openness(&self) -> u8 {
        match self.access() {
            Access::Public => 2,
            Access::Optional => 1,
            Access::Authenticated | Access::Demand(_) | Access::Deny => 0,
        }
    }

    /// Every way in with a good token of this provider, or `None` if there are too many.
    fn ways_in(&self, provider: usize) -> Option<Vec<Way<'_>>> {
        match self.access() {
            _ if !self.trusts(provider) => Some(vec![]),
            Access::Deny => Some(vec![]),
            Access::Demand(demand) => demand.ways(provider),
            Access::Public | Access::Optional | Access::Authenticated => Some(vec![vec![]]),
        }
    }

    fn lets_in(&self, provider: usize, facts: &[&Demand]) -> bool {
        self.trusts(provider)
            && match self.access() {
                Access::Deny => false,
                Access::Demand(demand) => demand.follows_from(provider, facts),
                Access::Public | Access::Optional | Access::Authenticated => true,
            }
    }
}

impl Demand {
    fn ways(&self, provider: usize) -> Option<Vec<Way<'_>>> {
        let ways = match self {
            Self::Role(_) | Self::Permission(_) | Self::Owner(_) => vec![vec![self]],
            Self::Provider(it) if *it == provider => vec![vec![]],
            Self::Provider(_) => vec![],
            Self::AnyOf(parts) => {
                parts.iter().map(|part| part.ways(provider)).collect::<Option<Vec<_>>>()?.concat()
            }
            Self::AllOf(parts) => parts
                .iter()
                .try_fold(vec![vec![]], |ways, part| each_with_each(&ways, &part.ways(provider)?))?,
        };
        (ways.len() <= MAX_WAYS).then_some(ways)
    }

    fn follows_from(&self, provider: usize, facts: &[&Self]) -> bool {
        match self {
            Self::Role(_) | Self::Permission(_) | Self::Owner(_) => facts.contains(&self),
            Self::Provider(it) => *it == provider,
            Self::AnyOf(parts) => parts.iter().any(|part| part.follows_from(provider, facts)),
            Self::AllOf(parts) => parts.iter().all(|part| part.follows_from(provider, facts)),
        }
    }
}

fn each_with_each<'a>(ones: &[Way<'a>], others: &[Way<'a>]) -> Option<Vec<Way<'a>>> {
    let pairs = ones.iter().flat_map(|one| others.iter().map(|other| [one.as_slice(), other].concat()));
    (ones.len().checked_mul(others.len())? <= MAX_WAYS).then(|| pairs.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::path::Template;
    use proptest::prelude::*;

    const PROVIDERS: usize = 2;

    fn rule(access: Access, providers: Option<Vec<usize>>) -> Rule {
        let template = Template::parse("/**").unwrap();
        Rule { index: 0, forward_token: false, methods: None, template, providers, access }
    }

    fn demand() -> impl Strategy<Value = Demand> {
        let leaf = prop_oneof![
            "[ab]".prop_map(|role| Demand::Role(role.into())),
            "[ab]".prop_map(|permission| Demand::Permission(permission.into())),
            (1usize..3).prop_map(Demand::Owner),
            (0..PROVIDERS).prop_map(Demand::Provider),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            let parts = prop::collection::vec(inner, 1..4);
            prop_oneof![parts.clone().prop_map(Demand::AnyOf), parts.prop_map(Demand::AllOf)]
        })
    }

    fn any_rule() -> impl Strategy<Value = Rule> {
        let access = prop_oneof![
            Just(Access::Public),
            Just(Access::Optional),
            Just(Access::Authenticated),
            Just(Access::Deny),
            demand().prop_map(Access::Demand),
            demand().prop_map(Access::Demand),
        ];
        let providers = prop_oneof![Just(None), Just(Some(vec![0])), Just(Some(vec![0, 1]))];
        (access, providers).prop_map(|(access, providers)| {
            let providers = providers.filter(|_| !matches!(access, Access::Public | Access::Deny));
            rule(access, providers)
        })
    }

    /// Everything that a caller can be as far as these rules can tell.
    fn facts() -> Vec<Demand> {
        let names = ["a", "b"];
        let roles = names.map(|name| Demand::Role(name.into()));
        let permissions = names.map(|name| Demand::Permission(name.into()));
        roles.into_iter().chain(permissions).chain([1, 2].map(Demand::Owner)).collect()
    }

    proptest! {
        #[test]
        fn it_is_so_exactly_if_no_caller_shows_otherwise(one in any_rule(), other in any_rule()) {
            let facts = facts();
            let callers = (0..PROVIDERS).flat_map(|provider| (0..1_u32 << facts.len()).map(move |set| (provider, set)));
            let nobody_between = callers.into_iter().all(|(provider, set)| {
                let chosen = facts.iter().enumerate().filter(|(bit, _)| set >> bit & 1 == 1);
                let chosen: Vec<_> = chosen.map(|(_, fact)| fact).collect();
                !one.lets_in(provider, &chosen) || other.lets_in(provider, &chosen)
            });
            let expected = nobody_between && one.openness() <= other.openness();
            prop_assert_eq!(one.lets_in_at_most_those_of(&other, PROVIDERS), expected);
        }
    }

    #[test]
    fn what_grows_without_bound_is_cut_off() {
        let pair = |n: usize| {
            Demand::AnyOf(vec![Demand::Role(format!("a{n}").into()), Demand::Role(format!("b{n}").into())])
        };
        let many = rule(Access::Demand(Demand::AllOf((0..40).map(pair).collect())), None);
        assert!(!many.lets_in_at_most_those_of(&rule(Access::Demand(Demand::Role("a0".into())), None), 1));
    }
}
