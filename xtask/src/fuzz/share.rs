//! How much of a processor a process had: on a machine that is busy with other things, less than the time that has passed.

use std::{
    fs, io,
    process::{Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

/// Ticks a second in which Linux tells programs of time.
const TICKS: u64 = 100;

/// Runs `command` to its end, and gives the seconds for which it had a core; where the system does not tell, those that have passed.
pub(super) fn run(command: &mut Command) -> io::Result<(ExitStatus, u64)> {
    let start = Instant::now();
    let mut child = command.spawn()?;
    let stat = format!("/proc/{}/stat", child.id());
    let mut seconds = None;
    loop {
        // Before it is asked whether it has ended: afterwards the system has forgotten it.
        seconds = fs::read_to_string(&stat).ok().as_deref().and_then(processor_seconds).or(seconds);
        if let Some(status) = child.try_wait()? {
            return Ok((status, seconds.unwrap_or_else(|| start.elapsed().as_secs())));
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// Of the text of `/proc/PID/stat`: the time in the program and in the system.
fn processor_seconds(stat: &str) -> Option<u64> {
    // A program's name stands in brackets and may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some((ticks()? + ticks()?) / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_process_is_that_in_it_and_in_the_system() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 1200 300 77 77 20 0 1 0";
        assert_eq!(processor_seconds(stat), Some(15));
        assert_eq!(processor_seconds("7 (x"), None);
    }

    #[test]
    fn who_waits_has_no_processor() {
        let (status, seconds) = run(Command::new("sleep").arg("1.2")).unwrap();
        assert!(status.success());
        assert_eq!(seconds, u64::from(!cfg!(target_os = "linux")));
    }
}
