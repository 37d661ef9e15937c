//! CPU time and memory of processes, from /proc.

use std::{fs, process::Command};

/// Clock ticks a second in /proc: fixed by the kernel's interface.
const TICKS: f64 = 100.0;

fn stat(pid: u32) -> Option<(u32, f64, f64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let rest = text.rsplit(')').next()?;
    let field: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |at: usize| field[at].parse::<f64>().unwrap() / TICKS;
    Some((field[1].parse().unwrap(), ticks(11) + ticks(12), ticks(13) + ticks(14)))
}

/// Seconds of CPU that a process and its children, ended ones included, used.
pub(crate) fn cpu_of_tree(root: u32) -> f64 {
    let mut total = stat(root).map_or(0.0, |(_, own, children)| own + children);
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        if let Some((parent, own, _)) = stat(pid)
            && parent == root
        {
            total += own;
        }
    }
    total
}

/// A line of /proc/PID/status in MiB: `VmRSS`, `VmHWM`, `RssAnon`.
pub(crate) fn memory(pid: u32, line: &str) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let found = text.lines().find_map(|l| l.strip_prefix(line)?.strip_prefix(':'));
    found.and_then(|l| l.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

/// This program again, in another part.
pub(crate) fn again(part: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(part);
    command
}
