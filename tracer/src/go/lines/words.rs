//! Numbers and texts at places of a table: `None` where it ends before them.

/// Lowest byte first, as everywhere on x86-64.
pub(in crate::go) fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    let bytes = data.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

pub(in crate::go) fn i32_at(data: &[u8], at: usize) -> Option<i32> {
    u32_at(data, at).map(u32::cast_signed)
}

pub(in crate::go) fn u64_at(data: &[u8], at: usize) -> Option<u64> {
    let bytes = data.get(at..at.checked_add(8)?)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

/// Of a name: those of instances of generic functions spell out their types.
const MAX_TEXT_BYTES: usize = 64 << 10;

/// The text before the first zero byte, which must come in time.
pub(in crate::go) fn text_at(data: &[u8], at: usize) -> Option<String> {
    let rest = data.get(at..)?;
    let end = rest.iter().take(MAX_TEXT_BYTES).position(|&byte| byte == 0)?;
    Some(String::from_utf8_lossy(rest.get(..end)?).into_owned())
}

/// A number of seven bits per byte, the lowest first, at most 64 of them; and how many bytes it takes.
pub(in crate::go) fn varint(data: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for (at, &byte) in data.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f).checked_shl(7 * at as u32)?;
        if byte & 0x80 == 0 {
            return Some((value, at + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_end_where_their_bytes_say() {
        let check = |data: &[u8], expect| assert_eq!(varint(data), expect, "{data:02x?}");
        check(&[0], Some((0, 1)));
        check(&[0x7f, 9], Some((127, 1)));
        check(&[0xe5, 0x8e, 0x26], Some((624_485, 3)));
        check(&[0x80], None);
        check(&[0xff; 12], None);
        check(&[], None);
    }

    #[test]
    fn what_lies_behind_the_end_is_not_there() {
        let data = [1, 0, 0, 0, b'a', 0, b'b'];
        assert_eq!((u32_at(&data, 0), u32_at(&data, 4), u32_at(&data, usize::MAX)), (Some(1), None, None));
        assert_eq!((u64_at(&data, 0), i32_at(&[0xff; 4], 0)), (None, Some(-1)));
        assert_eq!(
            (text_at(&data, 4).as_deref(), text_at(&data, 6), text_at(&data, 9)),
            (Some("a"), None, None)
        );
        let mut long = vec![b'a'; MAX_TEXT_BYTES + 1];
        *long.last_mut().unwrap() = 0;
        assert_eq!(
            (text_at(&long, 0), text_at(&long, 2).map(|text| text.len())),
            (None, Some(MAX_TEXT_BYTES - 2))
        );
    }
}
