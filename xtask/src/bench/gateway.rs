use std::path::{Path, PathBuf};

use clap::Args;
use doorward_tests::build::wasm;
use doorward_tests::progress::Progress;
use doorward_tests::{random, tools};

use super::conditions::Conditions;
use super::contenders::{CACHE_ENTRIES, Contender, Filters};
use super::measure::{Comparison, Scale, Tokens, in_turn, micros};
use super::proxy::{LinearMemory, Proxy};
use super::report::{Memory, Race, Report};
use super::tokens::{Algorithm, Signer};
use super::verify::verify;
use super::{Error, load};
use crate::WasmToolchain;

/// How many different tokens are warm.
const WARM_TOKENS: usize = 100;
/// The algorithm of what does not depend on it: rules and memory. It is the issuer's default.
const USUAL: Algorithm = Algorithm::Es256;

/// What to measure.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Fewer requests and rounds: for trying, not for quoting
    #[arg(long)]
    quick: bool,
    /// Print a section for docs/performance.md, with date and machine
    #[arg(long)]
    markdown: bool,
    /// Only this algorithm; may be repeated
    #[arg(long = "algorithm", value_enum, value_name = "NAME", default_values = ["hs256", "rs256", "es256", "eddsa"])]
    algorithms: Vec<Algorithm>,
    /// Measure this module instead of building one
    #[arg(long, value_name = "FILE")]
    module: Option<PathBuf>,
    #[command(flatten)]
    toolchain: WasmToolchain,
}

/// Measures the plugin against Envoy's own filters and prints what came out.
pub(crate) fn gateway(options: &Options) -> Result<(), Error> {
    let progress = Progress::detect();
    let scale = if options.quick { Scale::QUICK } else { Scale::FULL };
    let envoy = tools::envoy::find(progress)?;
    let module = match &options.module {
        Some(module) => module.canonicalize().map_err(Error::io(format!("find {}", module.display())))?,
        None => wasm::plugin(options.toolchain.choice(), progress)?,
    };
    let conditions = Conditions::now("Envoy", &envoy)?;

    let fields: Result<Vec<Field>, Error> = options.algorithms.iter().copied().map(Field::race).collect();
    let (fields, rules) = (fields?, Field::rules()?);
    let (revoked, memory) = (Field::revoked()?, Field::memory()?);
    let all = || fields.iter().chain([&rules, &revoked, &memory]);
    let proxy = start(&envoy, &module, all(), progress)?;
    let contenders = all().flat_map(|field| &field.contenders);
    proxy.wait_for_followers(contenders.filter(|contender| contender.filters.follows_a_feed()).count())?;
    for field in all() {
        let _step =
            progress.step(&format!("checking that good tokens pass and bad ones do not: {}", field.name));
        field.contenders.iter().try_for_each(|contender| verify(contender, &field.signer))?;
    }

    let races: Result<_, Error> = fields.iter().map(|field| race(&proxy, field, scale, progress)).collect();
    let report = Report {
        races: races?,
        rules: compare(&proxy, &rules, "10 rules against 1,000", scale, progress)?,
        revocations: compare(&proxy, &revoked, "100,000 revocations against none", scale, progress)?,
        memory: measure_memory(&proxy, &memory, progress)?,
        module_bytes: std::fs::metadata(&module).map_err(Error::io("look at the module"))?.len(),
    };
    let command =
        if options.quick { "cargo xtask bench gateway --quick" } else { "cargo xtask bench gateway" };
    conditions.print(&report, command, options.markdown);
    Ok(())
}

/// Contenders for one comparison, and the key that all of them trust.
struct Field {
    name: String,
    signer: Signer,
    contenders: Vec<Contender>,
}

impl Field {
    fn race(algorithm: Algorithm) -> Result<Self, Error> {
        let filters = [Filters::None, Filters::NATIVE, Filters::NATIVE_CACHED, Filters::PLUGIN];
        Self::new(algorithm.name().to_owned(), algorithm, &filters)
    }

    fn rules() -> Result<Self, Error> {
        let filters = [Filters::None, Filters::plugin(10), Filters::plugin(1_000)];
        Self::new("ES256 warm".to_owned(), USUAL, &filters)
    }

    fn revoked() -> Result<Self, Error> {
        let filters = [Filters::None, Filters::PLUGIN, Filters::PLUGIN_REVOKED];
        Self::new("ES256 warm".to_owned(), USUAL, &filters)
    }

    fn memory() -> Result<Self, Error> {
        Self::new("memory".to_owned(), USUAL, &[Filters::PLUGIN_FULL])
    }

    fn new(name: String, algorithm: Algorithm, filters: &[Filters]) -> Result<Self, Error> {
        let signer = Signer::new(algorithm)?;
        let contenders: Result<_, Error> =
            filters.iter().map(|filters| Contender::new(*filters, &signer)).collect();
        Ok(Self { name, contenders: contenders?, signer })
    }
}

fn start<'f>(
    envoy: &Path,
    module: &Path,
    fields: impl Iterator<Item = &'f Field> + Clone,
    progress: Progress,
) -> Result<Proxy, Error> {
    let _step = progress.step("starting Envoy with every contender in it");
    let listeners: Result<Vec<_>, Error> = fields
        .clone()
        .flat_map(|field| field.contenders.iter().map(|c| c.listener(&field.signer, module)))
        .collect();
    // There is one environment; where HS256 is not measured, nobody reads it.
    let unused = random::master_key();
    let secret = fields.clone().find_map(|field| field.signer.secret()).unwrap_or(&unused);
    Proxy::start(envoy, &listeners?, secret)
}

/// Warm, then cold.
fn race(proxy: &Proxy, field: &Field, scale: Scale, progress: Progress) -> Result<Race, Error> {
    let run = |how: &str, tokens| {
        let _step = progress.step(&format!("measuring {}, {how}", field.name));
        in_turn(proxy, format!("{} {how}", field.name), &field.contenders, tokens, scale)
    };
    let few = field.signer.tokens(WARM_TOKENS)?;
    let warm = run("warm", Tokens::Warm(&few))?;

    let step = progress.step(&format!("signing {} {} tokens", scale.cold_tokens(), field.name));
    let many = field.signer.tokens(scale.cold_tokens())?;
    drop(step);
    Ok(Race { algorithm: field.signer.algorithm, warm, cold: run("cold", Tokens::Cold(&many))? })
}

fn compare(
    proxy: &Proxy,
    field: &Field,
    what: &str,
    scale: Scale,
    progress: Progress,
) -> Result<Comparison, Error> {
    let tokens = field.signer.tokens(WARM_TOKENS)?;
    let _step = progress.step(&format!("measuring {what}"));
    in_turn(proxy, field.name.clone(), &field.contenders, Tokens::Warm(&tokens), scale)
}

/// Fills a cache, and looks for the one VM whose memory grew meanwhile.
fn measure_memory(proxy: &Proxy, field: &Field, progress: Progress) -> Result<Memory, Error> {
    let _step = progress.step(&format!("filling a cache with {CACHE_ENTRIES} tokens"));
    let tokens = field.signer.tokens(CACHE_ENTRIES)?;
    let send = || load::run(field.contenders[0].port.number(), tokens.iter());
    let before = proxy.linear_memories()?;
    send()?;
    let after = proxy.linear_memories()?;
    let grown = |b: &LinearMemory| {
        let now = after.iter().find(|now| now.start == b.start && now.bytes > b.bytes)?;
        Some((b.bytes, now.bytes))
    };
    let (empty, full) = before
        .iter()
        .find_map(grown)
        .ok_or_else(|| Error::Unreadable("Envoy's /proc/PID/maps: no VM has grown".to_owned()))?;

    // Were they not all in the cache, this would cost as much as signatures do.
    let cpu = proxy.cpu()?;
    send()?;
    let again = micros(proxy.cpu()? - cpu) / CACHE_ENTRIES as f64;
    Ok(Memory { empty, full, again })
}
