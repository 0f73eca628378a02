//! Names from symbol tables and debug information, through blazesym.

use std::cell::{Cell, OnceCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use blazesym::symbolize::{CodeInfo, Sym};

use super::ascii;
use super::go::GoTables;
use super::guarded::{Failure, Guarded};
use super::sources::Sources;
use super::{AddressKind, Located, Place};
use crate::elf::Image;
use crate::frame::{Frame, Frames};
use crate::target::mappings::MappedFile;
use crate::units::{ElfVaddr, FileOffset};
use crate::unwind::Extents;

/// Most bytes of all symbols and all debug information that are kept in memory.
const MAX_SOURCE_BYTES: u64 = 1 << 30;

/// Finds names, and remembers them.
pub struct Symbolizer {
    blazesym: Guarded,
    objects: HashMap<(u64, u64), Rc<Object>>,
    /// What is left of [`MAX_SOURCE_BYTES`].
    budget: Cell<u64>,
    /// What has a name has it at whatever address it lies.
    named: HashMap<CodeKey, Frames>,
}

/// A file's identity, an offset in it, and whether the innermost function there is meant alone.
type CodeKey = ((u64, u64), u64, bool);

/// What is known of a file.
struct Object {
    build_id: Option<String>,
    image: Option<Image>,
    extents: Extents,
    /// Opened when the first name is asked for.
    go: OnceCell<GoTables>,
    /// Opened when the first name is asked for that is not in Go's tables.
    sources: OnceCell<Sources>,
    /// What they take of the budget.
    taken: Cell<u64>,
}

impl Default for Symbolizer {
    fn default() -> Self {
        Self {
            blazesym: Guarded::default(),
            objects: HashMap::new(),
            budget: Cell::new(MAX_SOURCE_BYTES),
            named: HashMap::new(),
        }
    }
}

impl Symbolizer {
    /// The functions at a return address: those inlined there first, the one that holds the code last.
    pub fn frames(&mut self, located: &Located) -> Frames {
        match &located.place {
            Place::Elsewhere { .. } => [Arc::new(located.without_name("no symbol"))].into(),
            Place::File { file, file_offset } => {
                self.in_file(file, *file_offset, located.kind, format!("{:#x}", located.address))
            }
        }
    }

    fn in_file(&mut self, file: &MappedFile, file_offset: u64, kind: AddressKind, address: String) -> Frames {
        let code = FileOffset(match kind {
            AddressKind::Interrupted => file_offset,
            // A return address may already belong to the next function or line: the call is what is asked for.
            AddressKind::Return | AddressKind::RecordedCall => file_offset.saturating_sub(1),
        });
        let is_one_call = kind == AddressKind::RecordedCall;
        let key = (file.identity, code.0, is_one_call);
        if let Some(known) = self.named.get(&key) {
            // The same code in another process.
            let at_address = |frame: &Arc<Frame>| Frame { address: address.clone(), ..Frame::clone(frame) };
            return known.iter().map(at_address).map(Arc::new).collect();
        }
        let object = self.object(file);
        let base = Frame {
            address,
            module: Some(file.path.clone()),
            build_id: object.build_id.clone(),
            file_offset: Some(file_offset),
            ..Frame::default()
        };
        let mut found = self.look_up(file, &object, code, &base);
        if is_one_call {
            found.truncate(1);
        }
        let frames: Frames = found.into_iter().map(Arc::new).collect();
        self.named.insert(key, Arc::clone(&frames));
        frames
    }

    fn look_up(&mut self, file: &MappedFile, object: &Object, code: FileOffset, base: &Frame) -> Vec<Frame> {
        let unnamed = |reason: String| vec![Frame { reason: Some(reason), ..base.clone() }];
        let Some(image) = &object.image else { return unnamed("not an ELF file".to_owned()) };
        let Some(vaddr) = image.file_offset_to_vaddr(code) else {
            return unnamed("not an ELF file with that code".to_owned());
        };
        let go =
            object.go.get_or_init(|| object.taking(&self.budget, || GoTables::open(image, &self.budget)));
        if let Some(frames) = go.frames(vaddr, base) {
            return frames;
        }
        let open = || object.taking(&self.budget, || Sources::open(file, image, &self.budget));
        let sources = object.sources.get_or_init(open);
        let mut failure = sources.failure.clone().or_else(|| go.failure.clone());
        for source in sources.iter() {
            match self.blazesym.symbol(&source.elf, vaddr, |symbol| functions(symbol, base)) {
                Ok(Some(frames)) => return frames,
                Ok(None) => {}
                Err(Failure::Unreadable(error)) => failure = Some(error),
                Err(Failure::Panicked) => {
                    source.is_broken.set(true);
                    failure = Some("its debug information contradicts itself".to_owned());
                }
            }
        }
        object.by_extent(vaddr, failure, base)
    }

    /// Forgets all files but these.
    pub fn keep(&mut self, files: &HashSet<(u64, u64)>) {
        let before = self.objects.len();
        self.objects.retain(|identity, object| {
            let stays = files.contains(identity);
            if !stays {
                self.budget.set(self.budget.get() + object.taken.get());
            }
            stays
        });
        if self.objects.len() == before {
            return;
        }
        self.named.retain(|(identity, ..), _| files.contains(identity));
        // What it has read of the others it reads again when a name of theirs is new.
        self.blazesym = Guarded::default();
    }

    fn object(&mut self, file: &MappedFile) -> Rc<Object> {
        let known = self.objects.entry(file.identity).or_insert_with(|| Rc::new(Object::open(file)));
        Rc::clone(known)
    }
}

impl Object {
    fn open(file: &MappedFile) -> Self {
        let image = file.file.try_clone().ok().and_then(|file| Image::open(file).ok());
        let build_id = image.as_ref().and_then(|image| image.build_id()).map(str::to_owned);
        let extents = image.as_ref().map(Extents::load).unwrap_or_default();
        let (go, sources) = (OnceCell::new(), OnceCell::new());
        Self { build_id, image, extents, go, sources, taken: Cell::default() }
    }

    /// Opens something, and notes what that takes of the budget.
    fn taking<T>(&self, budget: &Cell<u64>, open: impl FnOnce() -> T) -> T {
        let before = budget.get();
        let opened = open();
        self.taken.set(self.taken.get() + (before - budget.get()));
        opened
    }

    /// A stripped function is still one function: it is called after its first address, as disassemblers do.
    fn by_extent(&self, vaddr: ElfVaddr, failure: Option<String>, base: &Frame) -> Vec<Frame> {
        let extent = self.extents.at(vaddr);
        let reason = match (failure, extent) {
            (Some(failure), _) => format!("no symbol: {failure}"),
            (None, Some(_)) => "no symbol: named after its first address".to_owned(),
            (None, None) => "no symbol".to_owned(),
        };
        let function = extent.map(|extent| format!("sub_{:x}", extent.start.0));
        vec![Frame { function, reason: Some(reason), ..base.clone() }]
    }
}

fn functions(sym: &Sym<'_>, base: &Frame) -> Vec<Frame> {
    let frame = |name: &str, code: Option<&CodeInfo<'_>>, inlined| Frame {
        function: Some(demangled(name)),
        file: code.map(|code| code.to_path().display().to_string()),
        line: code.and_then(|code| code.line),
        inlined,
        ..base.clone()
    };
    let inlined = sym.inlined.iter().rev().map(|inner| frame(&inner.name, inner.code_info.as_ref(), true));
    inlined.chain([frame(&sym.name, sym.code_info.as_deref(), false)]).collect()
}

/// The name as its source has it. Only a name that says so is mangled: `f` is a function of C, and no `float`.
fn demangled(name: &str) -> String {
    let is_rust = name.starts_with("_R") || name.starts_with("_ZN") && name.contains("17h");
    let rust = || rustc_demangle::try_demangle(name).ok().map(|plain| format!("{plain:#}"));
    let cpp = || ascii::through(name, |name| cpp_demangle::Symbol::new(name).ok()?.demangle().ok());
    let plain = match (is_rust, name.starts_with("_Z")) {
        (true, _) => rust(),
        (false, true) => cpp(),
        (false, false) => None,
    };
    plain.unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mangled_names_are_demangled() {
        let check = |name, expect: &str| assert_eq!(demangled(name), expect, "{name}");
        for name in ["f", "i", "d", "Pc", "St", "w", "main", "_start", "_Z", "_Zbroken"] {
            check(name, name);
        }
        check("_ZN3app6Server4readEi", "app::Server::read(int)");
        check("_Znwm", "operator new(unsigned long)");
        check("_ZN5fleetL30キャッシュに挿入するEm", "fleet::キャッシュに挿入する(unsigned long)");
        check("_ZN7größeC1ERKS_", "größe::größe(größe const&)");
        check("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE", "core::fmt::Write::write_fmt");
        check("_RNvC6_123foo3bar", "123foo::bar");
    }
}
