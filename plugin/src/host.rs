//! Every call to the host. Nothing outside this file knows the proxy-wasm ABI.
//!
//! The SDK's own header functions take names as UTF-8, which a client can break, and panic on a status that they
//! do not expect. A panic here would close this worker's door, so headers are read and
//! written directly; the other calls go through the SDK, for which Envoy has no answers but those that it expects.
#![expect(
    unsafe_code,
    reason = "the ABI is a set of foreign functions; this is the one place that calls them"
)]

use doorward_gate::policy::HeaderMutation;
use doorward_gate::{Host, Reply, SignatureCheck, UnixTime};
use prost::Message;
use prost::encoding::WireType;
use proxy_wasm::hostcalls;
use proxy_wasm::types::{BufferType, LogLevel, MapType, MetricType};
use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, UNIX_EPOCH};

/// The host did not do what it was asked to.
#[derive(Debug)]
pub(crate) struct HostFailed;

const OK: u32 = 0;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_add_header_map_value(
        map: u32,
        key: *const u8,
        key_size: usize,
        value: *const u8,
        size: usize,
    ) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        key: *const u8,
        key_size: usize,
        value: *const u8,
        size: usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: u32, key: *const u8, key_size: usize) -> u32;
}

/// A header map of the current context in the ABI's serialization, for [`doorward_gate::RequestHead::parse`].
pub(crate) fn header_pairs(map: MapType) -> Option<Vec<u8>> {
    let mut data: *mut u8 = std::ptr::null_mut();
    let mut size: usize = 0;
    // SAFETY: both pointers are valid for writes during the call, and the host keeps neither.
    let status = unsafe { proxy_get_header_map_pairs(map as u32, &raw mut data, &raw mut size) };
    if status != OK {
        return None;
    }
    if data.is_null() {
        // No headers at all, as in an empty block of trailers.
        return Some(vec![0; 4]);
    }
    // SAFETY: the host got this memory from the SDK's `proxy_on_memory_allocate`, which makes a boxed slice of
    // exactly this size and leaves its ownership to whoever receives it.
    Some(unsafe { Vec::from_raw_parts(data, size, size) })
}

fn remove_header(map: MapType, name: &str) -> Result<(), HostFailed> {
    // SAFETY: the slice outlives the call, and the host copies it.
    done(unsafe { proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) })
}

fn add_header(name: &str, value: &[u8]) -> Result<(), HostFailed> {
    let map = MapType::HttpRequestHeaders as u32;
    // SAFETY: both slices outlive the call, and the host copies them.
    done(unsafe { proxy_add_header_map_value(map, name.as_ptr(), name.len(), value.as_ptr(), value.len()) })
}

fn replace_header(name: &str, value: &[u8]) -> Result<(), HostFailed> {
    let map = MapType::HttpRequestHeaders as u32;
    // SAFETY: both slices outlive the call, and the host copies them.
    done(unsafe {
        proxy_replace_header_map_value(map, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    })
}

fn done(status: u32) -> Result<(), HostFailed> {
    if status == OK { Ok(()) } else { Err(HostFailed) }
}

/// Makes the changes to the current request, removing before setting.
pub(crate) fn apply(mutation: &HeaderMutation) -> Result<(), HostFailed> {
    for name in mutation.remove() {
        remove_header(MapType::HttpRequestHeaders, name)?;
    }
    if let Some((name, value)) = mutation.rewrite() {
        replace_header(name, value)?;
    }
    for (name, value) in mutation.set() {
        add_header(name, value.as_bytes())?;
    }
    Ok(())
}

/// Removes trailers of the current request.
pub(crate) fn remove_trailers(names: &[Rc<str>]) -> Result<(), HostFailed> {
    names.iter().try_for_each(|name| remove_header(MapType::HttpRequestTrailers, name))
}

/// Answers the current request here. Envoy turns this into a gRPC status where the request is a gRPC call.
pub(crate) fn reply(reply: &Reply) {
    let headers = reply.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let _ = hostcalls::send_http_response(u32::from(reply.status), headers, Some(reply.body.as_bytes()));
}

/// Lets a held request go on. It has to be the current one.
pub(crate) fn resume() {
    let _ = hostcalls::resume_http_request();
}

/// Makes another context the current one.
pub(crate) fn switch_to(context_id: u32) -> Result<(), HostFailed> {
    hostcalls::set_effective_context(context_id).map_err(|_| HostFailed)
}

/// The current time.
pub(crate) fn now() -> UnixTime {
    let now = hostcalls::get_current_time().ok().and_then(|now| now.duration_since(UNIX_EPOCH).ok());
    // Without a clock everything has ended: no token is accepted.
    now.unwrap_or(UnixTime::MAX)
}

/// The plugin's configuration, as it stands in Envoy's.
pub(crate) fn plugin_configuration() -> Vec<u8> {
    hostcalls::get_buffer(BufferType::PluginConfiguration, 0, usize::MAX).ok().flatten().unwrap_or_default()
}

/// Asks for `on_tick` after each `period`.
pub(crate) fn tick_every(period: Duration) {
    let _ = hostcalls::set_tick_period(period);
}

/// Sends a GET to a cluster. The answer comes to the root context under the number returned.
pub(crate) fn get(
    cluster: &str,
    authority: &str,
    path: &str,
    header: Option<(&str, &str)>,
    timeout: Duration,
) -> Result<u32, HostFailed> {
    let mut headers = vec![
        (":method", "GET"),
        (":path", path),
        (":authority", authority),
        (":scheme", "https"),
        ("accept", "application/json"),
    ];
    headers.extend(header);
    hostcalls::dispatch_http_call(cluster, headers, None, Vec::new(), timeout).map_err(|_| HostFailed)
}

/// The body of the answer that has just arrived.
pub(crate) fn answer_body(size: usize) -> Option<Vec<u8>> {
    hostcalls::get_buffer(BufferType::HttpCallResponseBody, 0, size).ok().flatten()
}

/// Reads an entry that all workers share.
pub(crate) fn shared(key: &str) -> Option<Vec<u8>> {
    hostcalls::get_shared_data(key).ok().and_then(|(value, _)| value)
}

/// Writes an entry that all workers share. Whoever writes last wins, and finds out by reading at the next tick.
pub(crate) fn share(key: &str, value: &[u8]) {
    let _ = hostcalls::set_shared_data(key, Some(value), None);
}

/// Makes a counter known to Envoy, or a gauge.
pub(crate) fn define_metric(kind: MetricType, name: &str) -> Option<u32> {
    hostcalls::define_metric(kind, name).ok()
}

/// Adds to a counter or a gauge.
pub(crate) fn add_to_metric(metric: u32, amount: i64) {
    let _ = hostcalls::increment_metric(metric, amount);
}

/// Sets a gauge.
pub(crate) fn set_metric(metric: u32, value: u64) {
    let _ = hostcalls::record_metric(metric, value);
}

/// Puts a value where access logs find it, as filter state under `wasm.NAME`.
pub(crate) fn set_filter_state(name: &str, value: &str) {
    let _ = hostcalls::set_property(vec![name], Some(value.as_bytes()));
}

/// Writes a line into Envoy's log.
pub(crate) fn log(level: LogLevel, line: &str) {
    let _ = hostcalls::log(level, line);
}

/// Result of Envoy's `verify_signature`.
#[derive(Clone, PartialEq, Message)]
struct VerifyResult {
    #[prost(bool, tag = "1")]
    result: bool,
    #[prost(string, tag = "2")]
    error: String,
}

/// What the core asks of Envoy.
#[derive(Debug, Default)]
pub(crate) struct Envoy {
    native_signatures: bool,
    checked: Cell<(u64, u64)>,
    last_tick: Cell<Option<UnixTime>>,
}

impl Envoy {
    /// Finds out what this Envoy can do, by a signature that is known to be good and the same one for another text.
    pub(crate) fn probe() -> Self {
        let check = |text| {
            verify_signature(&SignatureCheck {
                hash: "sha256",
                public_key: include_bytes!("probe/public_key.der"),
                signature: include_bytes!("probe/signature.der"),
                text,
            })
        };
        let native_signatures = check(b"doorward") == Some(true) && check(b"doorware") == Some(false);
        Self { native_signatures, ..Self::default() }
    }

    /// Whether signatures are checked by native code.
    pub(crate) fn native_signatures(&self) -> bool {
        self.native_signatures
    }

    /// A tick saves requests from asking what time it is.
    pub(crate) fn ticked(&self, now: UnixTime) {
        self.last_tick.set(Some(now));
    }

    /// Signatures checked since the last time this was asked: by native code, and in here.
    pub(crate) fn take_checked(&self) -> (u64, u64) {
        self.checked.take()
    }
}

impl Host for Envoy {
    fn now(&self) -> UnixTime {
        now()
    }

    fn recently(&self) -> Option<UnixTime> {
        self.last_tick.get()
    }

    fn verify_signature(&self, check: &SignatureCheck<'_>) -> Option<bool> {
        if self.native_signatures { verify_signature(check) } else { None }
    }

    fn signature_checked(&self, natively: bool) {
        let (native, here) = self.checked.get();
        self.checked.set(if natively {
            (native.saturating_add(1), here)
        } else {
            (native, here.saturating_add(1))
        });
    }
}

fn verify_signature(check: &SignatureCheck<'_>) -> Option<bool> {
    let fields = [check.hash.as_bytes(), check.public_key, check.signature, check.text];
    // A field's tag and length take at most 4 bytes here.
    let size = fields.iter().map(|field| field.len().saturating_add(4)).fold(0, usize::saturating_add);
    let mut arguments = Vec::with_capacity(size);
    for (field, tag) in fields.into_iter().zip(1..) {
        prost::encoding::encode_key(tag, WireType::LengthDelimited, &mut arguments);
        prost::encoding::encode_varint(u64::try_from(field.len()).ok()?, &mut arguments);
        arguments.extend_from_slice(field);
    }
    let answer = hostcalls::call_foreign_function("verify_signature", Some(&arguments)).ok()??;
    VerifyResult::decode(answer.as_slice()).ok().map(|answer| answer.result)
}
