//! The arena of unwind tables: chunks of blocks, made as they are needed, up to a limit.

use std::sync::atomic::Ordering;

use aya::maps::{ArrayOfMaps, Map, MapData};
use aya_obj::generated::bpf_map_type::BPF_MAP_TYPE_ARRAY;
use tracer_ebpf::abi::code::{CHUNK_BLOCKS, MAX_CHUNKS};
use tracer_ebpf::unwind::page::{BLOCK_WORDS, Block};

use super::runs::Runs;
use super::table::Table;
use super::{KernelError, map_error};

/// `BPF_F_MMAPABLE` (include/uapi/linux/bpf.h).
const MMAPABLE: u32 = 1 << 10;
/// Bytes of a block.
const BLOCK_BYTES: u64 = 4 * BLOCK_WORDS as u64;

/// Where a table lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Its first block.
    pub block: u32,
    /// Its length.
    pub blocks: u32,
}

/// The tables that the stack walk reads.
pub struct Tables {
    outer: ArrayOfMaps<MapData, MapData>,
    chunks: Vec<(MapData, Table<Block>)>,
    free: Runs,
    max_chunks: u32,
}

impl Tables {
    pub(super) fn of(map: Option<Map>, limit_bytes: u64) -> Result<Self, KernelError> {
        let missing = || KernelError::Map { map: "TABLES", reason: "it is not in the BPF object".to_owned() };
        let outer =
            ArrayOfMaps::try_from(map.ok_or_else(missing)?).map_err(|error| map_error("TABLES", &error))?;
        let chunk_bytes = BLOCK_BYTES * u64::from(CHUNK_BLOCKS);
        Ok(Self {
            outer,
            chunks: Vec::new(),
            free: Runs::new(0),
            max_chunks: limit_bytes.div_ceil(chunk_bytes).min(MAX_CHUNKS.into()) as u32,
        })
    }

    /// Writes a table, whose length is whole blocks; `None` if there is no room for it.
    ///
    /// # Errors
    ///
    /// The kernel does not give the memory.
    pub fn put(&mut self, words: &[u32]) -> Result<Option<Placed>, KernelError> {
        let blocks = words.len().div_ceil(BLOCK_WORDS) as u32;
        let block = loop {
            match self.free.take(blocks) {
                Some(block) => break block,
                None if self.chunks.len() as u32 >= self.max_chunks => return Ok(None),
                None => self.add_chunk()?,
            }
        };
        for (at, words) in (block..).zip(words.chunks(BLOCK_WORDS)) {
            let (_, chunk) = &self.chunks[(at / CHUNK_BLOCKS) as usize];
            for (pair, offset) in words.chunks(2).zip((0..).step_by(8)) {
                let high = u64::from(pair.get(1).copied().unwrap_or(0));
                let word = chunk.word(at % CHUNK_BLOCKS, offset);
                word.store(high << 32 | u64::from(pair[0]), Ordering::Relaxed);
            }
        }
        std::sync::atomic::fence(Ordering::Release);
        Ok(Some(Placed { block, blocks }))
    }

    /// Makes room again where a table was, which no range of code leads to any more.
    ///
    /// # Errors
    ///
    /// The kernel's refusal; the room stays taken.
    pub fn remove(&mut self, placed: Placed) -> Result<(), KernelError> {
        // An update of a map of maps waits until no program is left that runs since before it
        // (`maybe_wait_bpf_programs` in kernel/bpf/syscall.c): whoever found the old table has finished.
        if let Some((first, _)) = self.chunks.first() {
            self.outer.set(0, first, 0).map_err(|error| map_error("TABLES", &error))?;
        }
        self.free.give_back(placed.block, placed.blocks);
        Ok(())
    }

    fn add_chunk(&mut self) -> Result<(), KernelError> {
        let error = |error| map_error("TABLES", &error);
        let make = || {
            let object = aya_obj::Map::new_from_params(
                BPF_MAP_TYPE_ARRAY as u32,
                size_of::<u32>() as u32,
                BLOCK_BYTES as u32,
                CHUNK_BLOCKS,
                MMAPABLE,
            );
            MapData::create(object, "unwind_chunk", None)
        };
        let chunk = make().map_err(error)?;
        let index = self.chunks.len() as u32;
        self.outer.set(index, &chunk, 0).map_err(error)?;
        let memory = Table::over(&chunk, "TABLES", CHUNK_BLOCKS)?;
        self.chunks.push((chunk, memory));
        self.free.give_back(index * CHUNK_BLOCKS, CHUNK_BLOCKS);
        Ok(())
    }
}
