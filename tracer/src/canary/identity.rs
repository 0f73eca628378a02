//! By what a call site is known in two builds: functions, base names of files, lines; never addresses.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use regex::Regex;

use crate::frame::Frame;
use crate::model::snapshot::CallSite;

/// One function on a stack, as both builds have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Link {
    /// Number of the function's name; where there is none, of its module.
    pub(super) function: u32,
    pub(super) file: u32,
    /// 0 is none.
    pub(super) line: u32,
}

/// A call stack, leaf first.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    pub(super) links: Box<[Link]>,
    /// Number of each build that its frames are of; `None`: of some it is not known.
    pub(super) builds: Option<Box<[u32]>>,
}

/// Numbers for names, and for the chains made of them.
#[derive(Debug)]
pub(super) struct Names {
    numbers: HashMap<String, u32>,
    /// By the name as it was read: what it is cut to is found out once.
    functions: HashMap<String, u32>,
    noise: Option<Regex>,
}

/// What compilers and linkers add to the name of a function, and change from build to build: copies for known arguments,
/// cold parts, versions of symbols (GCC, LLVM), the hash of Rust's names, the tags of the C++ library's two ABIs.
const NOISE: &str = concat!(
    r"( \[clone [^\]]*\])+$",
    r"|(\.(constprop|isra|part|lto_priv|llvm)\.\d+|\.(cold|localalias)(\.\d+)?)+$",
    r"|::h[0-9a-f]{16}$",
    r"|@@?[A-Za-z][A-Za-z0-9_.]*$",
    r"|\[abi:[^\]]*\]",
);

impl Names {
    pub(super) fn new() -> Self {
        Self { numbers: HashMap::new(), functions: HashMap::new(), noise: Regex::new(NOISE).ok() }
    }

    fn number(&mut self, name: &str) -> u32 {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        let number = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        self.numbers.insert(name.to_owned(), number);
        number
    }

    fn function(&mut self, name: &str) -> u32 {
        if let Some(&number) = self.functions.get(name) {
            return number;
        }
        let number = self.number(&plain(name, self.noise.as_ref()));
        self.functions.insert(name.to_owned(), number);
        number
    }

    fn link(&mut self, frame: &Frame) -> Link {
        match &frame.function {
            Some(function) => Link {
                function: self.function(function),
                file: self.number(frame.file.as_deref().map_or("", basename)),
                line: frame.line.unwrap_or(0),
            },
            None => {
                let module = frame.module.as_deref().map_or("", basename);
                Link { function: self.number(&format!("[{module}]")), file: 0, line: 0 }
            }
        }
    }

    pub(super) fn chain(&mut self, frames: &[Arc<Frame>]) -> Chain {
        let links: Vec<Link> = frames.iter().map(|frame| self.link(frame)).collect();
        let builds: Option<HashSet<u32>> =
            frames.iter().map(|frame| frame.build_id.as_deref().map(|id| self.number(id))).collect();
        Chain { links: links.into(), builds: builds.map(|builds| builds.into_iter().collect()) }
    }
}

/// The name without what builds add to it.
fn plain<'a>(name: &'a str, noise: Option<&Regex>) -> Cow<'a, str> {
    let Some(noise) = noise else { return Cow::Borrowed(name) };
    let mut name = Cow::Borrowed(name);
    // One addition may stand behind another: `f.isra.0 [clone .cold]`.
    for _ in 0..4 {
        match noise.replace_all(&name, "") {
            Cow::Borrowed(_) => break,
            Cow::Owned(shorter) if shorter.is_empty() => break,
            Cow::Owned(shorter) => name = Cow::Owned(shorter),
        }
    }
    name
}

pub(super) fn basename(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// The chains of a side, each once, with the site that shows it best: the largest.
#[derive(Debug, Default)]
pub(super) struct Chains<'a> {
    pub(super) all: Vec<(Chain, &'a CallSite)>,
    numbers: HashMap<Box<[Link]>, usize>,
}

impl<'a> Chains<'a> {
    /// The number of a site's chain.
    pub(super) fn number(&mut self, site: &'a CallSite, names: &mut Names) -> usize {
        let chain = names.chain(&site.frames);
        if let Some(&number) = self.numbers.get(&chain.links) {
            if let Some((_, shown)) = self.all.get_mut(number)
                && site.alloc_bytes > shown.alloc_bytes
            {
                *shown = site;
            }
            return number;
        }
        let number = self.all.len();
        self.numbers.insert(chain.links.clone(), number);
        self.all.push((chain, site));
        number
    }
}

impl Chains<'_> {
    /// The chains by their numbers.
    pub(super) fn chains(&self) -> Vec<&Chain> {
        self.all.iter().map(|(chain, _)| chain).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canary::testing::frame;

    #[test]
    fn names_lose_what_builds_add_to_them() {
        let noise = Regex::new(NOISE).ok();
        let check = |name: &str, expect: &str| assert_eq!(plain(name, noise.as_ref()), expect, "{name}");
        check("parse", "parse");
        check("parse.constprop.0", "parse");
        check("parse.isra.0.cold", "parse");
        check("parse.part.0.constprop.12", "parse");
        check("parse(int) [clone .isra.0] [clone .cold]", "parse(int)");
        check("parse.llvm.1234567890", "parse");
        check("shop::cart::add::h0123456789abcdef", "shop::cart::add");
        check("shop::cart::h0123", "shop::cart::h0123");
        check("Cache::key[abi:cxx11](int) const", "Cache::key(int) const");
        check("memcpy@@GLIBC_2.14", "memcpy");
        check("memcpy@GLIBC_2.2.5", "memcpy");
        // What a program's author has written stays.
        check("main.(*Cart).Add.func1", "main.(*Cart).Add.func1");
        check("main.part", "main.part");
        check("main.gen[go.shape.int]", "main.gen[go.shape.int]");
        check("operator new(unsigned long)", "operator new(unsigned long)");
    }

    #[test]
    fn a_frame_is_its_function_its_file_s_name_and_its_line() {
        let mut names = Names::new();
        let mut same = |a: &Frame, b: &Frame| names.link(a) == names.link(b);
        let here = frame("make", "/home/a/app/src/make.c:7");
        assert!(same(&here, &frame("make.constprop.0", "/build/7f3/src/make.c:7")));
        assert!(!same(&here, &frame("make", "make.c:8")));
        assert!(!same(&here, &frame("made", "make.c:7")));
        let unnamed = |address: &str, module: &str| Frame {
            address: address.to_owned(),
            module: Some(module.to_owned()),
            file_offset: Some(7),
            ..Frame::default()
        };
        assert!(same(&unnamed("0x1", "/usr/lib/libz.so"), &unnamed("0x2", "/opt/lib/libz.so")));
        assert!(!same(&unnamed("0x1", "/usr/lib/libz.so"), &unnamed("0x1", "/usr/lib/libm.so")));
    }
}
