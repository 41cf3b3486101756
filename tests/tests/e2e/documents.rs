//! The documents: what they point at is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use doorward_tests::files;

use crate::support::shipped::text;

#[test]
fn every_link_leads_somewhere() {
    let mut links = 0;
    for document in documents() {
        let content = text(&document);
        let folder = Path::new(&document).parent().unwrap();
        for link in content.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if link.contains("://") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { PathBuf::from(&document) } else { folder.join(path) };
            assert!(files::root().join(&target).exists(), "{document}: {link}");
            let there = anchor.is_empty() || anchors(&text(target.to_str().unwrap())).contains(anchor);
            assert!(there, "{document}: there is no heading for {link}");
            links += 1;
        }
    }
    assert!(links > 30, "{links} links");
}

#[test]
fn every_path_that_a_document_names_exists() {
    let roots: BTreeSet<String> = entries(files::root()).iter().map(|path| name(path)).collect();
    let mut paths = 0;
    for document in documents() {
        let content = text(&document);
        let quoted = content.split('`').skip(1).step_by(2).filter(|quoted| is_path(quoted));
        for path in quoted.filter(|path| roots.contains(path.split('/').next().unwrap())) {
            assert!(files::root().join(path).exists(), "{document}: {path}");
            paths += 1;
        }
    }
    assert!(paths > 40, "{paths} paths");
}

/// The root's documents, and those of `docs`, in the order of their names.
pub(crate) fn documents() -> Vec<String> {
    let root = files::root();
    let all = entries(root)
        .into_iter()
        .chain(entries(&root.join("docs")))
        .chain(entries(&root.join("docs/decisions")))
        .chain(entries(&root.join("docs/events")));
    let documents = all.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let mut documents: Vec<String> =
        documents.map(|path| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned()).collect();
    documents.sort();
    documents
}

/// The names by which a document's headings can be linked to.
fn anchors(document: &str) -> BTreeSet<String> {
    let headings = document.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| -> String {
        let words = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        words.chars().filter(|c| c.is_alphanumeric() || ['-', '_'].contains(c)).collect()
    };
    headings.map(anchor).collect()
}

/// A path below the root, and nothing that only looks like one.
fn is_path(quoted: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    quoted.contains('/') && !quoted.starts_with('/') && quoted.chars().all(plain)
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}
