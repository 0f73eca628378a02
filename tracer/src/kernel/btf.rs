//! Where the running kernel keeps a task's ids, read from its own type information.

use std::path::Path;

use btf_rs::{Btf, Type};

/// Where a kernel publishes its types.
pub const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";

/// Byte offsets in `struct task_struct`; 0 is "unknown".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskOffsets {
    /// Of `pid`.
    pub pid: u32,
    /// Of `tgid`.
    pub tgid: u32,
}

/// Reads the offsets; the reason if there is no usable type information.
///
/// # Errors
///
/// A sentence that names the file.
pub fn task_offsets(btf_file: &Path) -> Result<TaskOffsets, String> {
    let unusable = |what: &str| format!("{}: {what}", btf_file.display());
    // Read as a whole: the library would seek in the file once per type.
    let bytes = std::fs::read(btf_file).map_err(|error| unusable(&error.to_string()))?;
    let btf = Btf::from_bytes(&bytes).map_err(|error| unusable(&error.to_string()))?;
    let types = btf.resolve_types_by_name("task_struct").map_err(|error| unusable(&error.to_string()))?;
    let task = types
        .iter()
        .find_map(|found| if let Type::Struct(task) = found { Some(task) } else { None })
        .ok_or_else(|| unusable("it has no struct task_struct"))?;
    let offset = |name: &str| {
        task.members
            .iter()
            .find(|member| btf.resolve_name(*member).is_ok_and(|found| found == name))
            .map(|member| member.bit_offset() / 8)
            .ok_or_else(|| unusable(&format!("task_struct has no member {name}")))
    };
    Ok(TaskOffsets { pid: offset("pid")?, tgid: offset("tgid")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_without_type_information_is_a_reason_that_names_the_file() {
        let reason = task_offsets(Path::new("/nowhere/vmlinux")).expect_err("there is no such file");
        assert!(reason.contains("/nowhere/vmlinux"), "{reason}");
    }

    #[test]
    fn this_kernel_says_where_a_task_keeps_its_ids() {
        let path = Path::new(KERNEL_BTF);
        if !path.exists() {
            println!("SKIP this_kernel_says_where_a_task_keeps_its_ids: this kernel has no {KERNEL_BTF}");
            return;
        }
        let offsets = task_offsets(path).expect("the kernel's own types are readable");
        assert_eq!(offsets.tgid, offsets.pid + 4, "tgid follows pid in every kernel so far: {offsets:?}");
    }
}
