//! Looks at processes from outside, through /proc.

use std::fs;
use std::os::unix::fs::FileExt;

/// Bytes of a process' libc code that differ from the file's: the breakpoints in it.
pub(crate) fn breakpoints_of(pid: u32) -> usize {
    let Ok(maps) = fs::read_to_string(format!("/proc/{pid}/maps")) else { return 0 };
    let Some(line) = maps.lines().find(|line| line.contains("r-xp") && line.contains("libc.so")) else {
        return 0;
    };
    let fields: Vec<&str> = line.split_whitespace().collect();
    let hex = |text: &str| u64::from_str_radix(text, 16).expect("maps are in hex");
    let (start, end) = fields[0].split_once('-').expect("a range");
    let (start, end) = (hex(start), hex(end));
    let mut in_memory = vec![0; usize::try_from(end - start).expect("fits")];
    let mut in_file = in_memory.clone();
    let read =
        fs::File::open(format!("/proc/{pid}/mem")).and_then(|file| file.read_exact_at(&mut in_memory, start));
    // Not by its path: that is relative to a root which may be neither ours nor the process' own.
    let path = format!("/proc/{pid}/map_files/{}", fields[0]);
    let read_file = fs::File::open(path).and_then(|file| file.read_at(&mut in_file, hex(fields[2])));
    match (read, read_file) {
        (Ok(()), Ok(length)) => {
            in_memory[..length].iter().zip(&in_file[..length]).filter(|(a, b)| a != b).count()
        }
        _ => 0,
    }
}

/// The pids below a process, itself not included, in the order in which they are found.
pub(crate) fn descendants_of(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let mut found = Vec::new();
    for child in children.split_whitespace().filter_map(|text| text.parse().ok()) {
        found.push(child);
        found.extend(descendants_of(child));
    }
    found
}
