//! Schemas of other people's file formats, to hold our files against: as packages, because their authors publish them so.

use std::path::PathBuf;

use crate::Result;
use crate::progress::Progress;
use crate::tools::wheel::Wheel;

const COMPOSE: Wheel = Wheel {
    tool: "compose-spec.json",
    what: "the schema of Compose files",
    package: "check-jsonschema",
    version: "0.39.0",
    sha256: "14ce5c94871c551268ea948ffe21e9f1464dc48fb20bf9a4c13deeaaf756cf9b",
    member: "check_jsonschema/builtin_schemas/vendor/compose-spec.json",
};

const KUBERNETES: Wheel = Wheel {
    tool: "kubernetes-1.37.json",
    what: "the schemas of Kubernetes' objects",
    package: "kubernetes-validate",
    version: "1.37.0",
    sha256: "85136d018a27b50ec7fc049d902bfa5193f5976807e6c0f408e3ab6fe078cad9",
    // The strict ones know no other member than those they list.
    member: "kubernetes_validate/kubernetes-json-schema/v1.37.0-local-strict/_definitions.json",
};

/// The Compose specification's schema.
///
/// # Errors
/// When it cannot be fetched.
pub fn compose(progress: Progress) -> Result<PathBuf> {
    COMPOSE.fetch(progress)
}

/// Kubernetes' own definitions of its objects.
///
/// # Errors
/// When they cannot be fetched.
pub fn kubernetes(progress: Progress) -> Result<PathBuf> {
    KUBERNETES.fetch(progress)
}
