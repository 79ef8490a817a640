//! One output, made by as many runs as it takes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::{compare::Row, pictures::picture};

/// Rows of a part: few, so that there is much to go wrong.
const PART_ROWS: &str = "100";

/// What all rounds share.
pub(crate) struct Stage {
    program: PathBuf,
    folder: PathBuf,
    images: u32,
    /// How long a run takes that nobody disturbs.
    pub(crate) undisturbed: Duration,
}

impl Stage {
    /// Makes the images in `folder` and runs once.
    pub(crate) fn new(program: PathBuf, folder: &Path, images: u32) -> Result<Self> {
        let mut stage = Self { program, folder: folder.to_owned(), images, undisturbed: Duration::ZERO };
        fs::create_dir(folder.join("originals"))?;
        for n in 0..u64::from(images) {
            let (name, bytes) = picture(n);
            fs::write(folder.join("originals").join(name), bytes)?;
        }
        let start = Instant::now();
        Round::new(&stage, fastrand::Rng::with_seed(0))?.finish()?;
        stage.undisturbed = start.elapsed();
        Ok(stage)
    }
}

/// A folder with images of its own and the output that is made of them.
pub(crate) struct Round<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) random: fastrand::Rng,
    folder: tempfile::TempDir,
    output: &'static str,
    /// Runs that were started.
    pub(crate) runs: u32,
    next_picture: u64,
}

impl<'a> Round<'a> {
    pub(crate) fn new(stage: &'a Stage, mut random: fastrand::Rng) -> Result<Self> {
        let folder = tempfile::tempdir_in(&stage.folder)?;
        fs::create_dir(folder.path().join("shots"))?;
        for entry in fs::read_dir(stage.folder.join("originals"))? {
            let entry = entry?;
            fs::hard_link(entry.path(), folder.path().join("shots").join(entry.file_name()))?;
        }
        let output = if random.bool() { "out.parquet" } else { "out/" };
        Ok(Self { stage, random, folder, output, runs: 0, next_picture: u64::from(stage.images) })
    }

    /// Starts a run that goes on with what is there.
    pub(crate) fn start(&mut self) -> Result<Child> {
        self.runs += 1;
        self.command(self.output, "--resume").spawn().context("imbed cannot be started")
    }

    /// Runs to the end under a shell, which `before` has told something.
    pub(crate) fn run_after(&mut self, before: &str) -> Result<Output> {
        self.runs += 1;
        let command = self.command(self.output, "--resume");
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{before}; exec \"$@\"")]).arg("sh").arg(command.get_program());
        shell.args(command.get_args()).current_dir(self.folder.path());
        Ok(shell.output()?)
    }

    fn command(&self, output: &str, flag: &str) -> Command {
        let mut command = Command::new(&self.stage.program);
        command.args([
            "embed",
            "shots",
            "-o",
            output,
            "--on-error",
            "ignore",
            "--part-rows",
            PART_ROWS,
            flag,
            "--quiet",
        ]);
        command.current_dir(self.folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Waits for a random moment of a run. Those that go on with much that is there are short, so most moments are early.
    pub(crate) fn wait(&mut self) {
        let share = self.random.f64() * self.random.f64();
        thread::sleep(self.stage.undisturbed.mul_f64(share * 0.8));
    }

    /// A run at a random moment; none if it ended before.
    pub(crate) fn caught(&mut self) -> Result<Option<Child>> {
        let mut child = self.start()?;
        self.wait();
        Ok(child.try_wait()?.is_none().then_some(child))
    }

    /// Changes something at random moments of one run, at most `most` times, and how often. The run must end well.
    pub(crate) fn meanwhile(&mut self, most: u32, mut change: impl FnMut(&mut Self) -> Result<()>) -> Result<u32> {
        let mut child = self.start()?;
        let mut changes = 0;
        while changes < most && child.try_wait()?.is_none() {
            self.wait();
            change(self)?;
            changes += 1;
        }
        let ended = child.wait_with_output()?;
        ensure!(matches!(ended.status.code(), Some(0 | 1)), "ended with {}:\n{}", ended.status, said(&ended));
        Ok(changes)
    }

    /// Runs until the output is whole.
    pub(crate) fn finish(&mut self) -> Result<()> {
        let ended = self.start()?.wait_with_output()?;
        ensure!(matches!(ended.status.code(), Some(0 | 1)), "a run failed ({}):\n{}", ended.status, said(&ended));
        Ok(())
    }

    /// What a run gives that nobody disturbs, over the images as they are now.
    pub(crate) fn expected(&self) -> Result<Vec<Row>> {
        let ended = self.command("expected.parquet", "--overwrite").output()?;
        ensure!(matches!(ended.status.code(), Some(0 | 1)), "a run failed ({}):\n{}", ended.status, said(&ended));
        self.rows("expected.parquet")
    }

    /// What there is.
    pub(crate) fn found(&self) -> Result<Vec<Row>> {
        self.rows(self.output)
    }

    fn rows(&self, output: &str) -> Result<Vec<Row>> {
        let mut command = Command::new(&self.stage.program);
        command.args(["inspect", output, "--json", "--rows", "1000000000"]).current_dir(self.folder.path());
        let ended = command.output()?;
        ensure!(ended.status.success(), "{output} cannot be read ({}):\n{}", ended.status, said(&ended));
        let value: Value = serde_json::from_slice(&ended.stdout)?;
        let rows = value["embedding"]["first"].as_array().context("there are no rows")?;
        let row = |row: &Value| {
            let key = row["key"].as_str().unwrap_or_default().to_owned();
            (key, (!row["vector"].is_null()).then(|| row["vector"].to_string()))
        };
        Ok(rows.iter().map(row).collect())
    }

    /// Where the parts lie.
    pub(crate) fn parts(&self) -> Vec<PathBuf> {
        let place = if self.output.ends_with('/') { self.output.to_owned() } else { format!("{}.parts", self.output) };
        let entries = fs::read_dir(self.folder.path().join(place)).into_iter().flatten().flatten();
        let mut parts: Vec<PathBuf> =
            entries.map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "parquet")).collect();
        parts.sort();
        parts
    }

    /// A random image that is there.
    pub(crate) fn image(&mut self) -> Result<PathBuf> {
        let mut images: Vec<PathBuf> =
            fs::read_dir(self.folder.path().join("shots"))?.flatten().map(|entry| entry.path()).collect();
        images.sort();
        self.random.choice(images).context("no image is left")
    }

    /// Changes an image, takes one away, or puts a new one somewhere among the others.
    pub(crate) fn edit(&mut self) -> Result<()> {
        let image = self.image()?;
        self.next_picture += 1;
        let (name, bytes) = picture(self.next_picture);
        match self.random.u8(0..3) {
            0 => {
                // Not written into: the original is the same file.
                fs::remove_file(&image)?;
                fs::write(image, bytes)?;
            }
            1 => fs::remove_file(image)?,
            _ => {
                let before = self.random.u32(0..self.stage.images);
                fs::write(self.folder.path().join("shots").join(format!("{before:06}-{name}")), bytes)?;
            }
        }
        Ok(())
    }
}

/// Sends `signal` (a name that `kill` knows) to a process.
pub(crate) fn signal(child: &Child, signal: &str) -> Result<()> {
    let sent = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status()?;
    if !sent.success() {
        bail!("kill -{signal} failed ({sent})");
    }
    Ok(())
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}
