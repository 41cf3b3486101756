//! What the documents print as commands works as printed: what can run here is run against a real stack, and of the
//! rest every subcommand and option exists.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use doorward_tests::files;
use doorward_tests::prepared::Prepared;
use doorward_tests::process::{Workdir, without_own_settings};
use doorward_tests::stack::{Behind, Plan};
use serde_json::Value;

use crate::documents::documents;
use crate::support::shipped::text;
use crate::support::whole::Whole;

/// Where the documents have the gateway.
const GATE: &str = "http://localhost:8000";
/// What cannot run here, and why.
const NOT_RUN: [(&str, &str); 3] = [
    ("docker compose ", "there is no container engine; the file is held against its schema"),
    ("rabbitmqctl ", "it would change a broker; the tests give their brokers such rights by other means"),
    (".ci/run", "it runs these tests"),
];

/// A fenced block of a document.
struct Block {
    document: String,
    place: String,
    language: String,
    text: String,
}

#[test]
fn every_command_of_a_document_exists_with_its_options() {
    let mut checked = 0;
    for (place, command) in commands() {
        if command.starts_with("curl ") {
            continue;
        }
        if let Some((start, _)) = NOT_RUN.iter().find(|(start, _)| command.starts_with(start)) {
            let file = files::root().join(start.trim());
            assert!(start.ends_with(' ') || file.is_file(), "{place}: there is no {start}");
            continue;
        }
        let judged = judged(&command);
        let output = shell(&judged, &[]);
        assert!(output.status.success(), "{place}: {judged}: {}", String::from_utf8_lossy(&output.stderr));
        checked += 1;
    }
    assert!(checked > 15, "{checked} commands");
    // This tells a good command from a bad one.
    for wrong in
        ["doorward-issuer keys list --nonsense", "doorward-issuer nonsense", "cargo xtask up --nonsense"]
    {
        assert!(!shell(&format!("{wrong} --help"), &[]).status.success(), "{wrong}");
    }
}

#[test]
fn every_curl_of_a_document_is_answered_as_printed() {
    let whole = Whole::start_with(|plan| Plan { behind: Behind::UserService, ..plan });
    let gate = whole.stack.envoy.url();
    let mut known = vec![];
    let mut answered = 0;
    let mut blocks = blocks().into_iter().peekable();
    while let Some(block) = blocks.next() {
        for command in lines(&block).filter(|command| command.starts_with("curl ")) {
            let place = &block.place;
            assert!(command.contains(GATE), "{place}: {command} asks somebody else");
            let output = shell(&command.replace(GATE, &gate).replacen("curl", "curl --fail -sS", 1), &known);
            assert!(
                output.status.success(),
                "{place}: {command}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
            // What the README says to take out of the answers.
            for (member, variable) in [("id", "ID"), ("access_token", "ACCESS_TOKEN")] {
                if let Some(value) = answer[member].as_str() {
                    known.push((variable, value.to_owned()));
                }
            }
            let is_answer = |next: &Block| next.language == "json" && next.document == block.document;
            if let Some(printed) = blocks.next_if(is_answer) {
                let printed: Value = serde_json::from_str(&printed.text).unwrap();
                assert_eq!(members(&answer), members(&printed), "{place}");
            }
            answered += 1;
        }
    }
    assert!(answered >= 4, "{answered} curls");
}

#[test]
fn every_settings_block_is_good() {
    let workdir = Workdir::new().unwrap();
    let file = workdir.path().join("issuer.toml");
    let mut checked = 0;
    for block in blocks() {
        match block.language.as_str() {
            "toml" => {
                std::fs::write(&file, &block.text).unwrap();
                let output = shell(&format!("doorward-issuer --config {} config check", file.display()), &[]);
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{}: {said}", block.place);
            }
            "yaml" => drop(serde_saphyr::from_str::<Value>(&block.text).expect(&block.place)),
            "json" => drop(serde_json::from_str::<Value>(&block.text).expect(&block.place)),
            // Commands are run above; the rest is for browsers and for eyes.
            "sh" | "js" | "" => continue,
            unknown => panic!("{}: nobody checks {unknown}", block.place),
        }
        checked += 1;
    }
    assert!(checked > 8, "{checked} blocks");
}

/// A command that finds a mistake in this one, and does nothing.
fn judged(command: &str) -> String {
    // What is set in front of it is judged with it.
    if let Some(settings) = command.strip_suffix(" serve") {
        return format!("{settings} config check");
    }
    // What comes behind is for cargo.
    if command.starts_with("cargo xtask test") {
        return "cargo xtask test --help".to_owned();
    }
    format!("{command} --help")
}

/// All commands: those of fenced blocks, and those in the middle of a sentence.
fn commands() -> Vec<(String, String)> {
    let mut commands = vec![];
    for block in blocks().iter().filter(|block| block.language == "sh") {
        commands.extend(lines(block).map(|line| (block.place.clone(), line)));
    }
    for document in documents() {
        let content = text(&document);
        let quoted = content.split('`').skip(1).step_by(2);
        // Not those that stand for several.
        let whole = quoted.filter(|quoted| !quoted.contains('|') && !quoted.contains("..."));
        let ours = whole.filter(|quoted| {
            ["doorward-issuer ", "cargo xtask "].iter().any(|program| quoted.starts_with(program))
        });
        commands.extend(ours.map(|quoted| (document.clone(), quoted.replace('\n', " "))));
    }
    commands
}

/// The commands of a block, without comments.
fn lines(block: &Block) -> impl Iterator<Item = String> + '_ {
    let lines = block.text.lines().filter(|_| block.language == "sh");
    let commands = lines.map(|line| line.split(" # ").next().unwrap_or_default().trim().to_owned());
    commands.filter(|command| !command.is_empty() && !command.starts_with('#'))
}

/// The fenced blocks of all documents, in order.
fn blocks() -> Vec<Block> {
    let mut blocks = vec![];
    for document in documents() {
        let content = text(&document);
        let mut lines = content.lines().enumerate();
        while let Some((number, line)) = lines.next() {
            let Some(language) = line.strip_prefix("```") else { continue };
            let inside = lines.by_ref().map(|(_, line)| line).take_while(|line| !line.starts_with("```"));
            blocks.push(Block {
                document: document.clone(),
                place: format!("{document}:{}", number + 1),
                language: language.to_owned(),
                text: inside.collect::<Vec<_>>().join("\n"),
            });
        }
    }
    blocks
}

/// Runs a line as a reader would who has our programs on his path.
fn shell(line: &str, variables: &[(&str, String)]) -> Output {
    let prepared = Prepared::from_env().unwrap();
    let line = line.replace("cargo xtask", &prepared.xtask.display().to_string());
    let programs = prepared.programs.issuer.parent().map(Path::display).unwrap().to_string();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    // The reader has none of the tests' settings.
    without_own_settings(&mut command);
    command.args(["-c", &line]).env("PATH", path).envs(variables.iter().cloned());
    command.output().unwrap()
}

fn members(object: &Value) -> BTreeSet<&String> {
    object.as_object().unwrap().keys().collect()
}
